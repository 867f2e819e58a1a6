"""Listeners: of sidecars and gateways, and their filter chains."""
