"""The bootstrap: what it says, what it refuses, and that a real Envoy starts from it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mizzen.demo.envoy_process import find_envoy
from mizzen.mesh.proxy.node import NodeError
from mizzen.translator.bootstrap import BootstrapError, XdsTls, bootstrap, bootstrap_json

NODE = {
    "id": "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local",
    "metadata": {"LABELS": {"app": "reviews"}, "HTTP_PROXY_PORT": 15080},
    "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "a"},
}


def xds_cluster(**arguments: Any) -> dict[str, Any]:
    (cluster,) = bootstrap(node=NODE, **arguments)["static_resources"]["clusters"]
    return dict(cluster)


def test_who_the_proxy_is() -> None:
    node = bootstrap(node=NODE)["node"]

    assert node == {
        "id": NODE["id"],
        "cluster": "reviews-v1.default",
        "metadata": {"LABELS": {"app": "reviews"}, "HTTP_PROXY_PORT": 15080.0},
        "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "a"},
    }
    assert bootstrap(node=NODE | {"cluster": "mine"})["node"]["cluster"] == "mine"


@pytest.mark.parametrize(("delta", "api"), [(True, "DELTA_GRPC"), (False, "GRPC")])
def test_everything_comes_over_one_stream(delta: bool, api: str) -> None:
    resources = bootstrap(node=NODE, delta=delta)["dynamic_resources"]

    ads = resources["ads_config"]
    assert (ads["api_type"], ads["transport_api_version"]) == (api, "V3")
    assert ads["set_node_on_first_message_only"] is True
    assert ads["grpc_services"][0]["envoy_grpc"]["cluster_name"] == "xds-grpc"
    # For ever: a proxy without listeners would be ready too soon.
    for source in ("cds_config", "lds_config"):
        assert resources[source] == {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


ADDRESSES = [
    ("127.0.0.1:15010", "STATIC", {"socket_address": {"address": "127.0.0.1", "port_value": 15010}}),
    ("[::1]:15010", "STATIC", {"socket_address": {"address": "::1", "port_value": 15010}}),
    (
        "mizzen.local:15010",
        "STRICT_DNS",
        {"socket_address": {"address": "mizzen.local", "port_value": 15010}},
    ),
    ("unix:///run/mizzen.sock", "STATIC", {"pipe": {"path": "/run/mizzen.sock"}}),
]


@pytest.mark.parametrize(("text", "kind", "address"), ADDRESSES)
def test_where_the_control_plane_is(text: str, kind: str, address: Any) -> None:
    cluster = xds_cluster(xds_address=text)

    assert cluster["type"] == kind
    (group,) = cluster["load_assignment"]["endpoints"]
    assert group["lb_endpoints"][0]["endpoint"]["address"] == address
    assert "keepalive" in json.dumps(cluster)


def test_tls_towards_the_control_plane() -> None:
    tls = XdsTls("/ca.pem", "/cert.pem", "/key.pem")

    context = xds_cluster(xds_address="mizzen.local:15012", xds_tls=tls)["transport_socket"]["typed_config"]

    assert context["sni"] == "mizzen.local"
    shared = context["common_tls_context"]
    assert shared["alpn_protocols"] == ["h2"]
    assert shared["validation_context"] == {
        "trusted_ca": {"filename": "/ca.pem"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "mizzen.local"}}],
    }
    assert shared["tls_certificates"] == [
        {"certificate_chain": {"filename": "/cert.pem"}, "private_key": {"filename": "/key.pem"}}
    ]


WRONG = [
    ({"xds_address": "15010"}, 'the control plane\'s address "15010" is not an address; write host:port or'),
    ({"xds_address": "a:b"}, "is not an address"),
    ({"xds_address": "a:70000"}, "is not an address"),
    ({"admin_address": "localhost:15000"}, "must begin with an IP address, such as 127.0.0.1"),
    ({"xds_tls": XdsTls("")}, "needs the file of the roots"),
    ({"xds_tls": XdsTls("/ca", "/cert")}, "needs both its files"),
    ({"node": NODE | {"locality": {"rgion": "eu"}}}, "node: "),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_a_wrong_argument_is_named(arguments: Any, words: str) -> None:
    with pytest.raises(BootstrapError, match=re.escape(words)):
        bootstrap(**({"node": NODE} | arguments))


def test_a_node_that_would_be_refused_is_refused_here() -> None:
    with pytest.raises(NodeError, match="four are needed"):
        bootstrap(node={"id": "reviews"})


def included(stat: str) -> bool:
    patterns = bootstrap(node=NODE)["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    return any(
        stat.startswith(each["prefix"]) if "prefix" in each else stat.endswith(each["suffix"])
        for each in patterns
    )


KEPT = [
    "cluster_manager.cds.update_rejected",
    "cluster_manager.warming_clusters",
    "listener_manager.lds.update_success",
    "control_plane.connected_state",
    "server.live",
    "cluster.xds-grpc.upstream_cx_connect_timeout",
    "cluster.outbound|80||a.example;.upstream_rq_total",
    "cluster.outbound|80||a.example;.upstream_rq_5xx",
    "http.outbound_0.0.0.0_80;.downstream_rq_2xx",
    "listener.0.0.0.0_80.downstream_cx_total",
]
DROPPED = [
    "cluster.outbound|80||a.example;.upstream_rq_503",
    "cluster.outbound|80||a.example;.circuit_breakers.default.cx_open",
    "cluster.outbound|80||a.example;.lb_healthy_panic",
    "listener.0.0.0.0_80.worker_0.downstream_cx_active_x",
]


def test_lean_statistics_keep_the_totals() -> None:
    assert [stat for stat in KEPT if not included(stat)] == []
    assert [stat for stat in DROPPED if included(stat)] == []
    assert "stats_matcher" not in bootstrap(node=NODE, stats="full")["stats_config"]


TAGS = [
    ("cluster.outbound|80||a.b.example;.upstream_rq_200", "cluster_name", "outbound|80||a.b.example"),
    ("cluster.xds-grpc.upstream_cx_total", "cluster_name", "xds-grpc"),
    ("http.outbound_0.0.0.0_80;.downstream_rq_2xx", "http_conn_manager_prefix", "outbound_0.0.0.0_80"),
    ("http.admin.downstream_rq_2xx", "http_conn_manager_prefix", "admin"),
]


@pytest.mark.parametrize(("stat", "tag", "value"), TAGS)
def test_names_become_labels(stat: str, tag: str, value: str) -> None:
    tags = bootstrap(node=NODE)["stats_config"]["stats_tags"]
    regexes = [each["regex"] for each in tags if each["tag_name"] == f"envoy.{tag}" and "regex" in each]

    (match,) = [found for regex in regexes if (found := re.search(regex, stat))]

    # Envoy removes the first group from the name and takes the second as the value.
    assert match.group(2) == value


VARIANTS: list[dict[str, Any]] = [
    {},
    {"stats": "full", "delta": False, "xds_address": "mizzen.local:15010", "max_connections": 1000},
    {"xds_address": "unix:///run/mizzen.sock", "admin_address": "[::1]:15000"},
]


@pytest.mark.envoy
@pytest.mark.parametrize("arguments", VARIANTS)
def test_a_real_envoy_takes_it_without_a_warning(arguments: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.json"
    file.write_text(bootstrap_json(node=NODE, **arguments))

    ran = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", file, "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (ran.returncode, ran.stderr.strip()) == (0, "")
