"""What one kind of proxy sees of the mesh."""
