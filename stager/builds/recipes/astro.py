"""Astro's server: a clock that stands still, as in `frozen_clock`, and the key that encrypts what islands of pages are told.

Mends: the time in the name of the server's manifest, and the random key in it. The key is a credential: it is derived from the
contents of the app's files, which stager tells nobody, and so is as secret as these.
"""

from __future__ import annotations

import base64
from dataclasses import replace

from . import Around, frozen_clock


def _env(around: Around) -> dict[str, str]:
    """`ASTRO_KEY` is what `astro create-key` prints: an AES key of 256 bits in base64 (Astro: "Server islands")."""
    key = base64.b64encode(around.secret("server islands")).decode()
    return {**frozen_clock.RECIPE.env(around), "ASTRO_KEY": key}


RECIPE = replace(
    frozen_clock.RECIPE, name="astro/1", mends="the key of server islands, and the time in names of files", env=_env
)
