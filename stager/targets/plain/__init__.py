"""A bare Debian machine."""
