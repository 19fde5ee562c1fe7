"""OpenShift and plain Kubernetes: the image with its manifests, and builders for source-to-image."""
