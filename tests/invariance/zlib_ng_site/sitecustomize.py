"""Puts zlib-ng in zlib's place in every interpreter that finds this folder on its path."""

import sys

from zlib_ng import zlib_ng

sys.modules["zlib"] = zlib_ng
