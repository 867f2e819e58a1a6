"""Which statistics an Envoy has. Those of clusters take most of its memory and of its time to start."""

from __future__ import annotations

from typing import Any, Final, Literal

StatsPreset = Literal["lean", "full"]

_KEPT_PREFIXES: Final = (
    "cluster_manager.",
    "listener_manager.",
    "control_plane.",
    "server.",
    "cluster.xds-grpc.",
    "sds.",
)
"""Statistics about the proxy itself and its connection to the control plane."""

_KEPT_SUFFIXES: Final = (
    *(f"upstream_rq_{name}" for name in ("total", "1xx", "2xx", "3xx", "4xx", "5xx")),
    *(f"upstream_rq_{name}" for name in ("timeout", "retry", "pending_overflow")),
    *(f"upstream_cx_{name}" for name in ("total", "active", "connect_fail")),
    *(f"downstream_rq_{name}" for name in ("total", "1xx", "2xx", "3xx", "4xx", "5xx", "active")),
    *(f"downstream_cx_{name}" for name in ("total", "active")),
    "membership_healthy",
    "membership_total",
    "update_rejected",
    "no_filter_chain_match",
    "ssl.connection_error",
)
"""The totals of each cluster, listener and HTTP connection manager."""

_OWN_TAGS: Final = (
    ("envoy.cluster_name", r"^cluster\.(([^;]+);\.)"),
    ("envoy.cluster_name", r"^cluster\.((xds-grpc)\.)"),
    ("envoy.http_conn_manager_prefix", r"^http\.(([^;]+);\.)"),
    ("envoy.http_conn_manager_prefix", r"^http\.((admin)\.)"),
)
"""Labels whose values may contain dots. A semicolon ends them in the names that we give, as in Istio."""

_BUILT_IN_TAGS: Final = (
    "envoy.listener_address",
    "envoy.response_code",
    "envoy.response_code_class",
    "envoy.rds_route_config",
    "envoy.worker_id",
)
"""Labels that Envoy extracts by itself, far faster than with a regular expression."""


def apply_stats_preset(bootstrap: Any, preset: StatsPreset) -> None:
    """Set the statistics of the Envoy with this `bootstrap` (a Bootstrap message).

    `lean` keeps the totals of each cluster, listener and HTTP connection manager, and all statistics about
    the proxy itself. `full` keeps all of Envoy's statistics. With both, Envoy creates a cluster's statistics
    only when the cluster is first used.
    """
    config = bootstrap.stats_config
    config.use_all_default_tags.value = False
    for tag, regex in _OWN_TAGS:
        config.stats_tags.add(tag_name=tag, regex=regex)
    for tag in _BUILT_IN_TAGS:
        config.stats_tags.add(tag_name=tag)
    bootstrap.deferred_stat_options.enable_deferred_creation_stats = True
    if preset == "full":
        return
    patterns = config.stats_matcher.inclusion_list.patterns
    for prefix in _KEPT_PREFIXES:
        patterns.add(prefix=prefix)
    for suffix in _KEPT_SUFFIXES:
        patterns.add(suffix=suffix)
