"""Typed models of Istio's and Kubernetes' kinds, their parsing, validation and diagnostics."""
