"""The simulator: what a proxy does with a call, according to the configuration that it was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from mizzen.simulate import listener_filters
from mizzen.simulate.call import Call
from mizzen.simulate.cluster import Clusters
from mizzen.simulate.connection import Connection
from mizzen.simulate.filter_chain import FilterChain
from mizzen.simulate.http_connection_manager import HttpConnectionManager
from mizzen.simulate.listener import Listener, Listeners, connection
from mizzen.simulate.network_filters import ChainFilters
from mizzen.simulate.request import NoRequest, Request
from mizzen.simulate.route import Route
from mizzen.simulate.secrets import HasSecret
from mizzen.simulate.security_filters import SecurityFilter
from mizzen.simulate.verdict import (
    Decision,
    Destination,
    Failure,
    ListenerStep,
    Outcome,
    PolicyStep,
    RunnersUp,
    Verdict,
)
from mizzen.simulate.virtual_host import RouteConfiguration, VirtualHost

_STATUS: Final = {
    Failure.BAD_REQUEST: 400,
    Failure.PATH_REFUSED: 400,
    Failure.NOT_HTTP: 400,
    Failure.UNSUPPORTED_VERSION: 426,
    Failure.POLICY_DENIES: 403,
    Failure.NO_POLICY_ALLOWS: 403,
    Failure.NO_TOKEN: 401,
    Failure.INVALID_TOKEN: 401,
    Failure.OTHER_AUDIENCE: 403,
    Failure.NO_ROUTE_CONFIGURATION: 404,
    Failure.NO_VIRTUAL_HOST: 404,
    Failure.NO_ROUTE: 404,
    Failure.NO_ENDPOINT: 503,
    Failure.NO_SECRET: 503,
}
_GRPC_STATUS: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_GRPC_UNKNOWN: Final = 2
_CERTAIN: Final = 100.0
_MOVED_PERMANENTLY: Final = 301
_OK: Final = 200


Find = Callable[[str], Any | None]
"""Finds a message by its name."""


class Messages(Protocol):
    """Envoy's messages that a proxy is sent, such as `mizzen.Resources`."""

    @property
    def listeners(self) -> Iterable[Any]:
        """envoy.config.listener.v3.Listener"""

    @property
    def routes(self) -> Iterable[Any]:
        """envoy.config.route.v3.RouteConfiguration"""

    @property
    def clusters(self) -> Iterable[Any]:
        """envoy.config.cluster.v3.Cluster"""

    @property
    def endpoints(self) -> Iterable[Any]:
        """envoy.config.endpoint.v3.ClusterLoadAssignment"""


class Simulator:
    """A proxy with this configuration. Each part is compiled once, when a call first needs it.

    `has_secret` tells whether the proxy is sent a secret; by default it is sent all.
    """

    def __init__(self, messages: Messages, has_secret: HasSecret = lambda *_: True) -> None:
        self._begin(
            messages.listeners,
            {message.name: message for message in messages.routes}.get,
            {message.name: message for message in messages.clusters}.get,
            {message.cluster_name: message for message in messages.endpoints}.get,
            has_secret,
        )

    @classmethod
    def of(
        cls,
        listeners: Iterable[Any],
        *,
        route: Find,
        cluster: Find,
        assignment: Find,
        has_secret: HasSecret,
    ) -> Simulator:
        """Return a simulator that gets all but the listeners by name, when a call first needs them."""
        made = cls.__new__(cls)
        made._begin(listeners, route, cluster, assignment, has_secret)
        return made

    def _begin(
        self,
        listeners: Iterable[Any],
        route: Find,
        cluster: Find,
        assignment: Find,
        has_secret: HasSecret,
    ) -> None:
        self._listeners = Listeners(listeners, has_secret)
        self._route = route
        self._compiled_routes: dict[str, RouteConfiguration] = {}
        self._clusters = Clusters(cluster, assignment, has_secret)

    def verdict(self, call: Call, *, runners_up: bool = False) -> Verdict:
        """Return where the call goes; with `runners_up`, also what lost at each step."""
        run = _Run(self, call, explain=runners_up)
        run.judge()
        return run.verdict(runners_up=runners_up)

    def route_configuration(self, name: str) -> RouteConfiguration | None:
        """Return the compiled route configuration of this name; None if the proxy was not sent one."""
        found = self._compiled_routes.get(name)
        if found is None:
            message = self._route(name)
            if message is None:
                return None
            found = self._compiled_routes[name] = RouteConfiguration(message)
        return found

    @property
    def listeners(self) -> Listeners:
        """The listeners by address."""
        return self._listeners

    @property
    def clusters(self) -> Clusters:
        """The clusters by name."""
        return self._clusters


class _Run:
    """The simulation of one call; `reached` collects the fields of its verdict."""

    __slots__ = (
        "call",
        "chain",
        "configuration",
        "connection",
        "explain",
        "host",
        "listener",
        "reached",
        "request",
        "route",
        "simulator",
    )

    def __init__(self, simulator: Simulator, call: Call, *, explain: bool) -> None:
        self.simulator = simulator
        self.call = call
        self.explain = explain
        self.reached: dict[str, Any] = {"outcome": Outcome.FORWARDED}
        self.listener: Listener | None = None
        self.connection: Connection | None = None
        self.chain: FilterChain | None = None
        self.configuration: RouteConfiguration | None = None
        self.request: Request | None = None
        self.host: VirtualHost | None = None
        self.route: Route | None = None

    def verdict(self, *, runners_up: bool) -> Verdict:
        """Return the result."""
        found = Verdict(self.call, **self.reached, runners_up=self._runners_up() if runners_up else None)
        if found.outcome is Outcome.FORWARDED and found.unjudged:
            self.reached["outcome"] = Outcome.UNKNOWN
            return self.verdict(runners_up=runners_up)
        return found

    def judge(self) -> None:
        """Simulate the call."""
        self._connect()
        status = self.reached.get("status")
        by_cors = self.reached.get("answered_by") == "cors"
        if status is not None and self.request is not None and self.request.is_grpc and not by_cors:
            self.reached["grpc_status"] = _GRPC_STATUS.get(status, _GRPC_UNKNOWN)
            self.reached["status"] = _OK

    def _connect(self) -> None:
        found = self._listen()
        if found is None:
            return
        listener, made = found
        chain = self.chain = listener.chains.choose(made)
        if chain is None:
            self._fail(Failure.NO_FILTER_CHAIN)
            return
        filters = chain.filters
        self.reached["filter_chain"] = filters.step
        if chain.duplicate:
            self._fail(Failure.DUPLICATE_FILTER_CHAIN)
        elif filters.step.missing_secrets:
            self._close(Failure.NO_SECRET)
        elif filters.step.terminates_tls and self.call.tls is None:
            self._fail(Failure.TLS_EXPECTED)
        elif filters.step.requires_client_certificate and not (self.call.tls and self.call.tls.certificate):
            self._fail(Failure.CLIENT_CERTIFICATE_REQUIRED)
        else:
            made.encrypted = filters.step.terminates_tls
            made.shows_certificate = filters.asks_for_certificate and bool(
                self.call.tls and self.call.tls.certificate
            )
            if filters.security and self._is_denied(filters.security, NoRequest(made), None):
                # The connection is closed, which has no status.
                self.reached["status"] = None
            else:
                self._serve(filters, made)

    def _serve(self, filters: ChainFilters, made: Connection) -> None:
        if filters.manager is not None:
            self._http(filters.manager, made)
        elif filters.tcp:
            clusters = filters.tcp
            if filters.sni_cluster and made.server_name:
                clusters = ((made.server_name, 1.0),)
            resolves = filters.resolved_port and made.server_name
            called = f"{made.server_name}:{filters.resolved_port}" if resolves else ""
            self._forward([(name, share, (), ()) for name, share in clusters], made, called)
        elif not filters.terminal:
            unjudged = any(not each.judged for each in filters.step.filters)
            self._fail(Failure.NO_FILTER, Outcome.UNKNOWN if unjudged else Outcome.FAILED)

    def _listen(self) -> tuple[Listener, Connection] | None:
        listeners = self.simulator.listeners
        accepting = listeners.accepts(self.call)
        if accepting is None:
            self._fail(Failure.NO_LISTENER)
            return None
        made = self.connection = connection(self.call, accepting)
        ran = listener_filters.run(accepting.filters, made)
        listener = listeners.hands_on(accepting, made)
        waits = made.waits and not accepting.gives_up_waiting
        if listener is not accepting:
            made.waits = False
            ran += listener_filters.run(listener.filters, made)
            waits = waits or (made.waits and not listener.gives_up_waiting)
        if not made.transport_protocol:
            made.transport_protocol = "raw_buffer"
        self.listener = listener
        self.reached["listener"] = ListenerStep(
            listener.name,
            accepting.name,
            ran,
            made.transport_protocol,
            made.server_name,
            made.application_protocols,
        )
        if waits:
            self._fail(Failure.LISTENER_FILTER_WAITS)
            return None
        return listener, made

    def _http(self, manager: HttpConnectionManager, made: Connection) -> None:
        call = self.call
        assert self.chain is not None
        terminates = self.chain.filters.step.terminates_tls
        self.reached["http_filters"] = manager.filters
        negotiated = self.chain.filters.negotiated(call.tls) if call.tls is not None else ""
        wrong = not manager.reads(call.protocol, negotiated) or not call.client_speaks_first
        if wrong or (call.tls is not None and not terminates):
            self._fail(Failure.NOT_HTTP)
            return
        request = manager.request(made, encrypted=terminates)
        if isinstance(request, Failure):
            self._fail(request)
            return
        self.request = request
        if manager.refuses(request):
            self._fail(Failure.PATH_REFUSED)
            return
        self.configuration = manager.route_configuration or self.simulator.route_configuration(
            manager.route_configuration_name
        )
        found = self.configuration.choose(request.authority) if self.configuration is not None else None
        chosen = found[0].choose(request) if found is not None else (None, ())
        # Filters run before any answer, and know the route of the request.
        if manager.security and self._is_denied(manager.security, request, chosen[0]):
            return
        self.reached["route_configuration"] = manager.route_configuration_name
        if found is None:
            known = self.configuration is not None
            self._fail(Failure.NO_VIRTUAL_HOST if known else Failure.NO_ROUTE_CONFIGURATION)
            return
        self.host, self.reached["virtual_host"] = found
        if self.host.requires_tls and request.forwarded_scheme != "https":
            self._answer("require_tls", _MOVED_PERMANENTLY)
            self.reached["location"] = f"https://{request.authority}{request.target}"
            return
        route, self.reached["chances"] = self.host.choose(request) if request.reroutes else chosen
        if route is None:
            self._fail(Failure.NO_ROUTE)
            return
        self.route = route
        self.reached["route"] = route.step
        self._act(manager, route, request, made)

    def _is_denied(self, filters: Iterable[SecurityFilter], request: Request, route: Route | None) -> bool:
        """Let the filters judge, up to the first that denies; return True if one does."""
        overridden = route.overridden if route is not None else ()
        denied = False
        steps = []
        for each in filters:
            if each.name in overridden:
                step: PolicyStep | None = PolicyStep(each.name, "", Decision.UNKNOWN)
            else:
                step = each.judge(request, explain=self.explain)
            if step is not None:
                steps.append(step)
                if step.failure is not None:
                    self._fail(step.failure)
                    denied = True
                    break
        self.reached["policies"] = tuple(steps)
        return denied

    def _act(self, manager: HttpConnectionManager, route: Route, request: Request, made: Connection) -> None:
        fault = route.step.fault if manager.injects_faults else None
        if fault is not None and fault.abort_percent >= _CERTAIN:
            self._answer("fault", fault.abort_status)
        elif manager.answers_preflights and route.cors is not None and route.cors.answers(request):
            self._answer("cors", _OK)
        elif route.redirect is not None:
            self._answer("redirect", route.redirect.status)
            self.reached["location"] = route.redirect.location(request)
        elif route.direct_status:
            self._answer("direct_response", route.direct_status)
        elif route.step.action == "route":
            self.reached["upstream"] = route.upstream(request)
            self._forward(
                route.clusters(request),
                made,
                self.reached["upstream"].authority,
                missing=route.missing_cluster_status,
            )
        else:
            self.reached["outcome"] = Outcome.UNKNOWN

    def _forward(self, clusters: Iterable[Any], made: Connection, authority: str, missing: int = 0) -> None:
        steps = self.simulator.clusters
        destinations = self.reached["destinations"] = tuple(
            Destination(steps.step(name, made, authority), share, requests, responses)
            for name, share, requests, responses in clusters
        )
        failures = {each.cluster.failure for each in destinations}
        if not destinations:
            self._fail(Failure.NO_CLUSTER)
        elif None not in failures:
            failure = destinations[0].cluster.failure
            assert failure is not None
            self._fail(failure)
        if self.reached["outcome"] is Outcome.FAILED:
            if not missing:
                # A TCP connection is closed, which has no status.
                self.reached["status"] = None
            elif self.reached["failure"] is Failure.NO_CLUSTER:
                self.reached["status"] = missing

    def _fail(self, failure: Failure, outcome: Outcome = Outcome.FAILED) -> None:
        self.reached["outcome"] = outcome
        self.reached["failure"] = failure
        self.reached["status"] = _STATUS.get(failure)

    def _close(self, failure: Failure) -> None:
        """Record that the connection is closed, which has no status."""
        self._fail(failure)
        self.reached["status"] = None

    def _answer(self, by: str, status: int) -> None:
        self.reached["outcome"] = Outcome.ANSWERED
        self.reached["answered_by"] = by
        self.reached["status"] = status

    def _runners_up(self) -> RunnersUp:
        host, request = self.host, self.request
        return RunnersUp(
            listener=self.simulator.listeners.runner_up(self.call, self.listener),
            filter_chain=self.listener.chains.runner_up(self.connection, self.chain)
            if self.listener is not None and self.connection is not None
            else None,
            virtual_host=self.configuration.runner_up(request.authority, host)
            if self.configuration is not None and request is not None
            else None,
            route=host.runner_up(request, self.route) if host is not None and request is not None else None,
        )
