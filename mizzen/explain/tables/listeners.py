"""The table of listeners: a row for each filter chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from envoy.config.core.v3 import base_pb2

from mizzen.explain.chain_words import chain_match_words, chains, target, tls_words
from mizzen.explain.origins import PartOrigins, Places
from mizzen.explain.tables.row import Row
from mizzen.explain.tables.sent import Sent
from mizzen.translator.base.cluster_names import parse_cluster_name


def listener_rows(sent: Sent) -> Iterator[Row]:
    """Yield a row for each filter chain of each listener."""
    for resource, listener, state in sent.of("listeners"):
        name = str(listener.name)
        direction = base_pb2.TrafficDirection.Name(listener.traffic_direction).lower()
        for index, chain in chains(listener):
            names = tuple(chain.filter_chain_match.server_names)
            found = target(chain)
            parsed = parse_cluster_name(found.clusters[0][0]) if found.clusters else None
            chosen = chain.filter_chain_match.destination_port.value
            host = parsed.hostname if parsed is not None else ""

            yield Row(
                {
                    "LISTENER": name,
                    "ADDRESS": listener_address(listener),
                    "MATCH": chain_match_words(chain, is_default=index < 0),
                    "TLS": tls_words(chain) or "-",
                    "DESTINATION": str(found) or "closes the connection",
                },
                sent.places(resource, _place(name, index, chain)),
                name,
                state,
                hosts=names or ((host,) if host else ()),
                fqdn=host,
                port=chosen or listener.address.socket_address.port_value,
                subset=parsed.subset if parsed is not None else "",
                direction="" if direction == "unspecified" else direction,
            )


def _place(listener: str, index: int, chain: Any) -> Callable[[PartOrigins], Places]:
    names = chain.filter_chain_match.server_names
    return lambda origins: origins.filter_chain(listener, index, name=chain.name, server_names=names)


def listener_address(listener: Any) -> str:
    """Return where a Listener listens: `0.0.0.0:9080`; more addresses are counted."""
    if listener.address.WhichOneof("address") == "pipe":
        return f"unix:{listener.address.pipe.path}"
    socket = listener.address.socket_address
    host = f"[{socket.address}]" if ":" in socket.address else socket.address
    udp = " UDP" if socket.protocol == socket.UDP else ""
    more = f" +{len(listener.additional_addresses)}" if listener.additional_addresses else ""
    return f"{host}:{socket.port_value}{udp}{more}"
