"""What a listener knows of a connection when it chooses a filter chain."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.simulate.call import Call


@dataclass(slots=True)
class Connection:
    """A connection while listener filters look at it; they fill in what they find.

    `restored` says that `address` and `port` are the original destination of a captured connection.
    """

    call: Call
    address: str
    port: int
    restored: bool = False
    server_name: str = ""
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()
    waits: bool = False
    """Whether a listener filter waits for a client that itself waits."""
    encrypted: bool = False
    """Whether the filter chain ends the client's TLS."""
    shows_certificate: bool = False
    """Whether the client shows its certificate in it."""
