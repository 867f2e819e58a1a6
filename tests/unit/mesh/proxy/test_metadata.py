from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2

import mizzen.mesh.proxy.node
from mizzen.mesh.proxy.metadata import KEYS, UNSERVED
from mizzen.mesh.proxy.node import NodeError, Proxy
from mizzen.mesh.service import Locality

ID = "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("metadata", "remark"),
    [
        (
            {"LABELS": "x"},
            'metadata LABELS is the text "x" and counts as absent; write a mapping, such as {app: reviews}',
        ),
        ({"STATIC_LABELS": [1]}, "metadata STATIC_LABELS is a list and counts as absent; write a mapping"),
        ({"LABELS": {"app": ["a"]}}, "metadata LABELS.app is a list and counts as absent; write text"),
        ({"LABELS": {"version": 1.5}}, "metadata LABELS.version is the number 1.5; write it in quotes"),
        ({"NAMESPACE": {"a": "b"}}, "metadata NAMESPACE is a mapping and counts as absent; write text"),
        ({"INSTANCE_IPS": ["10.0.0.1"]}, "metadata INSTANCE_IPS is a list and counts as absent; write text"),
        ({"INTERCEPTION_MODE": ["NONE"]}, "metadata INTERCEPTION_MODE is a list and counts as absent"),
        ({"HTTP_PROXY_PORT": [80]}, "metadata HTTP_PROXY_PORT is a list and counts as absent"),
        ({"DNS_CAPTURE": "yes"}, 'metadata DNS_CAPTURE, "yes", is read as false; write "true" or "false"'),
        ({"PROXY_CONFIG": 0}, "metadata PROXY_CONFIG is the value 0 and counts as absent; write an object"),
        ({"labels": {"app": "a"}}, "metadata labels is not read; write LABELS"),
        ({"NAMSPACE": "other"}, "metadata NAMSPACE is not read; did you mean NAMESPACE?"),
        ({"LABLES": {"app": "a"}}, "metadata LABLES is not read; did you mean LABELS?"),
        ({"Http_10": "1"}, "metadata Http_10 is not read; did you mean HTTP10?"),
        ({"INSTANCE_IP": "10.0.0.9"}, "metadata INSTANCE_IP is not read; did you mean INSTANCE_IPS?"),
        ({"AUTO_REGISTER_GROUP": "g"}, "metadata AUTO_REGISTER_GROUP takes no effect: proxies do not regist"),
        ({"ENABLE_SELF_DISCOVERY": "true"}, "metadata ENABLE_SELF_DISCOVERY takes no effect: no cluster"),
    ],
)
def test_mistakes_that_do_not_stop_a_proxy_are_named(metadata: dict[str, Any], remark: str) -> None:
    node = {"id": ID, "metadata": metadata}
    message = base_pb2.Node(id=ID)
    message.metadata.update(metadata)
    for proxy in (Proxy.from_node(node), Proxy.from_node(message)):
        (said,) = proxy.warnings
        assert said.startswith(remark)
        assert (proxy.labels.get("app"), proxy.namespace, proxy.ip_addresses) == (None, "shop", ("10.0.0.7",))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"LABELS": {"app": "reviews", "version": 1}, "NAMESPACE": "shop", "EXTRA": ["what others read"]},
        {"DNS_CAPTURE": True, "HTTP10": 1, "UNPRIVILEGED_POD": "FALSE", "DNS_AUTO_ALLOCATE": ""},
        {"HTTP_PROXY_PORT": 15080, "ENVOY_STATUS_PORT": "15021", "PROXY_CONFIG": {}, "NETWORK": None},
        {"POD_NAME": "a", "NAME": "a", "MESH_ID": "a", "WORKLOAD_NAMESPACE": "a", "N" * 1_000_000: "a"},
        {"ENABLE_SELF_DISCOVERY": "false", "PROXY_CONFIG": ""},
    ],
)
def test_what_is_right_is_not_remarked_upon(metadata: dict[str, Any]) -> None:
    assert Proxy.from_node({"id": ID, "metadata": metadata}).warnings == ()


def test_other_fields_of_a_wrong_type() -> None:
    proxy = Proxy.from_node(
        {
            "id": ID,
            "locality": ["r"],
            "cluster": {},
            "userAgentBuildVersion": "1.40",
            "userAgentVersion": [],
        }
    )
    assert proxy.warnings == ("locality is a list and counts as absent; write a mapping",)
    assert (proxy.locality, proxy.node_cluster, proxy.envoy_version) == (Locality(), "", "")
    placed = Proxy.from_node({"id": ID, "locality": {"region": "r", "zone": ["z"]}})
    assert placed.warnings == ("locality.zone is a list and counts as absent; write text",)
    assert placed.locality == Locality("r")


@pytest.mark.parametrize("metadata", [5, "x", [], ""])
def test_metadata_that_is_no_mapping_is_no_node(metadata: Any) -> None:
    with pytest.raises(NodeError, match="metadata is not a mapping"):
        Proxy.from_node({"id": ID, "metadata": metadata})


def test_the_table_has_all_keys_that_are_read() -> None:
    """Keys are written where they are read: `_text(metadata, "NAMESPACE")`."""
    tree = ast.parse(Path(mizzen.mesh.proxy.node.__file__).read_text(encoding="utf-8"))
    read = {
        argument.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and call.args
        and (
            (isinstance(call.args[0], ast.Name) and call.args[0].id == "metadata")
            or (isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "metadata.get")
        )
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    assert read == set(KEYS)
    assert set(UNSERVED) <= set(KEYS)
