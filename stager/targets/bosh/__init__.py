"""What a BOSH release of a droplet holds: the job's files, the manifests, and the fingerprints that name them."""
