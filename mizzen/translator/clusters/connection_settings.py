"""Connections of a cluster: the timeout for opening one, and TCP keep-alive.

https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings-TCPSettings
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import ConnectionPoolSettings, TcpKeepalive
from mizzen.translator.base.config_sources import duration

_timeout = lru_cache(maxsize=64)(duration)
"""Cached, because every cluster has a timeout, and a mesh has few different ones."""


def apply_connection_settings(
    cluster: Any, pool: ConnectionPoolSettings | None, mesh_config: MeshConfig
) -> None:
    """Set connect timeout and keep-alive: the rule's, else the mesh's, with keep-alive field by field."""
    tcp = None if pool is None else pool.tcp
    timeout = None if tcp is None else tcp.connect_timeout
    cluster.connect_timeout.CopyFrom(_timeout(timeout or mesh_config.connect_timeout))
    for keepalive in (mesh_config.tcp_keepalive, None if tcp is None else tcp.tcp_keepalive):
        if keepalive is not None:
            _set_keepalive(cluster.upstream_connection_options.tcp_keepalive, keepalive)


def _set_keepalive(message: Any, keepalive: TcpKeepalive) -> None:
    """Even an empty block switches keep-alive on, with the operating system's times."""
    message.SetInParent()
    if keepalive.probes:
        message.keepalive_probes.value = keepalive.probes
    if keepalive.time is not None:
        message.keepalive_time.value = int(keepalive.time.total_seconds())
    if keepalive.interval is not None:
        message.keepalive_interval.value = int(keepalive.interval.total_seconds())
