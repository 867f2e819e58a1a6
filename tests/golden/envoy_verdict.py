"""What a real Envoy says of everything that one proxy is sent, in one start without a control plane."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import json_format

from mizzen.demo.envoy_process import find_envoy
from mizzen.translator.bootstrap import bootstrap
from mizzen.translator.translate_result import Resources

_Manager = http_connection_manager_pb2.HttpConnectionManager


def envoy_verdict(resources: Resources, node: dict[str, Any], directory: Path) -> str:
    """Return Envoy's complaint about the resources as static ones, empty if it takes them.

    Route configurations are put into the listeners that fetch them, and endpoints are left out: an EDS
    cluster names the stream that is never opened here.
    """
    configuration = bootstrap(node=node)
    routes = {route.name: route for route in resources.routes}
    static = configuration.setdefault("static_resources", {})
    static["clusters"] = [*static.get("clusters", ()), *map(_plain, resources.clusters)]
    static["listeners"] = [_plain(_with_routes(listener, routes)) for listener in resources.listeners]
    static["secrets"] = [_plain(secret) for secret in resources.secrets]
    for source in ("cds_config", "lds_config"):
        configuration["dynamic_resources"].pop(source)
    path = directory / "envoy.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", path, "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _plain(message: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return plain


def _with_routes(listener: Any, routes: dict[str, Any]) -> Any:
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for network_filter in chain.filters:
            manager = _Manager()
            if not network_filter.typed_config.Is(manager.DESCRIPTOR):
                continue
            network_filter.typed_config.Unpack(manager)
            if manager.HasField("rds"):
                manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
                network_filter.typed_config.Pack(manager)
    return listener
