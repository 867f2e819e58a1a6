"""Clients that behave as Envoy does towards a control plane, a hundred in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from mizzen.xds import type_urls

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


class DeltaClient:
    """One stream: everything of CDS and LDS, then what those name of EDS and RDS; it accepts everything."""

    def __init__(
        self, channel: grpc.aio.Channel, node: dict[str, Any], answered: Callable[[str], None]
    ) -> None:
        self._call = channel.stream_stream(
            _METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        self._node = node
        self._answered = answered
        self._known: dict[str, set[str]] = {type_urls.ENDPOINT: set(), type_urls.ROUTE: set()}
        self.responses = 0

    async def run(self) -> None:
        """Serve the stream until it ends."""
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=type_urls.CLUSTER)
        json_format.ParseDict(self._node, first.node)
        await self._call.write(first)
        await self._call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=type_urls.LISTENER))
        while (response := await self._call.read()) is not grpc.aio.EOF:
            self.responses += 1
            await self._call.write(
                discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
            )
            if response.type_url == type_urls.CLUSTER:
                await self._subscribe(
                    type_urls.ENDPOINT, {r.name for r in response.resources if "|" in r.name}
                )
            elif response.type_url == type_urls.LISTENER:
                names = {name for r in response.resources for name in _route_names(r.resource.value)}
                await self._subscribe(type_urls.ROUTE, names)
            self._answered(response.type_url)

    async def _subscribe(self, type_url: str, names: set[str]) -> None:
        new = names - self._known[type_url]
        if new:
            self._known[type_url] |= new
            await self._call.write(
                discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=sorted(new))
            )


def _route_names(value: bytes) -> list[str]:
    listener = listener_pb2.Listener.FromString(value)
    names = []
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for network_filter in chain.filters:
            if network_filter.typed_config.type_url == _HCM:
                manager = http_connection_manager_pb2.HttpConnectionManager.FromString(
                    network_filter.typed_config.value
                )
                if manager.rds.route_config_name:
                    names.append(manager.rds.route_config_name)
    return names


class Answers:
    """Counts answered responses by type, and lets one wait for a number of them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._changed = asyncio.Event()

    def add(self, type_url: str) -> None:
        """One more response of this type was answered."""
        self._counts[type_url] = self._counts.get(type_url, 0) + 1
        self._changed.set()

    def reset(self) -> None:
        """Count from zero."""
        self._counts.clear()

    def total(self) -> dict[str, int]:
        """The counts by type."""
        return dict(self._counts)

    async def wait_for(self, type_url: str, count: int, seconds: float = 120.0) -> None:
        """Wait until so many responses of the type were answered."""
        async with asyncio.timeout(seconds):
            while self._counts.get(type_url, 0) < count:
                self._changed.clear()
                await self._changed.wait()

    async def quiet(self, seconds: float = 1.5) -> None:
        """Wait until nothing was answered for so long."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return
