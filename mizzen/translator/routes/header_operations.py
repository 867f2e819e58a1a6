"""Header operations: Istio's Headers as Envoy's lists of headers to add and to remove.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#Headers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2

from mizzen.config.models.virtual_service import HeaderOperations, Headers

_SET = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_ADD = base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


def apply_headers(target: Any, headers: Headers | None) -> str:
    """Append the operations of `headers` to `target`, a Route or a WeightedCluster.ClusterWeight.

    `set` comes before `add`, each sorted by name. Returns the authority that the request operations set, or
    "": Envoy rejects it as a header operation, and has a separate field for rewriting it.
    """
    if headers is None:
        return ""
    if headers.response is not None:
        target.response_headers_to_add.extend(_options(headers.response))
        target.response_headers_to_remove.extend(_removed(headers.response))
    if headers.request is None:
        return ""
    target.request_headers_to_add.extend(_options(headers.request))
    target.request_headers_to_remove.extend(_removed(headers.request))
    return _authority(headers.request.set) or _authority(headers.request.add)


def _options(operations: HeaderOperations) -> list[Any]:
    return [
        base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=name, value=value), append_action=append_action
        )
        for values, append_action in ((operations.set, _SET), (operations.add, _ADD))
        for name, value in sorted(values.items())
        if not _is_internal(name)
    ]


def _removed(operations: HeaderOperations) -> list[str]:
    return [name for name in operations.remove if not _is_internal(name)]


def _authority(values: Mapping[str, str]) -> str:
    for name, value in sorted(values.items()):
        if name.lower() in (":authority", "host"):
            return value
    return ""


def _is_internal(name: str) -> bool:
    """Return whether Envoy rejects header operations for this name."""
    return name.startswith(":") or name.lower() == "host"
