"""Hand-offs: what other tools need to deploy a droplet, and what their files say for stager."""
