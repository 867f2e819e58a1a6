"""The running control plane: it watches the sources, pushes what changes, and says how things stand."""
