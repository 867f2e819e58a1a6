"""The workloads that a security policy applies to: `selector`, `targetRef` or `targetRefs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mizzen.config.models import PolicyTargetReference, TypeWorkloadSelector
from mizzen.config.validation.labels import check_selector
from mizzen.config.validation.place import Place

_GATEWAY_API: Final = "gateway.networking.k8s.io"
_TARGETS: Final = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        (_GATEWAY_API, "Gateway"),
        (_GATEWAY_API, "GatewayClass"),
    }
)
_MOST_TARGETS: Final = 16


def check_policy_targets(
    selector: TypeWorkloadSelector | None,
    target_ref: PolicyTargetReference | None,
    target_refs: Sequence[PolicyTargetReference],
    place: Place,
) -> None:
    """Check which workloads the policy applies to; its spec is at `place`. At most
    one of the three may be given."""
    if selector is not None:
        whom = "every workload of the namespace"
        check_selector(selector.match_labels, place / "selector", "matchLabels", whom)
    given = [
        name
        for name, value in (("selector", selector), ("targetRef", target_ref), ("targetRefs", target_refs))
        if value is not None and value != ()
    ]
    if len(given) > 1:
        (place / given[-1]).error(f"{' and '.join(given)} exclude each other; keep one of them")
    if target_ref is not None:
        _check_reference(target_ref, place / "targetRef")
    for index, reference in enumerate(target_refs):
        _check_reference(reference, place / "targetRefs" / index)
    if len(target_refs) > _MOST_TARGETS:
        (place / "targetRefs").error(f"there are too many targets; at most {_MOST_TARGETS} are possible")


def _check_reference(reference: PolicyTargetReference, place: Place) -> None:
    if not reference.name:
        (place / "name").error("the target's name is missing; write it")
    if reference.namespace:
        (place / "namespace").error("a target is in the policy's own namespace; leave namespace out")
    if (reference.group, reference.kind) not in _TARGETS:
        place.error(
            f'"{reference.group}/{reference.kind}" cannot be a target; write a Gateway or GatewayClass of '
            f"{_GATEWAY_API}, a Service, or a ServiceEntry of networking.istio.io"
        )
