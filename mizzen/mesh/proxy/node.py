"""A proxy, as its xDS node describes it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol

from google.protobuf.message import Message
from pydantic import ValidationError

from mizzen.config.interception import InterceptionMode
from mizzen.config.models.types import parse_duration
from mizzen.config.proxy_config import ProxyConfig
from mizzen.mesh.proxy.metadata import is_true, node_warnings
from mizzen.mesh.service import Locality

ProxyType = Literal["sidecar", "router"]


class NodeError(ValueError):
    """A node that does not describe a proxy; the message says which part is wrong and what would be right."""


class NodeMessage(Protocol):
    """The part of `envoy.config.core.v3.Node` by which it is distinguished from a mapping here."""

    id: str


@dataclass(frozen=True, slots=True)
class NodeMetadata:
    """The keys of the node's metadata that change what a proxy is sent (Istio's model.NodeMetadata).

    The numbers are ports; None: not given. `istio_version` is empty if it is not given. `proxy_config`
    replaces MeshConfig.defaultConfig for this proxy.
    """

    http_proxy_port: int | None = None
    idle_timeout: timedelta | None = None
    http10: bool = False
    dns_capture: bool = False
    dns_auto_allocate: bool = False
    unprivileged_pod: bool = False
    envoy_status_port: int | None = None
    envoy_prometheus_port: int | None = None
    istio_version: str = ""
    node_name: str = ""
    workload_name: str = ""
    workload_entry: str = ""
    auto_register_group: str = ""
    requested_network_view: tuple[str, ...] = ()
    tls_server_cert_chain: str = ""
    tls_server_key: str = ""
    tls_server_root_cert: str = ""
    tls_client_cert_chain: str = ""
    tls_client_key: str = ""
    tls_client_root_cert: str = ""
    inbound_listener_exact_balance: bool = False
    outbound_listener_exact_balance: bool = False
    enable_self_discovery: bool = False
    agent: bool = False
    credential: bool = False
    file_credential: bool = False
    generator: str = ""
    proxy_config: ProxyConfig | None = None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Proxy:
    """One proxy: a sidecar beside a workload, or a router at the edge. `id` is its name, conventionally
    `pod.namespace`; `labels` are those of its own metadata (the workload's are `Mesh.workload_labels`).
    `warnings` are the proxy warnings: mistakes in its node that do not stop it. `is_unproven`: nothing proves
    who connects, so it is sent no Secret."""

    type: ProxyType
    node_id: str
    id: str
    ip_addresses: tuple[str, ...]
    dns_domain: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    static_labels: Mapping[str, str] = field(default_factory=dict)
    locality: Locality = field(default_factory=Locality)
    network: str = ""
    cluster_id: str = ""
    service_account: str = ""
    interception_mode: InterceptionMode = "REDIRECT"
    metadata: NodeMetadata = NodeMetadata()
    node_cluster: str = ""
    envoy_version: str = ""
    warnings: tuple[str, ...] = ()
    is_unproven: bool = False

    @classmethod
    def from_node(cls, node: Mapping[str, Any] | NodeMessage) -> Proxy:
        """Return the proxy that `node` describes: an `envoy.config.core.v3.Node`, or the same as a mapping
        with the field names of its JSON form or of the .proto file.

        Raises NodeError if the id or the metadata do not describe a proxy (Istio's
        model.ParseServiceNodeWithMetadata).
        """
        fields = _as_mapping(node)
        node_id = fields.get("id") or ""
        proxy_type, address, name, dns_domain = _split_id(node_id)
        given = fields.get("metadata")
        if given is not None and not isinstance(given, Mapping):
            raise NodeError(f'node "{node_id}": metadata is not a mapping; write keys and values')
        metadata = _with_sorted_keys(given or {})
        labels = _string_map(metadata, "LABELS")
        return cls(
            type=proxy_type,
            node_id=node_id,
            id=name,
            ip_addresses=_addresses(metadata, address, node_id),
            dns_domain=dns_domain,
            namespace=_text(metadata, "NAMESPACE") or (dns_domain.split(".")[0] if "." in dns_domain else ""),
            labels=labels,
            static_labels=_string_map(metadata, "STATIC_LABELS"),
            locality=_locality(fields),
            network=_text(metadata, "NETWORK"),
            cluster_id=_text(metadata, "CLUSTER_ID"),
            service_account=_text(metadata, "SERVICE_ACCOUNT"),
            interception_mode=_interception_mode(metadata, node_id),
            metadata=_metadata(metadata, node_id),
            node_cluster=_text(fields, "cluster"),
            envoy_version=_envoy_version(fields),
            warnings=node_warnings(fields),
        )

    @property
    def account(self) -> str:
        """The service account of its identity; `default` if the node names none."""
        return self.service_account or "default"

    @property
    def is_ipv4_only(self) -> bool:
        """True if all its addresses are IPv4."""
        return all(":" not in address for address in self.ip_addresses)

    @property
    def is_ipv6_only(self) -> bool:
        """True if all its addresses are IPv6."""
        return all(":" in address for address in self.ip_addresses)


def _with_sorted_keys(value: Any) -> Any:
    """Return the same plain value. The keys of a message have no order, but two equal nodes must make two
    proxies that read alike."""
    if isinstance(value, Mapping):
        return {key: _with_sorted_keys(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list):
        return [_with_sorted_keys(each) for each in value]
    return value


def _as_mapping(node: Mapping[str, Any] | NodeMessage) -> Mapping[str, Any]:
    if isinstance(node, Mapping):
        return node
    if not isinstance(node, Message):
        raise NodeError("a node is a mapping or an envoy.config.core.v3.Node message")
    from google.protobuf import json_format  # imported here, so that only callers with messages pay for it

    message: Any = node
    # Field by field: Envoy lists hundreds of extensions, which are not needed.
    return {
        "id": message.id,
        "cluster": message.cluster,
        "metadata": json_format.MessageToDict(message.metadata),
        "locality": json_format.MessageToDict(message.locality),
        "userAgentVersion": message.user_agent_version,
        "userAgentBuildVersion": json_format.MessageToDict(message.user_agent_build_version),
    }


def _split_id(node_id: object) -> tuple[ProxyType, str, str, str]:
    parts = node_id.split("~") if isinstance(node_id, str) else []
    if len(parts) != 4:
        raise NodeError(
            f'node id "{node_id}" has {len(parts)} part(s) separated by "~"; four are needed, as in '
            "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local"
        )
    proxy_type, address, name, dns_domain = parts
    if proxy_type == "sidecar":
        return "sidecar", address, name, dns_domain
    if proxy_type == "router":
        return "router", address, name, dns_domain
    raise NodeError(
        f'node id "{node_id}": the first part, "{proxy_type}", is not a type of proxy served here; '
        "write sidecar or router"
    )


def _addresses(metadata: Mapping[str, Any], address: str, node_id: str) -> tuple[str, ...]:
    given = _text(metadata, "INSTANCE_IPS")
    texts = [text.strip() for text in given.split(",")] if given else [address]
    try:
        return tuple(str(ipaddress.ip_address(text)) for text in texts)
    except ValueError:
        where = "metadata INSTANCE_IPS" if given else "the second part"
        wrong = given or address
        raise NodeError(
            f'node id "{node_id}": {where}, "{wrong}", is not an IP address; write the address at which '
            "the workload is reached, such as 10.0.0.7"
        ) from None


def _mapping(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = fields.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    if value is None or isinstance(value, Mapping | list | tuple):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _flag(metadata: Mapping[str, Any], key: str) -> bool:
    return is_true(_text(metadata, key))


def _port(metadata: Mapping[str, Any], key: str, node_id: str) -> int | None:
    text = _text(metadata, key)
    if not text:
        return None
    if not (text.isdecimal() and 0 <= int(text) <= 65535):
        raise NodeError(
            f'node "{node_id}": metadata {key}, "{text}", is not a port; write a number up to 65535'
        )
    return int(text) or None


def _string_map(metadata: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value = _mapping(metadata, key)
    return {str(name): _text(value, name) for name in value if not isinstance(value[name], Mapping | list)}


def _locality(fields: Mapping[str, Any]) -> Locality:
    given = _mapping(fields, "locality")
    return Locality(
        _text(given, "region"), _text(given, "zone"), _text(given, "sub_zone") or _text(given, "subZone")
    )


def _interception_mode(metadata: Mapping[str, Any], node_id: str) -> InterceptionMode:
    mode = _text(metadata, "INTERCEPTION_MODE")
    if mode in ("", "REDIRECT"):
        return "REDIRECT"
    if mode == "TPROXY":
        return "TPROXY"
    if mode == "NONE":
        return "NONE"
    raise NodeError(
        f'node "{node_id}": metadata INTERCEPTION_MODE, "{mode}", is unknown; write REDIRECT, TPROXY or NONE'
    )


def _idle_timeout(metadata: Mapping[str, Any], node_id: str) -> timedelta | None:
    text = _text(metadata, "IDLE_TIMEOUT")
    if not text:
        return None
    try:
        timeout = parse_duration(text)
    except ValueError as error:
        raise NodeError(f'node "{node_id}": metadata IDLE_TIMEOUT: {error}') from None
    if timeout < timedelta(0):
        raise NodeError(f'node "{node_id}": metadata IDLE_TIMEOUT: "{text}" is negative; write 0s or more')
    return timeout


def _metadata(metadata: Mapping[str, Any], node_id: str) -> NodeMetadata:
    views = _text(metadata, "REQUESTED_NETWORK_VIEW")
    return NodeMetadata(
        http_proxy_port=_port(metadata, "HTTP_PROXY_PORT", node_id),
        idle_timeout=_idle_timeout(metadata, node_id),
        http10=_flag(metadata, "HTTP10"),
        dns_capture=_flag(metadata, "DNS_CAPTURE"),
        dns_auto_allocate=_flag(metadata, "DNS_AUTO_ALLOCATE"),
        unprivileged_pod=_flag(metadata, "UNPRIVILEGED_POD"),
        envoy_status_port=_port(metadata, "ENVOY_STATUS_PORT", node_id),
        envoy_prometheus_port=_port(metadata, "ENVOY_PROMETHEUS_PORT", node_id),
        istio_version=_text(metadata, "ISTIO_VERSION"),
        node_name=_text(metadata, "NODE_NAME"),
        workload_name=_text(metadata, "WORKLOAD_NAME"),
        workload_entry=_text(metadata, "WORKLOAD_ENTRY"),
        auto_register_group=_text(metadata, "AUTO_REGISTER_GROUP"),
        requested_network_view=tuple(part.strip() for part in views.split(",") if part.strip()),
        tls_server_cert_chain=_text(metadata, "TLS_SERVER_CERT_CHAIN"),
        tls_server_key=_text(metadata, "TLS_SERVER_KEY"),
        tls_server_root_cert=_text(metadata, "TLS_SERVER_ROOT_CERT"),
        tls_client_cert_chain=_text(metadata, "TLS_CLIENT_CERT_CHAIN"),
        tls_client_key=_text(metadata, "TLS_CLIENT_KEY"),
        tls_client_root_cert=_text(metadata, "TLS_CLIENT_ROOT_CERT"),
        inbound_listener_exact_balance=_flag(metadata, "INBOUND_LISTENER_EXACT_BALANCE"),
        outbound_listener_exact_balance=_flag(metadata, "OUTBOUND_LISTENER_EXACT_BALANCE"),
        enable_self_discovery=_flag(metadata, "ENABLE_SELF_DISCOVERY"),
        agent=_flag(metadata, "SDS_AGENT"),
        credential=_flag(metadata, "credential"),
        file_credential=_flag(metadata, "file-credential"),
        generator=_text(metadata, "GENERATOR"),
        proxy_config=_proxy_config(metadata, node_id),
    )


def _proxy_config(metadata: Mapping[str, Any], node_id: str) -> ProxyConfig | None:
    """Read PROXY_CONFIG, an object or its JSON text; fields that do not change what is sent are ignored."""
    given = metadata.get("PROXY_CONFIG")
    if not given:
        return None
    try:
        return ProxyConfig.model_validate(json.loads(given) if isinstance(given, str) else given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise NodeError(f'node "{node_id}": metadata PROXY_CONFIG: {where}: {first["msg"]}') from None
    except ValueError:
        raise NodeError(
            f'node "{node_id}": metadata PROXY_CONFIG is not JSON; write an object of ProxyConfig'
        ) from None


def _envoy_version(fields: Mapping[str, Any]) -> str:
    build = _mapping(fields, "userAgentBuildVersion") or _mapping(fields, "user_agent_build_version")
    version = _mapping(build, "version")
    major = _text(version, "majorNumber") or _text(version, "major_number")
    if major:
        minor = _text(version, "minorNumber") or _text(version, "minor_number") or "0"
        return f"{major}.{minor}.{_text(version, 'patch') or '0'}"
    return _text(fields, "userAgentVersion") or _text(fields, "user_agent_version")
