"""From the mesh and a proxy to Envoy's messages: pure functions, one module for each Envoy concern."""
