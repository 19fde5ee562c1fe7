"""Bytes: tar, deflate, zip, deb and ELF; the only reader of untrusted archives, the only writer of droplet bytes."""
