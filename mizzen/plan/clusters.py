"""What changes between two clusters, and between two sets of endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from mizzen.explain.route_words import cluster_words
from mizzen.explain.tables.clusters import tls
from mizzen.explain.tables.endpoints import address_words, health_words, locality_words
from mizzen.plan.change import Change, Danger, Sign
from mizzen.plan.message_differences import differences
from mizzen.plan.places import of_cluster

_MOST: Final = 5


def cluster_changes(old: Any | None, new: Any | None) -> Iterator[Change]:
    """Yield the changes from one Cluster to another; None stands for no cluster."""
    cluster = new if new is not None else old
    assert cluster is not None
    name = str(cluster.name)
    place = of_cluster(name)
    if old is None:
        spoken = tls(cluster)
        yield Change(
            Sign.ADDED, "cluster", cluster_words(name), f"speaks {spoken}" if spoken else "", place=place
        )
        return
    if new is None:
        yield Change(Sign.REMOVED, "cluster", cluster_words(name), place=place)
        return
    details = list(differences(old, new)) or ["changed"]
    was, now = tls(old), tls(new)
    danger = Danger.NONE
    if was != now:
        details.insert(0, f"speaks {was or 'plaintext'} to {now or 'plaintext'}")
        danger = Danger.PLAINTEXT if was and not now else Danger.NONE
    # Envoy replaces a changed cluster by a new one, and drains the connections of the old one.
    yield Change(
        Sign.CHANGED,
        "cluster",
        cluster_words(name),
        "is replaced: new connections",
        tuple(details),
        danger,
        place,
    )


def assignment_changes(name: str, old: Any | None, new: Any | None) -> Iterator[Change]:
    """Yield the changes from one ClusterLoadAssignment to another; None stands for no assignment.

    Endpoints that are added or removed together with their cluster give no change here.
    """
    words, place = cluster_words(name), of_cluster(name)
    before, after = _endpoints(old), _endpoints(new)
    details = [
        *_counted("without", [each for each in before if each not in after]),
        *_counted("with", [each for each in after if each not in before]),
    ]
    for each in before.keys() & after.keys():
        details += [f"{each}: {what}" for what in _endpoint(before[each], after[each])]
    if old is None or new is None:
        sign = Sign.ADDED if old is None else Sign.REMOVED
        many = len(after if old is None else before)
        yield Change(sign, "endpoints", words, f"{many} endpoint{'s' if many != 1 else ''}", place=place)
        return
    # The weight of a locality is the sum of its endpoints' weights, which are reported already.
    rest = differences(_bare(old, weights=not details), _bare(new, weights=not details))
    details = [*sorted(details)[: 2 * _MOST], *rest] or list(differences(old, new)) or ["in a new order"]
    what = f"from {len(before)} to {len(after)}" if len(before) != len(after) else ""
    yield Change(Sign.CHANGED, "endpoints", words, what, tuple(details), place=place)


def _endpoints(assignment: Any | None) -> dict[str, tuple[Any, Any]]:
    """Return the endpoints by address, each with its locality; the last one if an address appears twice."""
    found = {}
    if assignment is not None:
        for locality in assignment.endpoints:
            for endpoint in locality.lb_endpoints:
                found[address_words(endpoint)] = (locality, endpoint)
    return found


def _endpoint(old: tuple[Any, Any], new: tuple[Any, Any]) -> Iterator[str]:
    (where, was), (there, now) = old, new
    if where.priority != there.priority:
        yield f"priority {where.priority} to {there.priority}"
    if locality_words(where) != locality_words(there):
        yield f"locality {locality_words(where)} to {locality_words(there)}"
    if was != now:
        yield from _endpoint_fields(was, now)


def _endpoint_fields(was: Any, now: Any) -> Iterator[str]:
    weights = was.load_balancing_weight.value or 1, now.load_balancing_weight.value or 1
    if weights[0] != weights[1]:
        yield f"weight {weights[0]} to {weights[1]}"
    if was.health_status != now.health_status:
        yield f"health {health_words(was.health_status)} to {health_words(now.health_status)}"
    rest = []
    for each in (was, now):
        copied = type(each)()
        copied.CopyFrom(each)
        copied.ClearField("health_status")
        copied.ClearField("load_balancing_weight")
        rest.append(copied)
    yield from differences(*rest)


def _bare(assignment: Any, *, weights: bool) -> Any:
    """Return a copy of an assignment with empty localities."""
    copied = type(assignment)()
    copied.CopyFrom(assignment)
    for locality in copied.endpoints:
        locality.ClearField("lb_endpoints")
        if not weights:
            locality.ClearField("load_balancing_weight")
    kept = [each for each in copied.endpoints if each.locality.ByteSize() or each.priority or weights]
    del copied.endpoints[:]
    copied.endpoints.extend(kept)
    return copied


def _counted(word: str, found: Iterable[str]) -> list[str]:
    names = sorted(found)
    if not names:
        return []
    more = len(names) - _MOST
    return [f"{word} {', '.join(names[:_MOST])}{f' and {more} more' if more > 0 else ''}"]
