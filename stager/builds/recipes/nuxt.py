"""Nuxt: a clock that stands still, as in `frozen_clock`.

Mends: `buildId` (a random UUID, also in names of files), `timestamp`, `date` of `nitro.json`, and the times of public files
that the server's program lists.
"""

from __future__ import annotations

from dataclasses import replace

from . import frozen_clock

RECIPE = replace(frozen_clock.RECIPE, name="nuxt/1", mends="the build's id, its time, and the times of public files")
