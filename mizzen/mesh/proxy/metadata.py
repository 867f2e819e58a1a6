"""The keys of a node's metadata that Mizzen reads, and the mistakes in them that do not stop a proxy.

The keys and their types are those of Istio's model.NodeMetadata. Istio refuses a node over a value of a wrong
type. Here the value counts as absent and a proxy warning names it, because operators of the server seldom
read Envoy's log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

ValueType = Literal["text", "flag", "port", "mapping", "object"]

KEYS: Final[Mapping[str, ValueType]] = {
    "NAMESPACE": "text",
    "LABELS": "mapping",
    "STATIC_LABELS": "mapping",
    "INSTANCE_IPS": "text",
    "INTERCEPTION_MODE": "text",
    "NETWORK": "text",
    "REQUESTED_NETWORK_VIEW": "text",
    "CLUSTER_ID": "text",
    "SERVICE_ACCOUNT": "text",
    "NODE_NAME": "text",
    "WORKLOAD_NAME": "text",
    "ISTIO_VERSION": "text",
    "PROXY_CONFIG": "object",
    "HTTP_PROXY_PORT": "port",
    "ENVOY_STATUS_PORT": "port",
    "ENVOY_PROMETHEUS_PORT": "port",
    "IDLE_TIMEOUT": "text",
    "HTTP10": "flag",
    "DNS_CAPTURE": "flag",
    "DNS_AUTO_ALLOCATE": "flag",
    "UNPRIVILEGED_POD": "flag",
    "INBOUND_LISTENER_EXACT_BALANCE": "flag",
    "OUTBOUND_LISTENER_EXACT_BALANCE": "flag",
    "TLS_CLIENT_CERT_CHAIN": "text",
    "TLS_CLIENT_KEY": "text",
    "TLS_CLIENT_ROOT_CERT": "text",
    "TLS_SERVER_CERT_CHAIN": "text",
    "TLS_SERVER_KEY": "text",
    "TLS_SERVER_ROOT_CERT": "text",
    "AUTO_REGISTER_GROUP": "text",
    "WORKLOAD_ENTRY": "text",
    "GENERATOR": "text",
    "ENABLE_SELF_DISCOVERY": "flag",
    "SDS_AGENT": "flag",
    "credential": "flag",
    "file-credential": "flag",
}
"""Every key that is read, with the type of its value."""

_LONGEST: Final = max(map(len, KEYS)) + 1


def _shortened(key: str) -> set[str]:
    """Return the key, and it without each of its letters. Two keys that differ by one letter (missing, added,
    different, or swapped with the next) have one of these in common."""
    return {key, *(key[:at] + key[at + 1 :] for at in range(len(key)))}


_NEAR: Final = {short: key for key in KEYS for short in _shortened(key.upper())}

_NO_REGISTRATION: Final = "proxies do not register themselves yet; write a WorkloadEntry for it"
_NO_SERVER_FILES: Final = "name the files in the tls of a Gateway's server instead"
_NO_AGENT: Final = "it is Istio's agent that would serve such secrets, and plain Envoy has none"

UNSERVED: Final[Mapping[str, str]] = {
    "AUTO_REGISTER_GROUP": _NO_REGISTRATION,
    "WORKLOAD_ENTRY": _NO_REGISTRATION,
    "GENERATOR": "every proxy is sent Envoy's own resources; leave it out",
    "ENABLE_SELF_DISCOVERY": "no cluster stands for the proxy itself; leave it out",
    "TLS_SERVER_CERT_CHAIN": _NO_SERVER_FILES,
    "TLS_SERVER_KEY": _NO_SERVER_FILES,
    "TLS_SERVER_ROOT_CERT": _NO_SERVER_FILES,
    "credential": _NO_AGENT,
    "file-credential": _NO_AGENT,
}
"""Keys that Istio acts on and that take no effect here, with the reason."""

_TRUE: Final = ("true", "1")
_FALSE: Final = ("false", "0", "")
_SHOULD_BE: Final[Mapping[ValueType, str]] = {
    "text": "text",
    "flag": '"true" or "false"',
    "port": "a number",
    "mapping": "a mapping, such as {app: reviews}",
    "object": "an object of ProxyConfig",
}


def is_true(text: str) -> bool:
    """Tell whether the text of a flag means true (Istio's model.StringBool)."""
    return text.lower() in _TRUE


def node_warnings(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the mistakes in a node that do not stop its proxy, each with what would be right.

    `node` has the fields of Envoy's Node in its JSON form. The order is always the same, although the order
    of a message's keys is not.
    """
    return tuple(sorted(_mistakes(node)))


def _mistakes(node: Mapping[str, Any]) -> Iterator[str]:
    locality = node.get("locality")
    if locality is not None and not isinstance(locality, Mapping):
        yield f"locality is {_described(locality)} and counts as absent; write a mapping"
    elif locality is not None:
        for part, value in locality.items():
            if _is_container(value):
                yield f"locality.{part} is {_described(value)} and counts as absent; write text"
    metadata = node.get("metadata")
    if isinstance(metadata, Mapping):
        for key, value in metadata.items():
            yield from _mistakes_in(str(key), value)


def _mistakes_in(key: str, value: Any) -> Iterator[str]:
    if key not in KEYS:
        if key.upper() in KEYS:
            yield f"metadata {key} is not read; write {key.upper()}"
        elif near := _near(key):
            yield f"metadata {key} is not read; did you mean {near}?"
        return
    if value is None:
        return
    kind = KEYS[key]
    if _is_wrong(kind, value):
        yield f"metadata {key} is {_described(value)} and counts as absent; write {_SHOULD_BE[kind]}"
    elif kind == "mapping":
        yield from _label_mistakes(key, value)
    elif kind == "flag" and str(_plain(value)).lower() not in (*_TRUE, *_FALSE):
        yield f'metadata {key}, "{value}", is read as false; write "true" or "false"'
    elif key in UNSERVED and not (kind == "flag" and not is_true(str(_plain(value)))):
        yield f"metadata {key} takes no effect: {UNSERVED[key]}"


def _near(key: str) -> str:
    """Return the key that is read and differs by one letter, or an empty text."""
    if len(key) > _LONGEST:
        return ""
    return next((_NEAR[each] for each in sorted(_shortened(key.upper())) if each in _NEAR), "")


def _label_mistakes(key: str, labels: Mapping[Any, Any]) -> Iterator[str]:
    for name, value in labels.items():
        if _is_container(value):
            yield f"metadata {key}.{name} is {_described(value)} and counts as absent; write text"
        elif isinstance(value, float) and not value.is_integer():
            yield f"metadata {key}.{name} is the number {value}; write it in quotes if it is a version"


def _is_wrong(kind: ValueType, value: Any) -> bool:
    if kind == "mapping":
        return not isinstance(value, Mapping)
    if kind == "object":
        # A value that is not an object is refused elsewhere, with a message of its own.
        return not value and value != "" and not isinstance(value, Mapping)
    return _is_container(value)


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _plain(value: Any) -> Any:
    """Return whole numbers as integers: in a Struct, 1 arrives as 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f'the text "{value}"' if isinstance(value, str) else f"the value {_plain(value)}"
