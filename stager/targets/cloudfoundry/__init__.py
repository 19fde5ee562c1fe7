"""Cloud Foundry's v3 API: login, manifests, and pushing, promoting, rolling back and comparing droplets.

Rules and names are those of the public API documentation (version 3) and of the cf client's manifests. `push` reads as
the order of the calls; `api` has one function a call; `session` is the only module that opens connections.
"""
