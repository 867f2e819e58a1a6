"""The server's own certificate, issued by its own authority and renewed without a restart.

gRPC asks for the certificate before every handshake, in a separate thread.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import grpc
import structlog

from mizzen.identity.authority import Authority
from mizzen.identity.server_certificate import issue_server_certificate


class OwnCertificate:
    """Issues the server's certificate, and renews it after half of its lifetime or when the authority
    changes.

    Raises ValueError if the first certificate cannot be issued.
    """

    def __init__(
        self, authority: Callable[[], Authority], names: Sequence[str], clock: Callable[[], datetime]
    ) -> None:
        self._authority = authority
        self._names = tuple(dict.fromkeys((*names, *_names_of_this_host())))
        self._clock = clock
        self._lock = threading.Lock()
        self._renews = self._clock()
        self._of: Authority | None = None
        self._configuration: Any = None
        self._log = structlog.get_logger("mizzen.certificates")
        self._issue(self._authority(), self._clock())

    def credentials(self, *, demands_certificates: bool) -> Any:
        """Return gRPC's credentials of a port. With `demands_certificates` clients must have a certificate of
        the authority; else they are not asked for one."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration, self._current, require_client_authentication=demands_certificates
        )

    def _current(self) -> Any:
        with self._lock:
            authority, now = self._authority(), self._clock()
            if authority is not self._of or now >= self._renews:
                try:
                    self._issue(authority, now)
                except ValueError as error:
                    self._log.error("the server keeps the certificate that it has", error=str(error))
            return self._configuration

    def _issue(self, authority: Authority, now: datetime) -> None:
        key, chain, end = issue_server_certificate(authority.issuer, self._names, now)
        self._renews = now + (end - now) / 2
        self._of = authority
        self._configuration = grpc.ssl_server_certificate_configuration(
            [(key, chain)], root_certificates=authority.roots_pem
        )


def _names_of_this_host() -> list[str]:
    host = socket.gethostname()
    usable = [name for name in (host, socket.getfqdn()) if name.isascii() and 0 < len(name) < 64]
    return ["localhost", "127.0.0.1", "::1", *usable]
