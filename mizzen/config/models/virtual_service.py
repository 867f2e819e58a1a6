"""VirtualService: where requests to a host are routed.

https://istio.io/latest/docs/reference/config/networking/virtual-service/
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mizzen.config.models.base import IstioModel, OneofModel
from mizzen.config.models.host import HostName
from mizzen.config.models.ports import PortSelector
from mizzen.config.models.types import (
    Bool,
    Bytes,
    Deprecated,
    Double,
    Duration,
    Int32,
    IstioEnum,
    UInt32,
)


class StringMatch(OneofModel):
    """A text to compare with. Without any member it matches every value that is present."""

    oneofs: ClassVar = (frozenset({"exact", "prefix", "regex"}),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class Percent(IstioModel):
    """A percentage, 0.0 to 100.0."""

    value: Double = 0.0


class Destination(IstioModel):
    """A service, a subset of it, and its port."""

    host: HostName = ""
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(IstioModel):
    """Headers to set, to add and to remove."""

    set: dict[str, str] = Field(default_factory=dict)
    add: dict[str, str] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Headers(IstioModel):
    """Changes of the headers of requests and of responses."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HTTPMatchRequest(IstioModel):
    """Conditions on a request; all must hold."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)
    port: UInt32 = 0
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    ignore_uri_case: Bool = False
    without_headers: dict[str, StringMatch] = Field(default_factory=dict)
    source_namespace: str = ""
    stat_prefix: str = ""


class HTTPRouteDestination(IstioModel):
    """A destination and its share of the requests."""

    destination: Destination | None = None
    weight: Int32 = 0
    headers: Headers | None = None


class RedirectPortSelection(IstioEnum):
    """Where the port of a redirect comes from (`HTTPRedirect.RedirectPortSelection`)."""

    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(OneofModel):
    """A response that redirects the client. `redirect_code` 0 means 301."""

    oneofs: ClassVar = (frozenset({"port", "derive_port"}),)

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: RedirectPortSelection | None = None
    scheme: str = ""
    redirect_code: UInt32 = 0
    prefix_rewrite: str = ""


class HTTPBody(OneofModel):
    """The body of a direct response."""

    oneofs: ClassVar = (frozenset({"string", "bytes_"}),)

    string: str | None = None
    bytes_: Bytes | None = None


class HTTPDirectResponse(IstioModel):
    """A response that the proxy sends by itself."""

    status: UInt32 = 0
    body: HTTPBody | None = None


class Delegate(IstioModel):
    """The VirtualService whose routes are used instead. Without a namespace it is in the same one."""

    name: str = ""
    namespace: str = ""


class RegexRewrite(IstioModel):
    """A rewrite of the path by a regular expression."""

    match: str = ""
    rewrite: str = ""


class HTTPRewrite(IstioModel):
    """Changes of path and authority before the request is forwarded."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRetry(IstioModel):
    """When and how often a failed request is tried again."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: Bool | None = None
    retry_ignore_previous_hosts: Bool | None = None
    backoff: Duration | None = None


class FaultDelay(OneofModel):
    """A delay to inject (`HTTPFaultInjection.Delay`)."""

    oneofs: ClassVar = (frozenset({"fixed_delay", "exponential_delay"}),)

    percent: Annotated[Int32, Deprecated("write percentage")] = 0
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: Percent | None = None


class FaultAbort(OneofModel):
    """An error to inject (`HTTPFaultInjection.Abort`)."""

    oneofs: ClassVar = (frozenset({"http_status", "grpc_status", "http2_error"}),)

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percent | None = None


class HTTPFaultInjection(IstioModel):
    """Faults to inject, to test how clients handle them."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class HTTPMirrorPolicy(IstioModel):
    """Where copies of requests are sent, and what share of them. Without a percentage, all."""

    destination: Destination | None = None
    percentage: Percent | None = None


class UnmatchedPreflights(IstioEnum):
    """What happens to preflight requests from origins that are not allowed
    (`CorsPolicy.UnmatchedPreflights`)."""

    UNSPECIFIED = "UNSPECIFIED"
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(IstioModel):
    """Cross-origin resource sharing."""

    allow_origin: Annotated[tuple[str, ...], Deprecated("write allowOrigins")] = ()
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: Bool | None = None
    unmatched_preflights: UnmatchedPreflights = UnmatchedPreflights.UNSPECIFIED


class HTTPRoute(IstioModel):
    """One rule of HTTP routing; the first rule that matches is used."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percent: Annotated[UInt32 | None, Deprecated("write mirrorPercentage")] = None
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class RouteDestination(IstioModel):
    """A destination of connections and its share of them."""

    destination: Destination | None = None
    weight: Int32 = 0


class TLSMatchAttributes(IstioModel):
    """Conditions on a TLS connection that is not terminated; all must hold."""

    sni_hosts: tuple[HostName, ...] = ()
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TLSRoute(IstioModel):
    """One rule of TLS routing, by SNI."""

    match: tuple[TLSMatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class L4MatchAttributes(IstioModel):
    """Conditions on a TCP connection; all must hold."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_subnet: str = ""
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TCPRoute(IstioModel):
    """One rule of TCP routing."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class VirtualService(IstioModel):
    """The routing rules of `hosts`, in the order in which they are tried. Without hosts it is a delegate."""

    hosts: tuple[HostName, ...] = ()
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[str, ...] = ()
