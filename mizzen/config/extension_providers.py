"""MeshConfig's extension providers: services outside the proxies that support them. Authorizers are read
here.

https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ExtensionProvider
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from mizzen.config.models.base import IstioModel, OneofModel
from mizzen.config.models.types import Bool, Deprecated, Duration, UInt32


class ExternalAuthorizationRequestBody(IstioModel):
    """How much of a request's body is sent to the authorizer."""

    max_request_bytes: UInt32 = 0
    allow_partial_message: Bool = False
    pack_as_bytes: Bool = False


class _ExternalAuthorization(IstioModel):
    """The fields that both kinds of authorizers share. `service` is `hostname`, or `namespace/hostname`."""

    service: str = ""
    port: UInt32 = 0
    timeout: Duration = timedelta(seconds=600)
    fail_open: Bool = False
    clear_route_cache: Bool = False
    status_on_error: str = ""
    include_request_body_in_check: ExternalAuthorizationRequestBody | None = None


class EnvoyExternalAuthorizationHttpProvider(_ExternalAuthorization):
    """An authorizer called by HTTP: status 200 allows. Lists of headers may contain `x-*` and `*-x`."""

    path_prefix: str = ""
    include_headers_in_check: Annotated[
        tuple[str, ...], Deprecated("write includeRequestHeadersInCheck")
    ] = ()
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: dict[str, str] = Field(default_factory=dict)
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


class EnvoyExternalAuthorizationGrpcProvider(_ExternalAuthorization):
    """An authorizer that speaks Envoy's gRPC service `envoy.service.auth.v3.Authorization`."""


class ExtensionProvider(OneofModel):
    """A provider, by its name. Providers of telemetry are not read."""

    model_config = ConfigDict(extra="ignore")

    name: str = ""
    envoy_ext_authz_http: EnvoyExternalAuthorizationHttpProvider | None = None
    envoy_ext_authz_grpc: EnvoyExternalAuthorizationGrpcProvider | None = None

    oneofs: ClassVar = (frozenset({"envoy_ext_authz_http", "envoy_ext_authz_grpc"}),)

    @property
    def authorizer(
        self,
    ) -> EnvoyExternalAuthorizationHttpProvider | EnvoyExternalAuthorizationGrpcProvider | None:
        """The authorizer; None if the provider is of a different kind."""
        return self.envoy_ext_authz_http or self.envoy_ext_authz_grpc
