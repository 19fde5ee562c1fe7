"""Builds: what has to be built is built in a pinned root, without a network, twice, and remembered by what went in."""
