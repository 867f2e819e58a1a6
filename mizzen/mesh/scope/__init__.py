"""What one class of proxies sees of the mesh."""
