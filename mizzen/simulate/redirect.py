"""The target of a redirect.

Source: RedirectAction in
https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto
"""

from __future__ import annotations

from typing import Any, Final

from mizzen.simulate.request import Request
from mizzen.simulate.rewrite import PathRewrite, rewrite_of

STATUS: Final = (301, 302, 303, 307, 308)
"""HTTP status by Envoy's RedirectResponseCode."""
_PORTS: Final = {"http": ":80", "https": ":443"}


class Redirect:
    """A compiled RedirectAction."""

    __slots__ = ("_action", "_rewrite", "status")

    def __init__(self, action: Any, match: Any) -> None:
        self._action = action
        self._rewrite: PathRewrite | None = rewrite_of(action, match)
        self.status = STATUS[action.response_code]

    def location(self, request: Request) -> str:
        """Return the Location header."""
        action = self._action
        scheme = action.scheme_redirect or ("https" if action.https_redirect else request.scheme)
        port = f":{action.port_redirect}" if action.port_redirect else ""
        host = action.host_redirect or _host(request, scheme, port)
        return f"{scheme}://{host}{port}{self._path(request)}"

    def _path(self, request: Request) -> str:
        action = self._action
        query = "" if action.strip_query else request.target[len(request.path) :]
        if action.path_redirect:
            return action.path_redirect if "?" in action.path_redirect else f"{action.path_redirect}{query}"
        path = self._rewrite(request.path) if self._rewrite is not None else request.path
        return f"{path}{query}"


def _host(request: Request, scheme: str, port: str) -> str:
    """Return the request's host, without its port if a different port or scheme makes that wrong."""
    host, colon, number = request.authority.rpartition(":")
    if not colon or "]" in number:
        return request.authority
    default = _PORTS.get(request.forwarded_scheme) == f":{number}"
    return host if port or (scheme != request.forwarded_scheme and default) else request.authority
