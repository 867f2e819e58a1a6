"""What changed from one snapshot of the mesh to the next."""
