"""The node that the flags of `mizzen bootstrap` describe. Impossible values are refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mizzen.cli.failure import Failure
from mizzen.config.validation.hosts import dns_label_problem, fqdn_problem
from mizzen.config.validation.labels import label_key_problem, label_value_problem
from mizzen.server.address import Address

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?")
_SEPARATORS: Final = re.compile(r"[\s\x00-\x1f\x7f~,]")
"""Not allowed in names of networks, clusters and localities: they would break the node id or a list."""


def described_node(
    kind: str,
    *,
    name: str,
    namespace: str,
    addresses: Sequence[str],
    domain: str,
    labels: Iterable[str],
    locality: str,
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """Return an Envoy Node in its JSON form.

    `kind` is sidecar or router, empty if none was given; `labels` are KEY=VALUE. Empty values of `metadata`
    are left out. Raises Failure for values that the control plane would refuse or misunderstand.
    """
    if not kind:
        raise Failure("say what the Envoy is: mizzen bootstrap sidecar|gateway, or --node FILE", exit_code=2)
    if not name or not addresses:
        raise Failure(
            "--name and --ip are needed, such as --name reviews-v1 --ip 10.0.0.7",
            exit_code=2,
        )
    if _NAME.fullmatch(name) is None:
        raise _wrong(
            "--name",
            f'"{name}" is no workload\'s name; write letters, digits and inner -, _ or ., as reviews-v1',
        )
    _check("--namespace", dns_label_problem(namespace, "name of a namespace"))
    _check("--domain", fqdn_problem(domain))
    for address in addresses:
        _check("--ip", _address_problem(address))
    for option, key in (("--network", "NETWORK"), ("--cluster-id", "CLUSTER_ID")):
        _check(option, _name_problem(metadata.get(key, "")))
    if account := metadata.get("SERVICE_ACCOUNT"):
        _check("--service-account", fqdn_problem(account))
    read = _labels(labels)
    node: dict[str, Any] = {
        "id": f"{kind}~{addresses[0]}~{name}.{namespace}~{namespace}.svc.{domain}",
        "cluster": f"{read.get('app') or name}.{namespace}",
        "metadata": {
            "NAMESPACE": namespace,
            "LABELS": read,
            **({"INSTANCE_IPS": ",".join(addresses)} if len(addresses) > 1 else {}),
            **{key: value for key, value in metadata.items() if value},
        },
    }
    if locality:
        node["locality"] = _locality(locality)
    return node


def check_control_plane(text: str) -> None:
    """Raise Failure unless `text` is an address that an Envoy can call: HOST:PORT or unix:///path."""
    if text.startswith("unix://"):
        if not text.startswith("unix:///"):
            raise _wrong("--xds-address", f'"{text}" is no path; write unix:///run/mizzen.sock')
        return
    try:
        address = Address.parse(text)
    except ValueError as error:
        raise _wrong("--xds-address", str(error)) from error
    if text.startswith(":") or not address.port:
        raise _wrong("--xds-address", f'"{text}" can be listened on but not called; write HOST:PORT')
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        # A name with underscores resolves well in a docker-compose network.
        _check("--xds-address", fqdn_problem(address.host.replace("_", "-")))


def _wrong(option: str, problem: str) -> Failure:
    return Failure(f"{option}: {problem}", exit_code=2)


def _check(option: str, problem: str | None) -> None:
    if problem is not None:
        raise _wrong(option, problem)


def _address_problem(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return f'"{text}" is not an IP address; write one, such as 10.0.0.7'
    if address.is_unspecified or address.is_multicast or "%" in text:
        return f'"{text}" is the address of no workload; write that at which it is reached, such as 10.0.0.7'
    return None


def _name_problem(text: str) -> str | None:
    if _SEPARATORS.search(text):
        return f'"{text}" is no name; write it without blanks, commas and ~'
    return None


def _labels(texts: Iterable[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise _wrong("--label", f'"{text}" is no label; write KEY=VALUE, as app=reviews')
        _check("--label", label_key_problem(key) or label_value_problem(value))
        if labels.get(key, value) != value:
            raise _wrong("--label", f'"{key}" is given twice; write one of {key}={labels[key]} and {text}')
        labels[key] = value
    return labels


def _locality(text: str) -> dict[str, str]:
    parts = text.split("/")
    if len(parts) > 3 or "" in parts:
        raise _wrong("--locality", f'"{text}": write REGION, REGION/ZONE or REGION/ZONE/SUBZONE')
    for part in parts:
        _check("--locality", _name_problem(part))
    return dict(zip(("region", "zone", "sub_zone"), parts, strict=False))
