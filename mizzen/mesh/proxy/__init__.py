"""Proxies: what a node says about itself, and the part of it that outbound translation may read."""
