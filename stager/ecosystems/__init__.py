"""Packaging formats: one module each knows how to read its lock files and unpack its archives."""
