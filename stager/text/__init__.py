"""Texts: strict YAML, typed getters, lines of sources, templates, shipped data, shell words, redaction."""
