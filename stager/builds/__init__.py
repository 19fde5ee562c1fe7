"""Builds: what an app or a package has to have built is built in a sandbox, from pinned inputs, twice, to the same bytes."""
