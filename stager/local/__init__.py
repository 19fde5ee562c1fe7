"""On this machine: running a droplet, its health, machines, and what the machine can do."""
