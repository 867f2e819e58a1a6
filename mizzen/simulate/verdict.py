"""The verdict on a call: where it goes, by which steps, and what lost at each step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mizzen.simulate.call import Call


class Outcome(StrEnum):
    """What happens to the call."""

    FORWARDED = "forwarded"
    ANSWERED = "answered"
    """The proxy answers by itself: a redirect, a direct response, an injected fault, a CORS preflight."""
    FAILED = "failed"
    """The proxy closes the connection or answers with an error; `Verdict.failure` says why."""
    UNKNOWN = "unknown"
    """A filter decides that the simulator does not know; `Verdict.unjudged` names it."""


class Failure(StrEnum):
    """Why a call fails. The text ends the sentence "the call fails, since ..."."""

    NO_LISTENER = "no listener has this address and port"
    LISTENER_FILTER_WAITS = "a listener filter waits for the client, and the client waits for the server"
    NO_FILTER_CHAIN = "no filter chain of the listener matches the connection"
    DUPLICATE_FILTER_CHAIN = "two filter chains have the same match, and Envoy refuses the listener"
    TLS_EXPECTED = "the filter chain terminates TLS, and the client does not speak TLS"
    NO_SECRET = "a secret that its TLS needs is not there"  # noqa: S105 (no secret itself)
    CLIENT_CERTIFICATE_REQUIRED = "the filter chain requires a client certificate"
    NOT_HTTP = "the filter chain reads HTTP, and the connection carries another version of it or no HTTP"
    NO_FILTER = "the filter chain has no filter that takes the connection"
    BAD_REQUEST = "Envoy refuses the request as malformed"
    PATH_REFUSED = "the connection manager refuses paths with escaped slashes"
    UNSUPPORTED_VERSION = "the connection manager does not accept this version of HTTP"
    POLICY_DENIES = "a policy denies it"
    NO_POLICY_ALLOWS = "no policy allows it"
    NO_TOKEN = "it brings no token"  # noqa: S105 (what is wrong with a token is no password)
    INVALID_TOKEN = "its token is not valid"  # noqa: S105
    OTHER_AUDIENCE = "its token is for another audience"
    NO_ROUTE_CONFIGURATION = "the route configuration does not exist"
    NO_VIRTUAL_HOST = "no virtual host has this domain"
    NO_ROUTE = "no route of the virtual host matches the request"
    NO_CLUSTER = "the cluster does not exist"
    NO_ENDPOINT = "the cluster has no endpoint"


DENIALS: Final = frozenset(
    {
        Failure.CLIENT_CERTIFICATE_REQUIRED,
        Failure.POLICY_DENIES,
        Failure.NO_POLICY_ALLOWS,
        Failure.NO_TOKEN,
        Failure.INVALID_TOKEN,
        Failure.OTHER_AUDIENCE,
    }
)
"""The failures that keep a caller out."""


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The next candidate at a step, and the first condition in which it lost."""

    name: str
    condition: str
    """The condition, such as `destination port` or `header x-user`."""
    wanted: str
    """What the condition asks for."""
    found: str
    """What the call has."""
    index: int = -1
    """The position of a filter chain in its listener, or of a route in its virtual host."""


@dataclass(frozen=True, slots=True)
class ListenerStep:
    """The listener, and what its listener filters learned."""

    name: str
    accepted_by: str
    """The listener that accepted the connection and handed it over; the same name if
    it was not handed over."""
    listener_filters: tuple[str, ...]
    """The filters that ran, by name."""
    transport_protocol: str
    server_name: str
    application_protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilterStep:
    """One network or HTTP filter that sees the call."""

    name: str
    type: str
    """The type of its configuration, such as `envoy.extensions.filters.http.rbac.v3.RBAC`."""
    judged: bool
    """False if the filter may stop or change the call and the simulator does not know it."""


class Decision(StrEnum):
    """What a security filter decides about a call."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"
    """It depends on something that the simulator does not know, such as the answer
    of an external authorizer."""


@dataclass(frozen=True, slots=True)
class Met:
    """A condition that a call fulfils."""

    condition: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """The decision of one security filter.

    `kind` is `ALLOW`, `DENY` or `LOG` (the action of an RBAC filter), `SHADOW` for an RBAC filter that only
    tries policies out, `RBAC` if it cannot be judged, `JWT`, or `EXTERNAL`. `policy` is what decided: the
    RBAC policy that matched, the provider of a token, or the note that makes an authorizer be asked; empty if
    there is none. `tried` is the policy that would deny the call if it were not only tried out.

    On request, `met` has the conditions by which the call is denied, and `lost` the obstacle to its being
    allowed: the nearest policy, and its first condition that failed.
    """

    filter: str
    kind: str
    decision: Decision
    policy: str = ""
    failure: Failure | None = None
    tried: str = ""
    met: tuple[Met, ...] = ()
    lost: RunnerUp | None = None


@dataclass(frozen=True, slots=True)
class FilterChainStep:
    """The filter chain and its network filters. `index` is its position in the
    listener, -1 for the default."""

    name: str
    index: int
    is_default: bool
    filters: tuple[FilterStep, ...]
    terminates_tls: bool
    requires_client_certificate: bool
    certificates: tuple[str, ...]
    """Names of the secrets with the certificates that the proxy presents."""
    missing_secrets: tuple[str, ...] = ()
    """Names of the secrets that its TLS needs and that the proxy is not sent."""


@dataclass(frozen=True, slots=True)
class VirtualHostStep:
    """The virtual host and the one of its domains that matched."""

    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """A header that the proxy sets, adds or removes."""

    operation: str
    """`remove`, or the append action of Envoy's HeaderValueOption."""
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Retries:
    """When and how often the proxy retries."""

    retry_on: str
    number: int
    per_try_timeout: float | None
    status_codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What the fault filter injects."""

    abort_status: int = 0
    abort_percent: float = 0.0
    delay: float = 0.0
    delay_percent: float = 0.0


@dataclass(frozen=True, slots=True)
class Mirror:
    """A cluster that gets a copy of the request."""

    cluster: str
    percent: float


@dataclass(frozen=True, slots=True)
class Chance:
    """A route before the chosen one that takes some of such requests, and what decides which."""

    route: str
    condition: str


@dataclass(frozen=True, slots=True)
class RouteStep:
    """The route and what it does to every request. Times are in seconds; None means no limit."""

    name: str
    index: int
    config: str
    """The path of the configuration that the route was made from; empty if it is unknown."""
    action: str
    """`route`, `redirect`, `direct_response`, or another action of Envoy's Route."""
    timeout: float | None
    idle_timeout: float | None
    retries: Retries | None
    fault: Fault | None
    mirrors: tuple[Mirror, ...]
    request_headers: tuple[HeaderChange, ...]
    response_headers: tuple[HeaderChange, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a cluster."""

    address: str
    port: int
    weight: int
    health: str


@dataclass(frozen=True, slots=True)
class Locality:
    """The endpoints of one priority in one locality."""

    priority: int
    region: str
    zone: str
    sub_zone: str
    weight: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class ClusterStep:
    """A cluster with its endpoints, in the order of their priorities."""

    name: str
    discovery_type: str
    load_balancing: str
    localities: tuple[Locality, ...]
    originates_tls: bool
    failure: Failure | None = None
    missing_secrets: tuple[str, ...] = ()
    """Names of the secrets that its TLS needs and that the proxy is not sent."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints, in the order of their priorities."""
        return tuple(endpoint for locality in self.localities for endpoint in locality.endpoints)


@dataclass(frozen=True, slots=True)
class Destination:
    """A cluster and its share of such calls; all shares sum to 1."""

    cluster: ClusterStep
    share: float
    request_headers: tuple[HeaderChange, ...] = ()
    response_headers: tuple[HeaderChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Upstream:
    """The request line after the proxy's changes, as it is forwarded."""

    authority: str
    path: str
    headers: tuple[tuple[str, str], ...] | None = None
    """The headers of the request after the filters, before the route changes them;
    None if no filter changed them."""
    claims: bool = False
    """True if the token made from the call's claims is forwarded."""


@dataclass(frozen=True, slots=True)
class RunnersUp:
    """What lost at each step; None if there was no other candidate."""

    listener: RunnerUp | None = None
    filter_chain: RunnerUp | None = None
    virtual_host: RunnerUp | None = None
    route: RunnerUp | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a call goes. A step that was not reached is None.

    `status` is the HTTP status of an answer by the proxy itself; None if an endpoint answers, or if the
    connection is closed without an answer. A gRPC request gets status 200 and `grpc_status` from the proxy.
    """

    call: Call
    outcome: Outcome
    failure: Failure | None = None
    status: int | None = None
    grpc_status: int | None = None
    listener: ListenerStep | None = None
    filter_chain: FilterChainStep | None = None
    route_configuration: str = ""
    http_filters: tuple[FilterStep, ...] = ()
    policies: tuple[PolicyStep, ...] = ()
    """The decisions of the security filters, in order, up to the one that denies the call."""
    virtual_host: VirtualHostStep | None = None
    route: RouteStep | None = None
    chances: tuple[Chance, ...] = ()
    destinations: tuple[Destination, ...] = ()
    answered_by: str = ""
    """`redirect`, `require_tls`, `direct_response`, `fault` or `cors`."""
    location: str = ""
    """The target of a redirect."""
    upstream: Upstream | None = None
    runners_up: RunnersUp | None = None
    """None unless they were asked for."""

    @property
    def cluster(self) -> str:
        """The cluster, if all such calls go to the same one; else empty."""
        return self.destinations[0].cluster.name if len(self.destinations) == 1 else ""

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Names of the filters that may stop or change the call and that the simulator does not know."""
        network = self.filter_chain.filters if self.filter_chain is not None else ()
        named = [each.name for each in (*network, *self.http_filters) if not each.judged]
        asked = [each.filter for each in self.policies if each.decision is Decision.UNKNOWN]
        return tuple(dict.fromkeys((*named, *asked)))
