"""MeshConfig: the settings of the whole mesh, from a file or from the ConfigMap `istio`.

Fields, meanings and defaults: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/. The
defaults are istiod's own, not those of an installation profile. Fields that take no effect here get a
warning.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mizzen.config.extension_providers import ExtensionProvider
from mizzen.config.mesh_networks import MeshNetworks
from mizzen.config.models import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    HTTPRetry,
    LocalityLoadBalancerSetting,
    OutlierDetection,
    TcpKeepalive,
    ZoneAwareLoadBalancerSetting,
)
from mizzen.config.models.base import IstioModel
from mizzen.config.models.host import HostName
from mizzen.config.models.types import Bool, Duration, Int32, IstioEnum
from mizzen.config.proxy_config import ProxyConfig


class OutboundTrafficPolicyMode(IstioEnum):
    """What happens to calls to hosts that the registry does not know."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"
    ALLOW_ANY_DYNAMIC_DNS = "ALLOW_ANY_DYNAMIC_DNS"


class OutboundTrafficPolicy(IstioModel):
    """What happens to calls to hosts that the registry does not know."""

    # In MeshConfig an unset block means ALLOW_ANY, and so does a block without a mode: istiod merges the file
    # over its defaults.
    mode: OutboundTrafficPolicyMode = OutboundTrafficPolicyMode.ALLOW_ANY
    tls: ClientTLSSettings | None = None


class InboundTrafficPolicyMode(IstioEnum):
    """Whether inbound calls go to the address that they were sent to, or to 127.0.0.1."""

    PASSTHROUGH = "PASSTHROUGH"
    LOCALHOST = "LOCALHOST"


class InboundTrafficPolicy(IstioModel):
    """Where a sidecar sends inbound calls."""

    mode: InboundTrafficPolicyMode = InboundTrafficPolicyMode.PASSTHROUGH


class MeshH2UpgradePolicy(IstioEnum):
    """Whether HTTP/1.1 calls between proxies are upgraded to HTTP/2."""

    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class AccessLogEncoding(IstioEnum):
    """How access logs are written."""

    TEXT = "TEXT"
    JSON = "JSON"


class PathNormalizationMode(IstioEnum):
    """How paths are normalised before they are matched. DEFAULT means BASE."""

    DEFAULT = "DEFAULT"
    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class PathNormalization(IstioModel):
    """How paths are normalised before they are matched."""

    normalization: PathNormalizationMode = PathNormalizationMode.DEFAULT


class MeshTLSProtocol(IstioEnum):
    """The minimum TLS version."""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class MeshTLSConfig(IstioModel):
    """The TLS versions, ciphers and curves that are accepted."""

    min_protocol_version: MeshTLSProtocol = MeshTLSProtocol.TLS_AUTO
    ecdh_curves: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()


class MeshTrafficPolicy(IstioModel):
    """The defaults beneath every DestinationRule, block by block."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


class ServiceLocality(IstioModel):
    """How the other clusters of the mesh see services."""

    cluster_local: Bool = False


class ServiceSettings(IstioModel):
    """Settings of the services that `hosts` name."""

    settings: ServiceLocality | None = None
    hosts: tuple[HostName, ...] = ()


def _up_to_an_hour(value: timedelta) -> timedelta:
    if not timedelta(milliseconds=1) <= value <= timedelta(hours=1):
        raise PydanticCustomError("range", "is out of range; give 1ms to 1h")
    return value


ConnectTimeout = Annotated[Duration, AfterValidator(_up_to_an_hour)]
MeshPort = Annotated[Int32, Field(ge=0, le=65535)]


class MeshConfig(IstioModel):
    """The settings of the whole mesh; absent fields have istiod's defaults."""

    model_config = ConfigDict(extra="ignore")

    root_namespace: str = "istio-system"
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    outbound_traffic_policy: OutboundTrafficPolicy = OutboundTrafficPolicy()
    inbound_traffic_policy: InboundTrafficPolicy = InboundTrafficPolicy()
    # Where certificates are served the default is Istio's, true: mizzen/mesh/settings.py.
    enable_auto_mtls: Bool = False
    connect_timeout: ConnectTimeout = timedelta(seconds=10)
    protocol_detection_timeout: Duration = timedelta(0)
    tcp_keepalive: TcpKeepalive | None = None
    h2_upgrade_policy: MeshH2UpgradePolicy = MeshH2UpgradePolicy.DO_NOT_UPGRADE
    default_http_retry_policy: HTTPRetry | None = None
    default_inbound_http_retry_policy: HTTPRetry | None = None
    default_traffic_policy: MeshTrafficPolicy | None = None
    locality_lb_setting: LocalityLoadBalancerSetting = LocalityLoadBalancerSetting.of(enabled=True)
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    default_service_export_to: tuple[str, ...] = ("*",)
    default_virtual_service_export_to: tuple[str, ...] = ("*",)
    default_destination_rule_export_to: tuple[str, ...] = ("*",)
    proxy_listen_port: MeshPort = 15001
    proxy_inbound_listen_port: MeshPort = 15006
    proxy_http_port: MeshPort = 0
    dns_refresh_rate: Duration = timedelta(seconds=60)
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: AccessLogEncoding = AccessLogEncoding.TEXT
    disable_envoy_listener_log: Bool = False
    enable_tracing: Bool = True
    path_normalization: PathNormalization = PathNormalization()
    tls_defaults: MeshTLSConfig | None = None
    mesh_mtls: MeshTLSConfig | None = Field(default=None, alias="meshMTLS")
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    service_settings: tuple[ServiceSettings, ...] = ()
    extension_providers: tuple[ExtensionProvider, ...] = ()
    default_config: ProxyConfig = ProxyConfig()
    # Istio keeps it beside MeshConfig (docs/decisions/0007-networks-and-dual-stack.md).
    mesh_networks: MeshNetworks = MeshNetworks()

    @property
    def spiffe_trust_domains(self) -> tuple[str, ...]:
        """The trust domains whose identities belong to the mesh, the mesh's own first, as written in SPIFFE
        IDs: `.` instead of `@` (Istio's pkg/spiffe)."""
        domains = (self.trust_domain, *self.trust_domain_aliases)
        return tuple(dict.fromkeys(domain.replace("@", ".") for domain in domains))
