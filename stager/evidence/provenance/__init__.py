"""Signed evidence: in-toto statements with SLSA provenance (`statement`), DSSE envelopes (`dsse`), ed25519 key files (`keys`).

Signing and checking with a key file need no network. Cryptography is imported only when a key is used.
"""
