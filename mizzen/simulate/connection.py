"""What a listener knows about a connection when it chooses a filter chain."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.simulate.call import Call


@dataclass(slots=True)
class Connection:
    """A connection that listener filters inspect; they fill in what they find.

    `restored`: `address` and `port` are the original destination of a captured connection.
    """

    call: Call
    address: str
    port: int
    restored: bool = False
    server_name: str = ""
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()
    waits: bool = False
    """True if a listener filter waits for a client that itself waits."""
    encrypted: bool = False
    """True if the filter chain terminates the client's TLS."""
    shows_certificate: bool = False
    """True if the client shows its certificate in that TLS."""
