"""Announcing HTTP in the handshake of the mesh's mutual TLS, by ALPN (docs/decisions/0101).

Istio's own proxy has a filter for this (istio.alpn). If the endpoints of a cluster detect the protocol, the
cluster's metadata says which ALPN to offer. For all other clusters the filter has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep
from mizzen.translator.filters.role import Role
from mizzen.translator.tls.mesh_protocols import OFFER_KEY, OFFER_NAMESPACE

NAME: Final = "envoy.filters.http.set_filter_state"

_OFFERED: Final = "envoy.network.application_protocols"


def mesh_alpn(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter for outbound calls and gateways, if automatic mutual TLS is on."""
    if context.role is Role.SIDECAR_INBOUND or not context.mesh_config.enable_auto_mtls:
        return
    text = substitution_format_string_pb2.SubstitutionFormatString(omit_empty_values=True)
    text.text_format_source.inline_string = f"%CLUSTER_METADATA({OFFER_NAMESPACE}:{OFFER_KEY})%"
    value = value_pb2.FilterStateValue(
        object_key=_OFFERED,
        format_string=text,
        shared_with_upstream=value_pb2.FilterStateValue.ONCE,
        skip_if_empty=True,
    )
    config = set_filter_state_pb2.Config(on_request_headers=[value])
    yield typed(hcm.HttpFilter, NAME, config)


FILTER: Final = HttpFilter(NAME, HttpStep.ALPN, mesh_alpn)
