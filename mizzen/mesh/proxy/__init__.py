"""Proxies: what a node says of itself, and what translation may know of it."""
