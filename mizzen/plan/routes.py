"""What changes between two route configurations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mizzen.explain.route_words import (
    cluster_words,
    destinations,
    match_words,
    shares_words,
    short_host,
)
from mizzen.plan.change import Change, Danger, Sign
from mizzen.plan.message_differences import differences, shown
from mizzen.plan.places import Place, of_route, of_virtual_host
from mizzen.plan.route_effects import tell_effects

_EVERYTHING: Final = "*"
_MOST_NAMED: Final = 5


def route_configuration_changes(old: Any | None, new: Any | None) -> Iterator[Change]:
    """Yield the changes from one RouteConfiguration to another; None stands for no configuration."""
    if old is None or new is None:
        yield from _whole(old, new)
        return
    name = str(new.name)
    before = {host.name: host for host in old.virtual_hosts}
    after = {host.name: host for host in new.virtual_hosts}
    yield from _domains(name, old, new)
    for key in before.keys() - after.keys():
        host = before[key]
        yield Change(Sign.REMOVED, "virtual host", _host(name, host), place=of_virtual_host(name, key))
    for key in [each for each in after if each not in before]:
        host = after[key]
        yield Change(
            Sign.ADDED, "virtual host", _host(name, host), _leads(host), place=of_virtual_host(name, key)
        )
    for key in [each for each in after if each in before]:
        if before[key] != after[key]:
            yield from _virtual_host(name, before[key], after[key])
    common = [each.name for each in old.virtual_hosts if each.name in after]
    if common != [each.name for each in new.virtual_hosts if each.name in before]:
        yield Change(Sign.CHANGED, "routes", name, "its virtual hosts are in a different order")
    was, now = _without(old, "virtual_hosts"), _without(new, "virtual_hosts")
    if was != now:
        yield Change(Sign.CHANGED, "routes", name, details=differences(was, now))


def _whole(old: Any | None, new: Any | None) -> Iterator[Change]:
    configuration = new if new is not None else old
    assert configuration is not None
    name = str(configuration.name)
    hosts = [host for host in configuration.virtual_hosts if list(host.domains) != [_EVERYTHING]]
    told = f"for {_list(short_host(host.domains[0]) for host in hosts)}" if hosts else ""
    if new is not None:
        yield Change(Sign.ADDED, "routes", name, told)
        return
    danger = Danger.NO_ROUTE if hosts else Danger.NONE
    lost = f"{told}; what asks for them is not served there any more" if hosts else ""
    yield Change(Sign.REMOVED, "routes", name, lost.removeprefix("; "), danger=danger)


def _domains(name: str, old: Any, new: Any) -> Iterator[Change]:
    """Yield where calls go to hosts that no virtual host names any more."""
    was = {domain: host for host in old.virtual_hosts for domain in host.domains}
    now = {domain: host for host in new.virtual_hosts for domain in host.domains}
    lost: dict[str, list[str]] = {}
    for domain, host in was.items():
        if domain not in now:
            lost.setdefault(host.name, []).append(domain)
    after = {host.name: host for host in new.virtual_hosts}
    for key, domains in lost.items():
        first = min(domains, key=lambda each: (each.endswith((":*", ".")), -len(each)))
        heir = _heir(first, now)
        whose = after.get(key)
        if whose is not None and domains and all(_is_form(each, whose.domains) for each in domains):
            # The service stays, but some address or short name no longer leads to it.
            what = f"calls to {_list(domains)} no longer reach it"
        else:
            what = "no virtual host is for it any more"
        end = "calls to it get 404"
        danger = Danger.NO_ROUTE
        if heir is not None:
            routes = _list(cluster_words(to) for route in heir.routes for to, _ in destinations(route))
            end = f"calls to it are taken by the virtual host {heir.name} ({routes or 'answers 404'})"
            danger = Danger.NONE if _is_wildcard(first, now) else Danger.NO_ROUTE
        yield Change(
            Sign.REMOVED,
            "host",
            f"{short_host(first)} (routes {name})",
            f"{what}; {end}",
            danger=danger,
            place=of_virtual_host(name, key),
        )


def _is_form(domain: str, domains: Iterable[str]) -> bool:
    """Return whether a domain is an address, or a short form of one of `domains`."""
    bare = domain.removesuffix(":*").rstrip(".")
    return (
        bare.replace(".", "").isdecimal()
        or ":" in bare
        or any(each.startswith(f"{bare}.") for each in domains)
    )


def _heir(domain: str, hosts: dict[str, Any]) -> Any | None:
    """Return the virtual host that takes calls to a domain by a wildcard, or None if there is none."""
    rest = domain
    while "." in rest:
        rest = rest.partition(".")[2]
        if f"*.{rest}" in hosts:
            return hosts[f"*.{rest}"]
    return hosts.get(_EVERYTHING)


def _is_wildcard(domain: str, hosts: dict[str, Any]) -> bool:
    heir = _heir(domain, hosts)
    return heir is not None and heir is not hosts.get(_EVERYTHING)


def _virtual_host(configuration: str, old: Any, new: Any) -> Iterator[Change]:
    host = _host(configuration, new)
    former = set(old.domains)
    added = [domain for domain in new.domains if domain not in former]
    if added:
        yield Change(
            Sign.CHANGED,
            "virtual host",
            host,
            f"also for {_list(added)}",
            place=of_virtual_host(configuration, new.name),
        )
    elif list(old.domains) != list(new.domains) and former == set(new.domains):
        yield Change(
            Sign.CHANGED,
            "virtual host",
            host,
            "its domains are in a different order",
            place=of_virtual_host(configuration, new.name),
        )
    yield from _routes(configuration, host, old, new)
    if old.require_tls != new.require_tls:
        what, danger = "redirects plain text to HTTPS (301)", Danger.NONE
        if not new.require_tls:
            what, danger = "serves plain text too", Danger.PLAINTEXT
        place = of_virtual_host(configuration, new.name)
        yield Change(Sign.CHANGED, "virtual host", host, what, danger=danger, place=place)
    was, now = (_without(each, "routes", "domains", "require_tls") for each in (old, new))
    if was != now:
        yield Change(
            Sign.CHANGED,
            "virtual host",
            host,
            details=differences(was, now),
            place=of_virtual_host(configuration, new.name),
        )


def _routes(configuration: str, host: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = _keyed(old.routes), _keyed(new.routes)
    gone = [key for key in before if key not in after]
    come = [key for key in after if key not in before]
    renamed = _by_name(before, after, gone, come)
    former = {**{key: key for key in after if key in before}, **{now: was for was, now in renamed.items()}}

    def place(index: int) -> Place:
        return of_route(configuration, new.name, index)

    takes_rest = any(_takes_all(route) for _, route in after.values())
    for key in gone:
        if key not in renamed:
            index, route = before[key]
            nothing = _takes_all(route) and not takes_rest
            what = "what no other route matches gets 404" if nothing else ""
            danger = Danger.NO_ROUTE if nothing else Danger.NONE
            yield Change(
                Sign.REMOVED, "route", f"{host}, {_route(route)}", what, danger=danger, place=place(index)
            )
    for key in come:
        if key not in former:
            index, route = after[key]
            yield Change(Sign.ADDED, "route", f"{host}, {_route(route)}", _to(route), place=place(index))
    for now, was in former.items():
        (_, one), (index, other) = before[was], after[now]
        if one != other:
            yield _route_change(host, one, other, place(index))
    moved = _first_moved([before[former[key]][0] for key in after if key in former])
    if moved is not None:
        index, route = [after[key] for key in after if key in former][moved]
        yield Change(
            Sign.CHANGED,
            "route",
            f"{host}, {_route(route)}",
            "stands before others that it stood behind",
            place=place(index),
        )


def _first_moved(places: list[int]) -> int | None:
    """Return the index of the first route out of order; `places` are the former indexes of the routes."""
    ordered = sorted(places)
    return next((at for at, place in enumerate(places) if place != ordered[at]), None)


def _route_change(host: str, old: Any, new: Any, place: Place) -> Change:
    details = []
    if old.match != new.match:
        details.append(f"matches {match_words(old.match)} to {match_words(new.match)}")
        if match_words(old.match) == match_words(new.match):
            details[-1:] = differences(old.match, new.match, "match")
    was, now = list(destinations(old)), list(destinations(new))
    if was != now:
        details.append(_destination_change(was, now))
    cleared = []
    for each in (old, new):
        copied = type(each)()
        copied.CopyFrom(each)
        copied.ClearField("match")
        if copied.WhichOneof("action") == "route":
            for field in ("weighted_clusters", "cluster", "cluster_header"):
                if was != now and (field != "weighted_clusters" or not _says_more(old, new)):
                    copied.route.ClearField(field)
            if old.route.timeout != new.route.timeout or old.route.HasField("timeout") != new.route.HasField(
                "timeout"
            ):
                copied.route.ClearField("timeout")
        cleared.append(copied)
    if old.WhichOneof("action") == new.WhichOneof("action") == "route":
        timeouts = _timeout(old), _timeout(new)
        if timeouts[0] != timeouts[1]:
            details.append(f"timeout {timeouts[0]} to {timeouts[1]}")
        if _limits_grpc_alike(old) and _limits_grpc_alike(new):
            for each in cleared:
                each.route.ClearField("max_grpc_timeout")
    details.extend(tell_effects(*cleared))
    if cleared[0] != cleared[1]:
        details.extend(each.removeprefix("route.") for each in differences(*cleared))
    if not details:
        details.extend(differences(old, new) or ("changed",))
    return Change(Sign.CHANGED, "route", f"{host}, {_route(new)}", details=tuple(details), place=place)


def _limits_grpc_alike(route: Any) -> bool:
    """Return True if what gRPC clients may ask for is no more than the timeout."""
    return bool(route.route.max_grpc_timeout == route.route.timeout)


def _says_more(old: Any, new: Any) -> bool:
    """Return True if weighted clusters differ in more than names and weights."""
    bare = []
    for each in (old, new):
        rest = type(each.route.weighted_clusters)()
        rest.CopyFrom(each.route.weighted_clusters)
        for cluster in rest.clusters:
            cluster.ClearField("name")
            cluster.ClearField("weight")
        bare.append(rest)
    if not (old.route.HasField("weighted_clusters") and new.route.HasField("weighted_clusters")):
        return False
    return len(bare[0].clusters) == len(bare[1].clusters) and bare[0] != bare[1]


def _destination_change(was: list[tuple[str, int | None]], now: list[tuple[str, int | None]]) -> str:
    names = [name for name, _ in was]
    if names == [name for name, _ in now] and len(set(names)) == len(names):
        changed = (
            f"{cluster_words(name)} {old} to {new}"
            for (name, old), (_, new) in zip(was, now, strict=True)
            if old != new
        )
        return f"weights: {', '.join(changed)}"
    return f"goes to {shares_words(now)} in place of {shares_words(was)}"


def _timeout(route: Any) -> str:
    if not route.route.HasField("timeout"):
        return "15s"  # Envoy's own
    timeout = route.route.timeout
    return shown(timeout) if timeout.seconds or timeout.nanos else "none"


def _keyed(routes: Iterable[Any]) -> dict[tuple[bytes, int], tuple[int, Any]]:
    """Return the routes with their indexes, by their match and its count among equal matches."""
    seen: Counter[bytes] = Counter()
    found = {}
    for index, route in enumerate(routes):
        match = route.match.SerializeToString(deterministic=True)
        found[match, seen[match]] = (index, route)
        seen[match] += 1
    return found


_Keyed = dict[tuple[bytes, int], tuple[int, Any]]


def _by_name(
    before: _Keyed, after: _Keyed, gone: list[tuple[bytes, int]], come: list[tuple[bytes, int]]
) -> dict[tuple[bytes, int], tuple[bytes, int]]:
    """Return the routes whose match changed while the name stayed."""
    was, now = Counter(before[key][1].name for key in gone), Counter(after[key][1].name for key in come)
    named = {after[key][1].name: key for key in come}
    names = {key: before[key][1].name for key in gone}
    return {key: named[name] for key, name in names.items() if name and was[name] == now[name] == 1}


def _takes_all(route: Any) -> bool:
    return match_words(route.match) == "everything"


def _route(route: Any) -> str:
    words = match_words(route.match)
    return f"{words} ({route.name})" if route.name and route.name != "default" else words


def _to(route: Any) -> str:
    return f"to {shares_words(destinations(route))}"


def _leads(host: Any) -> str:
    return f"with {len(host.routes)} routes" if len(host.routes) != 1 else _to(host.routes[0])


def _host(configuration: str, host: Any) -> str:
    name = short_host(host.domains[0]) if host.domains else host.name
    return f"{name} (routes {configuration})"


def _list(words: Iterable[str]) -> str:
    found = list(dict.fromkeys(words))
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _without(message: Any, *fields: str) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    for field in fields:
        copied.ClearField(field)
    return copied
