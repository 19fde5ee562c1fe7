"""A shop that adds up its prices in C."""
