"""The choice of a virtual host by the host of a request, and of one of its routes.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto, VirtualHost
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mizzen.simulate.request import Request
from mizzen.simulate.route import Route
from mizzen.simulate.verdict import Chance, RunnerUp, VirtualHostStep

REQUIRE_TLS: Final = (False, True, True)
"""By VirtualHost.TlsRequirementType: True if plain requests are redirected, even
those of internal clients."""


class VirtualHost:
    """A virtual host; its routes are compiled when it is first chosen."""

    __slots__ = ("_configuration", "_message", "_routes", "name", "requires_tls")

    def __init__(self, message: Any, configuration: Any) -> None:
        self._message = message
        self._configuration = configuration
        self._routes: tuple[Route, ...] | None = None
        self.name = str(message.name)
        self.requires_tls = REQUIRE_TLS[message.require_tls]

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes in order."""
        if self._routes is None:
            owners = (self._message, self._configuration)
            reverse = self._configuration.most_specific_header_mutations_wins
            self._routes = tuple(
                Route(route, index, owners, reverse=reverse)
                for index, route in enumerate(self._message.routes)
            )
        return self._routes

    def choose(self, request: Request) -> tuple[Route | None, tuple[Chance, ...]]:
        """Return the first route that takes every such request, and the routes before it that take some."""
        chances: tuple[Chance, ...] = ()
        for route in self.routes:
            if route.matches(request):
                if not route.undecided:
                    return route, chances
                chances += (Chance(route.step.name, " and ".join(route.undecided)),)
        return None, chances

    def runner_up(self, request: Request, chosen: Route | None) -> RunnerUp | None:
        """Return the route before the chosen one that matched furthest, and its first condition that failed;
        if there is none, the next later route that matches too."""
        best: tuple[int, RunnerUp] | None = None
        behind = False
        for route in self.routes:
            if route is chosen:
                if best is not None:
                    break
                behind = True
                continue
            name = route.step.name or f"number {route.step.index + 1}"
            if behind:
                if route.matches(request):
                    first, earlier = "the first route that matches", "an earlier one matches"
                    return RunnerUp(name, "order", first, earlier, route.step.index)
                continue
            for depth, condition in enumerate(route.conditions):
                if not condition.holds(request):
                    if best is None or depth > best[0]:
                        found = condition.found(request)
                        lost = RunnerUp(name, condition.name, condition.wanted, found, route.step.index)
                        best = depth, lost
                    break
        return best[1] if best is not None else None


class RouteConfiguration:
    """The virtual hosts of a route configuration by domain."""

    __slots__ = ("_default", "_exact", "_ignore_port", "_prefixes", "_suffixes", "name")

    def __init__(self, message: Any) -> None:
        self.name = str(message.name)
        self._ignore_port = message.ignore_port_in_host_matching
        self._exact: dict[str, tuple[VirtualHost, VirtualHostStep]] = {}
        self._suffixes: dict[int, dict[str, tuple[VirtualHost, VirtualHostStep]]] = {}
        self._prefixes: dict[int, dict[str, tuple[VirtualHost, VirtualHostStep]]] = {}
        self._default: tuple[VirtualHost, VirtualHostStep] | None = None
        for each in message.virtual_hosts:
            host = VirtualHost(each, message)
            for domain in each.domains:
                self._add(str(domain).lower(), (host, VirtualHostStep(host.name, str(domain))))
        self._suffixes = dict(sorted(self._suffixes.items(), reverse=True))
        self._prefixes = dict(sorted(self._prefixes.items(), reverse=True))

    def choose(self, authority: str) -> tuple[VirtualHost, VirtualHostStep] | None:
        """Return the virtual host of a request; None if no domain matches. Tried in order: the exact domain,
        the longest wildcard at the beginning, the longest at the end, `*`. Case is ignored."""
        found = self._exact.get(self._host(authority))
        if found is not None:
            return found
        return next(self._matching(authority), None)

    def runner_up(self, authority: str, chosen: VirtualHost | None) -> RunnerUp | None:
        """Return the virtual host of the next domain that matches too, else one with a similar domain."""
        for host, step in self._matching(authority):
            if host is not chosen:
                return RunnerUp(host.name, "domain", step.domain, f"{authority}, and a closer domain matches")
        near = self._nearest(self._host(authority), chosen)
        return RunnerUp(near.name, "domain", near.domain, authority) if near is not None else None

    def _nearest(self, host: str, chosen: VirtualHost | None) -> VirtualHostStep | None:
        """Return the domain that differs only in the port, else the one that begins with the same label."""
        bare, first = without_port(host), host.partition(":")[0].partition(".")[0]
        like = None
        for domain, (other, step) in self._exact.items():
            if other is chosen:
                continue
            if without_port(domain) == bare:
                return step
            if like is None and domain.partition(":")[0].partition(".")[0] == first:
                like = step
        return like

    def _add(self, domain: str, found: tuple[VirtualHost, VirtualHostStep]) -> None:
        if domain == "*":
            self._default = self._default or found
        elif domain.startswith("*"):
            self._suffixes.setdefault(len(domain) - 1, {}).setdefault(domain[1:], found)
        elif domain.endswith("*"):
            self._prefixes.setdefault(len(domain) - 1, {}).setdefault(domain[:-1], found)
        else:
            self._exact.setdefault(domain, found)

    def _host(self, authority: str) -> str:
        return (without_port(authority) if self._ignore_port else authority).lower()

    def _matching(self, authority: str) -> Iterator[tuple[VirtualHost, VirtualHostStep]]:
        """Yield the matches, from the most specific to the least specific."""
        host = self._host(authority)
        if host in self._exact:
            yield self._exact[host]
        for length, domains in self._suffixes.items():
            # A wildcard stands for at least one character.
            if length < len(host) and host[-length:] in domains:
                yield domains[host[-length:]]
        for length, domains in self._prefixes.items():
            if length < len(host) and host[:length] in domains:
                yield domains[host[:length]]
        if self._default is not None:
            yield self._default


def without_port(authority: str) -> str:
    """Return a host without its port; an IPv6 address keeps its brackets."""
    host, colon, port = authority.rpartition(":")
    return host if colon and "]" not in port else authority
