"""Nuxt as locks have it that were made before `nuxt/2`: a clock that stands still, and nothing in another order."""

from __future__ import annotations

from dataclasses import replace

from . import frozen_clock

RECIPE = replace(frozen_clock.RECIPE, name="nuxt/1", mends="the build's id, its time, and the times of public files")
