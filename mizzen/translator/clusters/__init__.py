"""Clusters: outbound, inbound, static, and each of their settings."""
