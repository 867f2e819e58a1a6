"""Istio's certificate service and Mizzen's token service: the messages, for the server and for the agent."""

from mizzen.signing.messages import CREATE_CERTIFICATE, SERVICE, CertificateRequest, CertificateResponse
from mizzen.signing.tokens import CREATE_TOKEN, TOKEN_SERVICE, Lifetime, Token

__all__ = [
    "CREATE_CERTIFICATE",
    "CREATE_TOKEN",
    "SERVICE",
    "TOKEN_SERVICE",
    "CertificateRequest",
    "CertificateResponse",
    "Lifetime",
    "Token",
]
