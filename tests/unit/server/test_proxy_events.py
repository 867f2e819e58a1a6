"""What is said and counted of the proxies that come and go."""

from __future__ import annotations

import time
from typing import Any

from structlog.testing import capture_logs

from mizzen import xds
from mizzen.mesh.proxy import Proxy
from mizzen.server.convergence import Convergence
from mizzen.server.metrics import Metrics
from mizzen.server.proxy_events import ProxyEvents
from mizzen.server.status import proxy_status

ID = "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local"
PROXY = Proxy.from_node({"id": ID, "metadata": {"LABELS": "x", "DNS_CAPTURE": "on"}})


def warnings(logged: list[Any]) -> list[Any]:
    return [each for each in logged if each["log_level"] == "warning"]


def test_mistakes_in_a_node_are_said_once_and_counted_while_it_is_connected() -> None:
    metrics = Metrics("0")
    events = ProxyEvents(metrics, Convergence(lambda _: None, time.monotonic), {"group": PROXY}.get)
    client = xds.Client(1, ID, "group")
    with capture_logs() as logged:
        events.take(xds.Connected(client))
    assert [(each["proxy"], each["remark"]) for each in warnings(logged)] == [
        ("reviews-v1.default", remark) for remark in PROXY.remarks
    ]
    assert b"mizzen_node_remarks 2.0" in metrics.render()

    with capture_logs() as logged:
        events.take(xds.Disconnected(client))
        assert b"mizzen_node_remarks 0.0" in metrics.render()
        events.take(xds.Connected(xds.Client(2, ID, "group")))
    assert warnings(logged) == []
    assert b"mizzen_node_remarks 2.0" in metrics.render()


def test_the_status_has_them() -> None:
    client = xds.ClientStatus(1, ID, "group", "ipv4:127.0.0.1:5", "/a/b", 0.0, "rest")
    assert proxy_status(client, PROXY, None, 0.0)["remarks"] == [*PROXY.remarks]
    assert proxy_status(client, None, None, 0.0)["remarks"] == []
