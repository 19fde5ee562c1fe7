"""A droplet: its pieces, base and app layers made and joined, made again, read, and whose its files are."""
