"""Compares how calls ended with what a test expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mizzen.config.models.virtual_service import Destination, HTTPRedirect
from mizzen.mesh.hosts import resolve_short_name
from mizzen.mesh_tests.ends import CallEnd, Ending, destination_text
from mizzen.mesh_tests.model import ArrivingRequest, DestinationWeight, Expectation

_EXACT: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with the ends of a call, in one sentence. `end` is the wrong end, or None if a share of
    the calls is missing."""

    said: str
    end: CallEnd | None = None


class Names:
    """Resolves short host names for a caller in `namespace`."""

    def __init__(self, namespace: str, domain: str) -> None:
        self._namespace = namespace
        self._domain = domain

    def mean(self, name: str, host: str) -> bool:
        """Return True if `name` (`reviews`, `reviews.shop`, `reviews.shop.svc`) is short for `host`."""
        domain = self._domain
        return host.lower() in (  # `name` is in lower case, and so are hosts, but not PassthroughCluster
            name,
            resolve_short_name(name, self._namespace, domain),
            f"{name}.svc.{domain}",
            f"{name}.{domain}",
        )


def judge(expect: Expectation, ends: Sequence[CallEnd], names: Names, tolerance: float = 0.0) -> Wrong | None:
    """Return what is wrong with the ends of a call, or None if the call ended as expected.

    `tolerance` is how far a share may be from its weight: 0 for a simulator, more for counted real calls.
    """
    if expect.destination is not None:
        wanted = (DestinationWeight.of(destination=expect.destination, weight=1),)
        return _split(wanted, ends, names, 0.0) or _arriving(expect.request, ends)
    if expect.route:
        return _split(expect.route, ends, names, tolerance) or _arriving(expect.request, ends)
    for end in ends:
        said = _answer(expect, end)
        if said:
            return Wrong(_share(end, len(ends)) + said, end)
    return None


def expectation_text(expect: Expectation) -> str:
    """Return in words what a test expects."""
    if expect.destination is not None:
        text = f"it goes to {_wanted(expect.destination)}"
    elif expect.route:
        total = _total(expect.route)
        text = ", ".join(
            f"{100 * each.weight / total:.4g} % to {_wanted(each.destination)}" for each in expect.route
        )
    elif expect.redirect is not None:
        given = expect.redirect.model_dump(by_alias=True, exclude_unset=True)
        text = f"a redirect with {', '.join(f'{name} {value}' for name, value in given.items())}".strip()
    elif expect.status is not None:
        text = f"a proxy answers {expect.status}"
    elif expect.denied:
        text = "a policy denies the call"
    else:
        text = "the connection is closed without an answer"
    return text


def destination_hosts(expect: Expectation) -> tuple[str, ...]:
    """Return the hosts to which a test expects calls to go, as it writes them, each once."""
    wanted = [each.destination for each in expect.route]
    if expect.destination is not None:
        wanted.append(expect.destination)
    return tuple(dict.fromkeys(each.host for each in wanted))


def _wanted(destination: Destination) -> str:
    port = destination.port.number if destination.port is not None else 0
    return destination_text(destination.host, destination.subset, port)


def _total(route: Iterable[DestinationWeight]) -> int:
    return sum(each.weight for each in route) or 1


def _split(
    wanted: Sequence[DestinationWeight], ends: Sequence[CallEnd], names: Names, tolerance: float
) -> Wrong | None:
    """Compare shares. Weights count in proportion to their sum; a single destination gets all calls."""
    lost = [end for end in ends if end.ending is not Ending.ARRIVES]
    if lost:
        return Wrong(_share(lost[0], len(ends)) + lost[0].told, lost[0])
    alone = len(wanted) == 1
    total = _total(wanted)
    left = list(ends)
    for each in wanted:
        found = [end for end in left if _is(each.destination, end, names)]
        left = [end for end in left if end not in found]
        share = sum(end.share for end in found)
        right = 1.0 if alone else each.weight / total
        if abs(share - right) > tolerance + _EXACT:
            where = _wanted(each.destination)
            if alone and not found:
                said = " and ".join(f"{_share(end, len(ends))}it goes to {end.place}" for end in ends[:3])
                return Wrong(said, ends[0])
            at_fault = left if alone else found
            return Wrong(
                f"{where} gets {100 * share:.4g} %, not {100 * right:.4g} %", next(iter(at_fault), None)
            )
    if sum(end.share for end in left) > tolerance + _EXACT:
        return Wrong(f"{_share(left[0], len(ends))}it goes to {left[0].place}", left[0])
    return None


def _share(end: CallEnd, among: int) -> str:
    return f"{100 * end.share:.4g} % of the calls: " if among > 1 else ""


def _is(destination: Destination, end: CallEnd, names: Names) -> bool:
    port = destination.port.number if destination.port is not None else end.port
    return (destination.subset, port) == (end.subset, end.port) and names.mean(destination.host, end.host)


def _arriving(wanted: ArrivingRequest | None, ends: Iterable[CallEnd]) -> Wrong | None:
    if wanted is not None:
        for end in ends:
            said = _request(wanted, end)
            if said:
                return Wrong(f"the request arrives with {said}", end)
    return None


def _request(wanted: ArrivingRequest, end: CallEnd) -> str:
    """Return how the request that arrives differs from the expected one, or an empty text."""
    if wanted.uri and end.path != wanted.uri:
        return f"uri {end.path}, not {wanted.uri}"
    if wanted.authority and end.authority != wanted.authority:
        return f"authority {end.authority}, not {wanted.authority}"
    for name, value in wanted.headers.items():
        texts = [text for key, text in end.headers if key.lower() == name.lower()]
        found = ",".join(texts)
        if value is None and texts:
            return f"the header {name}: {found}, which must be absent"
        if value is not None and found != value:
            has = f"header {name}: {found}" if texts else f"no header {name}"
            return f"{has}, not {value}"
    return ""


def _answer(expect: Expectation, end: CallEnd) -> str:
    """Return how a proxy's own answer differs from the expected one, or an empty text."""
    if expect.status is not None:
        right = end.status == expect.status
    elif expect.redirect is not None:
        right = end.ending is Ending.ANSWERED and bool(end.location)
        wrong = _redirect(expect.redirect, end) if right else ""
        if wrong:
            return wrong
    elif expect.denied:
        right = end.ending is Ending.DENIED
    else:
        right = end.ending is Ending.CLOSED or (end.ending is Ending.DENIED and end.status is None)
    return "" if right else end.told


def _redirect(wanted: HTTPRedirect, end: CallEnd) -> str:
    parts = urlsplit(end.location)
    query = f"?{parts.query}" if parts.query else ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    default = f":{port}" if parts.port is None else ""
    checks = (
        ("uri", wanted.uri, f"{parts.path or '/'}{query}"),
        ("scheme", wanted.scheme, parts.scheme),
        ("redirectCode", wanted.redirect_code, end.status),
        ("port", wanted.port, port),
    )
    for name, value, found in checks:
        if value and value != found:
            return f"the redirect has {name} {found}, not {value}: {end.location}"
    hosts = (parts.netloc, parts.hostname, f"{parts.netloc}{default}")
    if wanted.authority and wanted.authority not in hosts:
        return f"the redirect has authority {parts.netloc}, not {wanted.authority}: {end.location}"
    return ""
