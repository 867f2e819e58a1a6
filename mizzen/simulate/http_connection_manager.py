"""What an HTTP connection manager does with a request before routing."""

from __future__ import annotations

from typing import Any, Final

from mizzen.simulate import cors, fault
from mizzen.simulate.call import Protocol
from mizzen.simulate.connection import Connection
from mizzen.simulate.path_normalization import (
    has_escaped_slash,
    is_valid,
    normalized,
    slashes_merged,
    slashes_unescaped,
)
from mizzen.simulate.prefixes import parsed
from mizzen.simulate.request import Request
from mizzen.simulate.security_filters import SecurityFilter, security_filter
from mizzen.simulate.typed_config import type_name
from mizzen.simulate.verdict import Failure, FilterStep
from mizzen.simulate.virtual_host import RouteConfiguration, without_port

_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
_JUDGED: Final = frozenset(
    {
        _ROUTER,
        fault.TYPE,
        cors.TYPE,
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
        "envoy.extensions.filters.http.set_filter_state.v3.Config",
    }
)
"""Filters whose effect on a call the simulator knows, or that have none; security
filters are handled apart."""
_AUTO, _HTTP1, _HTTP2, _HTTP3 = range(4)
_CODECS: Final = {
    _HTTP1: (Protocol.HTTP10, Protocol.HTTP1),
    _HTTP2: (Protocol.HTTP2,),
    _HTTP3: (Protocol.HTTP3,),
}
_REJECT, _UNESCAPE_AND_REDIRECT, _UNESCAPE_AND_FORWARD = 2, 3, 4


class HttpConnectionManager:
    """A compiled connection manager. `route_configuration` is inline; if there is none, the one named
    `route_configuration_name` is used."""

    __slots__ = (
        "_codec",
        "_escaped_slashes",
        "_http10",
        "_is_edge",
        "_merge_slashes",
        "_message",
        "_normalize",
        "_strip_any_port",
        "_strip_port",
        "_trusted_hops",
        "_trusts_scheme",
        "answers_preflights",
        "filters",
        "injects_faults",
        "route_configuration",
        "route_configuration_name",
        "security",
    )

    def __init__(self, message: Any) -> None:
        self._message = message
        self.route_configuration: RouteConfiguration | None = None
        if message.HasField("route_config"):
            self.route_configuration = RouteConfiguration(message.route_config)
            self.route_configuration_name = str(message.route_config.name)
        else:
            self.route_configuration_name = str(message.rds.route_config_name)
        steps: list[FilterStep] = []
        security: list[SecurityFilter] = []
        for each in message.http_filters:
            if not each.disabled:
                kind = type_name(each.typed_config)
                judge = security_filter(str(each.name), each.typed_config)
                security += [judge] if judge is not None else []
                steps.append(FilterStep(str(each.name), kind, judge is not None or kind in _JUDGED))
        self.filters = tuple(steps)
        self.security = tuple(security)
        kinds = {each.type for each in self.filters}
        self.injects_faults = fault.TYPE in kinds
        self.answers_preflights = cors.TYPE in kinds
        self._is_edge = message.use_remote_address.value
        self._trusted_hops = message.xff_num_trusted_hops
        self._trusts_scheme = not self._is_edge or self._trusted_hops > 0
        self._codec = message.codec_type
        self._normalize = message.normalize_path.value
        self._merge_slashes = message.merge_slashes
        self._escaped_slashes = message.path_with_escaped_slashes_action
        self._http10 = message.http_protocol_options.accept_http_10
        self._strip_port = message.strip_matching_host_port
        self._strip_any_port = message.WhichOneof("strip_port_mode") == "strip_any_host_port"

    def reads(self, protocol: Protocol, negotiated: str) -> bool:
        """Return True if the codec reads the client's protocol. `negotiated` is the result of ALPN; without
        one, the codec decides by the first bytes."""
        codec = self._codec
        if codec == _AUTO and negotiated:
            codec = _HTTP2 if negotiated == "h2" else _HTTP1
        if codec == _AUTO:
            return protocol.is_http
        return protocol in _CODECS[codec]

    def request(self, made: Connection, *, encrypted: bool) -> Request | Failure:
        """Return the request as it is routed, or why it is not; `encrypted`: it came over TLS."""
        call = made.call
        if call.protocol is Protocol.HTTP10 and not self._http10:
            return Failure.UNSUPPORTED_VERSION
        authority, target = call.authority, call.path
        forwarded_scheme = "https" if encrypted else "http"
        scheme = "" if call.protocol in _CODECS[_HTTP1] else forwarded_scheme
        if target[:1] != "/" and "://" in target:
            # The form of a request to a proxy: the URL overrides the Host header.
            scheme, _, rest = target.partition("://")
            authority, slash, path = rest.partition("/")
            target = f"{slash or '/'}{path}"
        if not authority or not is_valid(target):
            return Failure.BAD_REQUEST
        if self._strip_any_port or (self._strip_port and authority.endswith(f":{made.port}")):
            authority = without_port(authority)
        if self._trusts_scheme:
            for name, value in call.headers:
                if name.lower() == "x-forwarded-proto" and value.lower() in ("http", "https"):
                    forwarded_scheme = value.lower()
        normalized_target = self._normalized(target) if call.method != "CONNECT" else target
        request = Request(made, authority, normalized_target, forwarded_scheme, scheme)
        self._set_remote_address(request)
        return request

    def _set_remote_address(self, request: Request) -> None:
        """Take the client's address from X-Forwarded-For, as far as the proxies that wrote it are trusted."""
        forwarded = request.headers.get("x-forwarded-for")
        skipped = self._trusted_hops - 1 if self._is_edge else self._trusted_hops
        if forwarded is not None and skipped >= 0:
            addresses = ",".join(forwarded).split(",")
            address = addresses[-1 - skipped].strip() if skipped < len(addresses) else ""
            if parsed(address)[0]:
                request.remote_address = address

    def refuses(self, request: Request) -> bool:
        """Return True if the path has escaped slashes that are not allowed."""
        return self._escaped_slashes == _REJECT and has_escaped_slash(request.path)

    def _normalized(self, target: str) -> str:
        path, question, query = target.partition("?")
        if self._escaped_slashes > _REJECT:
            path = slashes_unescaped(path)
        if self._normalize:
            path = normalized(path)
        if self._merge_slashes:
            path = slashes_merged(path)
        return f"{path}{question}{query}"
