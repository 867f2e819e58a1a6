"""Istio's certificate service: its messages, for the server and for the agent."""

from mizzen.signing.messages import CREATE_CERTIFICATE, SERVICE, CertificateRequest, CertificateResponse

__all__ = ["CREATE_CERTIFICATE", "SERVICE", "CertificateRequest", "CertificateResponse"]
