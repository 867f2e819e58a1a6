"""The running control plane: it watches the sources, pushes changes to proxies, and reports its status."""
