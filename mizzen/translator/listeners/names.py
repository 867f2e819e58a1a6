"""The names of listeners."""

from __future__ import annotations

from mizzen.config.interception import InterceptionMode

_SOCKET = "unix://"


def listener_name(bind: str, port: int, *, bound: bool, interception_mode: InterceptionMode) -> str:
    """Return the name of a listener: Istio's `BIND_PORT`, and `BIND_PORT_bound` where both kinds can be.

    A proxy that captures has listeners that bind no port. Envoy crashes if a listener keeps its name while
    `bind_to_port` becomes true, and an edit of a Sidecar can ask for that. So the name says which kind it is.
    A proxy that captures nothing binds all its listeners, and a Unix socket is always bound.
    """
    name = f"{bind}_{port}"
    can_be_captured = interception_mode != "NONE" and not bind.startswith(_SOCKET)
    return f"{name}_bound" if bound and can_be_captured else name
