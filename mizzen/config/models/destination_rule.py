"""DestinationRule: how clients talk to a service, and the subsets of its workloads.

https://istio.io/latest/docs/reference/config/networking/destination-rule/
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mizzen.config.models.base import IstioModel, OneofModel
from mizzen.config.models.host import HostName
from mizzen.config.models.ports import PortSelector
from mizzen.config.models.selector import TypeWorkloadSelector
from mizzen.config.models.types import (
    Bool,
    Deprecated,
    Double,
    Duration,
    Int32,
    IstioEnum,
    UInt32,
    UInt64,
)


class SimpleLB(IstioEnum):
    """The load balancing algorithms that need no settings (`LoadBalancerSettings.SimpleLB`)."""

    UNSPECIFIED = "UNSPECIFIED"
    LEAST_CONN = "LEAST_CONN"
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"


class HTTPCookieAttribute(IstioModel):
    """An attribute of the cookie that is made for consistent hashing."""

    name: str = ""
    value: str = ""


class HTTPCookie(IstioModel):
    """A cookie to hash. `ttl` None: no cookie is made; zero: a session cookie is made."""

    name: str = ""
    path: str = ""
    ttl: Duration | None = None
    attributes: tuple[HTTPCookieAttribute, ...] = ()


class RingHash(IstioModel):
    """Settings of the ring hash load balancer."""

    minimum_ring_size: UInt64 = 0


class MagLev(IstioModel):
    """Settings of the Maglev load balancer."""

    table_size: UInt64 = 0


class ConsistentHashLB(OneofModel):
    """Load balancing by a hash: what is hashed, and by which algorithm."""

    oneofs: ClassVar = (
        frozenset({"http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"}),
        frozenset({"ring_hash", "maglev"}),
    )

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: Bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: Annotated[UInt64, Deprecated("write ringHash.minimumRingSize")] = 0


class LocalityDistribute(IstioModel):
    """Shares of the traffic of one locality (`LocalityLoadBalancerSetting.Distribute`)."""

    from_: str = ""
    to: dict[str, UInt32] = Field(default_factory=dict)


class LocalityFailover(IstioModel):
    """The region that takes over for another region (`LocalityLoadBalancerSetting.Failover`)."""

    from_: str = ""
    to: str = ""


class LocalityLoadBalancerSetting(IstioModel):
    """Load balancing by the localities of client and endpoints. `enabled` None means the mesh's setting."""

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: Bool | None = None


class ZoneAwareLoadBalancerSetting(IstioModel):
    """Load balancing that prefers the client's own zone."""

    enabled: Bool | None = None
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: UInt64 | None = None


class WarmupConfiguration(IstioModel):
    """How the traffic share of a new endpoint grows."""

    duration: Duration | None = None
    minimum_percent: Double | None = None
    aggression: Double | None = None


class LoadBalancerSettings(OneofModel):
    """The load balancing of one destination."""

    oneofs: ClassVar = (frozenset({"simple", "consistent_hash"}),)

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup_duration_secs: Duration | None = None
    warmup: WarmupConfiguration | None = None


class TcpKeepalive(IstioModel):
    """TCP keep-alive of the connections to a destination."""

    probes: UInt32 = 0
    time: Duration | None = None
    interval: Duration | None = None


class TCPSettings(IstioModel):
    """Limits of the connections to a destination (`ConnectionPoolSettings.TCPSettings`)."""

    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class H2UpgradePolicy(IstioEnum):
    """Whether HTTP/1.1 is carried over HTTP/2 to the destination."""

    DEFAULT = "DEFAULT"
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class HTTP2KeepAlive(IstioModel):
    """Pings of HTTP/2 connections."""

    interval: Duration | None = None
    timeout: Duration | None = None


class HTTPSettings(IstioModel):
    """Limits of the requests to a destination (`ConnectionPoolSettings.HTTPSettings`)."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: H2UpgradePolicy = H2UpgradePolicy.DEFAULT
    use_client_protocol: Bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: HTTP2KeepAlive | None = None


class ConnectionPoolSettings(IstioModel):
    """Limits of connections and requests to a destination."""

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(IstioModel):
    """When an endpoint is ejected for its failures."""

    consecutive_errors: Annotated[
        Int32, Deprecated("write consecutive5xxErrors or consecutiveGatewayErrors")
    ] = 0
    split_external_local_origin_errors: Bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 = 0
    min_health_percent: Int32 = 0
    outlier_detection_http_error_codes: tuple[UInt32, ...] = ()


class ClientTLSMode(IstioEnum):
    """How a client treats TLS (`ClientTLSSettings.TLSmode`)."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class ClientTLSSettings(IstioModel):
    """TLS settings for connections to a destination."""

    mode: ClientTLSMode = ClientTLSMode.DISABLE
    client_certificate: str = ""
    private_key: str = Field(default="", repr=False)
    ca_certificates: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: Bool | None = None
    ca_crl: str = ""


class TunnelSettings(IstioModel):
    """Carrying TCP through an HTTP proxy (`TrafficPolicy.TunnelSettings`)."""

    protocol: str = ""
    target_host: str = ""
    target_port: UInt32 = 0


class ProxyProtocolVersion(IstioEnum):
    """A version of the PROXY protocol."""

    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(IstioModel):
    """Sending the client's address to the destination (`TrafficPolicy.ProxyProtocol`)."""

    version: ProxyProtocolVersion = ProxyProtocolVersion.V1


class RetryBudget(IstioModel):
    """How many retries may be under way at once (`TrafficPolicy.RetryBudget`)."""

    percent: Double | None = None
    min_retry_concurrency: UInt32 = 0
    budget_interval: Duration | None = None


class PortTrafficPolicy(IstioModel):
    """The policy of one port, which overrides the policy above it (`TrafficPolicy.PortTrafficPolicy`)."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TrafficPolicy(IstioModel):
    """Policy for traffic to a destination or a subset of it."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(IstioModel):
    """A named subset of a service's workloads."""

    name: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRule(IstioModel):
    """The policy and the subsets of `host`."""

    host: HostName = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    workload_selector: TypeWorkloadSelector | None = None
