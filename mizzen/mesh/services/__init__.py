"""Services, workloads and endpoints: the registry that all documents together make."""
