"""The names of listeners."""

from __future__ import annotations

from mizzen.config.interception import InterceptionMode

_SOCKET = "unix://"


def listener_name(bind: str, port: int, *, bound: bool, interception_mode: InterceptionMode) -> str:
    """Return the name of a listener: Istio's `BIND_PORT`, or `BIND_PORT_bound` to mark one that binds a port.

    A proxy with traffic capture also has listeners that bind no port. Envoy crashes if `bind_to_port` becomes
    true while the listener keeps its name, and an edit of a Sidecar can cause that. So the names differ. The
    mark is not needed without capture, where all listeners bind their ports, or for Unix sockets, which are
    always bound.
    """
    name = f"{bind}_{port}"
    can_be_captured = interception_mode != "NONE" and not bind.startswith(_SOCKET)
    return f"{name}_bound" if bound and can_be_captured else name
