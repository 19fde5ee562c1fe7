"""stager: an app's source folder becomes a byte-identical droplet."""
