"""Services, workloads and endpoints: the registry made from all documents."""
