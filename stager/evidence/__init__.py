"""What is proven and told of droplets: verify, diff, sbom, explain, report, provenance, receipts, bundles."""
