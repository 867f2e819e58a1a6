"""Fields that are read but take no effect: each has a line here with the reason, and giving one is a warning.

Every field of Istio's API either takes effect or is in this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from mizzen.config import group_kinds
from mizzen.config.document import Config, GroupKind
from mizzen.config.models import SPECS
from mizzen.config.models.fields import leaf_fields
from mizzen.config.validation.field_warnings import FieldWarnings, by_attributes
from mizzen.config.validation.place import Place

_IN_ISTIO_TOO: Final = "Istio ignores it too"
_NOT_IN_ENVOYS_MESSAGES: Final = "the Envoy API in use has no such setting"
_NO_REGISTRATION: Final = "proxies do not register themselves yet; write a WorkloadEntry for each workload"
_NO_GATEWAY_API: Final = (
    "the Kubernetes Gateway API is not served, so the policy is for nothing; write selector to pick workloads"
)
_POLICIES: Final = ("spec.trafficPolicy", "spec.subsets[].trafficPolicy")

UNSERVED: Final[Mapping[GroupKind, Mapping[str, str]]] = {
    group_kinds.AUTHORIZATION_POLICY: {
        "spec.targetRef": _NO_GATEWAY_API,
        "spec.targetRefs": _NO_GATEWAY_API,
    },
    group_kinds.DESTINATION_RULE: {
        **{
            f"{policy}.outlierDetection.consecutiveErrors": f"{_IN_ISTIO_TOO}, for consecutive5xxErrors"
            for policy in (*_POLICIES, *(f"{policy}.portLevelSettings[]" for policy in _POLICIES))
        },
        **{f"{policy}.retryBudget.budgetInterval": _NOT_IN_ENVOYS_MESSAGES for policy in _POLICIES},
    },
    group_kinds.GATEWAY: {
        "spec.servers[].defaultEndpoint": _IN_ISTIO_TOO,
    },
    group_kinds.PEER_AUTHENTICATION: {},
    group_kinds.REQUEST_AUTHENTICATION: {
        "spec.targetRef": _NO_GATEWAY_API,
        "spec.targetRefs": _NO_GATEWAY_API,
    },
    group_kinds.SERVICE_ENTRY: {},
    group_kinds.SIDECAR: {
        "spec.ingress[].tls": "Istio serves it only if told to (ENABLE_TLS_ON_SIDECAR_INGRESS)",
    },
    group_kinds.VIRTUAL_SERVICE: {
        "spec.tcp[].match[].sourceSubnet": _IN_ISTIO_TOO,
    },
    group_kinds.WORKLOAD_ENTRY: {},
    group_kinds.WORKLOAD_GROUP: {
        "spec.metadata": _NO_REGISTRATION,
        "spec.probe": "it is Istio's agent beside a proxy that probes, and plain Envoy has none",
        "spec.template": _NO_REGISTRATION,
    },
}
"""By kind: the path of a field (a leaf, or a message with all fields in it), and why it takes no effect."""


@cache
def _unserved(kind: GroupKind) -> FieldWarnings:
    return FieldWarnings(by_attributes(UNSERVED[kind], tuple(leaf_fields(SPECS[kind]))))


def check_unserved_fields(config: Config[Any], place: Place) -> None:
    """Warn, with the code MZ0001, about each field without effect in the spec at `place`."""
    for here, reason in _unserved(config.group_kind).given_in(config.spec, place):
        remedy = "" if ";" in reason else "; leave it out"
        here.warning(f"{here.path[-1]} takes no effect: {reason}{remedy}", "MZ0001")
