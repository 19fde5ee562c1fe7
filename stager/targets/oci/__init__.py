"""OCI images made of a droplet's own layers: documents, files, bases, and the ABI that lies between layers and base.

Formats: OCI image-spec 1.1 (config, manifest, index, image layout) and the archive of `docker save`.
"""
