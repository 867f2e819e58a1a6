"""Virtual hosts on demand (VHDS), with a real Envoy: it holds back a request until it is told of its host.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import ParseDict

from mizzen import xds
from mizzen.testing.ports import free_port
from mizzen.xds.type_urls import VIRTUAL_HOST
from tests.e2e.xds.xds_envoy import ADS, Lab, address, cluster, endpoints, lab

pytestmark = pytest.mark.envoy


def listener(port: int) -> xds.Resource:
    manager = {"stat_prefix": "x", "rds": {"route_config_name": "routes", "config_source": ADS}}
    http = ParseDict(manager, http_connection_manager_pb2.HttpConnectionManager())
    http.http_filters.add(name="on-demand").typed_config.Pack(on_demand_pb2.OnDemand())
    http.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    message = ParseDict({"name": "l", "address": address(port)}, listener_pb2.Listener())
    message.filter_chains.add().filters.add(name="http").typed_config.Pack(http)
    return xds.Resource.of(message)


def routes() -> xds.Resource:
    fields: dict[str, Any] = {"name": "routes", "vhds": {"config_source": ADS}}
    return xds.Resource.of(ParseDict(fields, route_pb2.RouteConfiguration()))


def host(name: str, domain: str, to: str) -> xds.Resource:
    route = {"match": {"prefix": "/"}, "route": {"cluster": to}}
    message = ParseDict(
        {"name": name, "domains": [domain], "routes": [route]}, route_components_pb2.VirtualHost()
    )
    return xds.Resource.of(message, name=f"routes/{name}", aliases=(f"routes/{domain}",))


async def status(found: Lab, port: int, domain: str) -> int:
    """What a request to this host gets; httpx gives up after a minute."""
    answer = await found.http.get(f"http://127.0.0.1:{port}/", headers={"host": domain})
    return answer.status_code


async def test_a_request_waits_for_its_virtual_host_and_no_longer(tmp_path: Path) -> None:
    port = free_port()
    shop = host("shop", "shop.example", "a")
    async with lab(tmp_path, listener(port), routes(), cluster("a"), shop, delta=True) as found:
        found.server.update("all", [endpoints("a", await found.upstream("one"))])
        await found.settled()
        assert await status(found, port, "shop.example") == 200
        assert await status(found, port, "nobody.example") == 404
        [client] = found.server.clients()
        assert client.types[VIRTUAL_HOST].names == {"routes/nobody.example"}
        found.server.update("all", [host("late", "nobody.example", "a")])
        await found.settled()
        assert await status(found, port, "nobody.example") == 200
        assert found.seen(xds.Rejected) == []
