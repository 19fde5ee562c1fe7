"""Registries of images: names, logins, and the OCI distribution API with everything that can go wrong on the way.

    with Client(reference.server, access, login=reference.login) as client:
        push(client, reference, image)          # push.py
        pull(client, reference, sink)           # pull.py
        attach(client, repository, subject, …)  # referrers.py

What a registry says is untrusted: bytes are checked against their digests, lists against their shapes, its words for
people against the session's secrets. Formats: OCI distribution-spec 1.1, image-spec 1.1, Docker's token authentication.
"""
