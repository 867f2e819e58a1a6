"""The resources of a proxy's own workload, and its secrets."""
