"""Filters that ask an external authorizer, whose answer is not known.

Source:
https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto
"""

from __future__ import annotations

from typing import Any

from mizzen.simulate.metadata_match import metadata_condition, metadata_test
from mizzen.simulate.request import Request
from mizzen.simulate.verdict import Decision, PolicyStep


class ExternalAuthorization:
    """A compiled filter of external authorization."""

    __slots__ = ("_asked_for", "_is_asked", "name")

    def __init__(self, name: str, message: Any) -> None:
        self.name = name
        asks = message.HasField("filter_enabled_metadata")
        self._is_asked = metadata_test(message.filter_enabled_metadata) if asks else lambda request: True
        self._asked_for = metadata_condition(message.filter_enabled_metadata).found if asks else lambda _: ""

    def judge(self, request: Request, *, explain: bool) -> PolicyStep | None:
        """Return that the authorizer's answer is unknown; None if it is not asked."""
        if not self._is_asked(request):
            return None
        return PolicyStep(self.name, "EXTERNAL", Decision.UNKNOWN, self._asked_for(request))
