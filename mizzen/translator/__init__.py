"""Translating the mesh to the Envoy resources of each proxy: pure, with a module for each Envoy concept."""
