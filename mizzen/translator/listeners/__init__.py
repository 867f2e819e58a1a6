"""Listeners: of sidecars and gateways, their filter chains and filters."""
