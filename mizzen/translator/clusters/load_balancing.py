"""Load balancing: which endpoint of a cluster takes a request.

https://istio.io/latest/docs/reference/config/networking/destination-rule/#LoadBalancerSettings
"""

from __future__ import annotations

from datetime import timedelta

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2

from mizzen.config.models import LoadBalancerSettings, SimpleLB
from mizzen.translator.base.config_sources import duration

_Cluster = cluster_pb2.Cluster

_ISTIO_MINIMUM_RING_SIZE = 1024
_DEFAULT_AGGRESSION = 1.0
_DEFAULT_MINIMUM_PERCENT = 10.0
_NO_RUNTIME_KEY = "("
"""Envoy requires a runtime key, but Istio wants no runtime override; no user sets this key by accident."""


def apply_load_balancer(cluster: cluster_pb2.Cluster, settings: LoadBalancerSettings | None) -> None:
    """Set the balancing algorithm of `cluster`, whose type must already be set.

    The algorithm is the rule's, by default LEAST_REQUEST. Clusters that call the original destination or have
    a custom type bring their own (CLUSTER_PROVIDED).
    """
    if cluster.type == _Cluster.ORIGINAL_DST or cluster.HasField("cluster_type"):
        cluster.lb_policy = _Cluster.CLUSTER_PROVIDED
        return
    simple = SimpleLB.UNSPECIFIED if settings is None or settings.simple is None else settings.simple
    if simple == SimpleLB.ROUND_ROBIN:
        cluster.lb_policy = _Cluster.ROUND_ROBIN
    elif simple == SimpleLB.RANDOM:
        cluster.lb_policy = _Cluster.RANDOM
    else:
        cluster.lb_policy = _Cluster.LEAST_REQUEST
    if settings is None:
        return
    if settings.consistent_hash is not None:
        _apply_consistent_hash(cluster, settings)
        return
    slow_start = _slow_start(settings)
    if slow_start is not None and cluster.lb_policy == _Cluster.ROUND_ROBIN:
        cluster.round_robin_lb_config.slow_start_config.CopyFrom(slow_start)
    elif slow_start is not None and cluster.lb_policy == _Cluster.LEAST_REQUEST:
        cluster.least_request_lb_config.slow_start_config.CopyFrom(slow_start)


def _apply_consistent_hash(cluster: cluster_pb2.Cluster, settings: LoadBalancerSettings) -> None:
    """Set the algorithm and its size. The routes say what is hashed (routes/hash_policy.py)."""
    hashing = settings.consistent_hash
    if hashing is None:
        return
    if hashing.maglev is not None:
        cluster.lb_policy = _Cluster.MAGLEV
        if hashing.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = hashing.maglev.table_size
        return
    cluster.lb_policy = _Cluster.RING_HASH
    if hashing.ring_hash is not None:
        # Without a minimum inside ringHash, Envoy's default holds.
        if hashing.ring_hash.minimum_ring_size:
            cluster.ring_hash_lb_config.minimum_ring_size.value = hashing.ring_hash.minimum_ring_size
        return
    size = hashing.minimum_ring_size or _ISTIO_MINIMUM_RING_SIZE
    cluster.ring_hash_lb_config.minimum_ring_size.value = size


def _slow_start(settings: LoadBalancerSettings) -> cluster_pb2.Cluster.SlowStartConfig | None:
    warmup = settings.warmup
    if warmup is None:
        if settings.warmup_duration_secs is None:
            return None
        return _Cluster.SlowStartConfig(slow_start_window=duration(settings.warmup_duration_secs))
    aggression = _DEFAULT_AGGRESSION if warmup.aggression is None else warmup.aggression
    percent = _DEFAULT_MINIMUM_PERCENT if warmup.minimum_percent is None else warmup.minimum_percent
    return _Cluster.SlowStartConfig(
        slow_start_window=duration(warmup.duration or timedelta()),
        aggression=base_pb2.RuntimeDouble(default_value=aggression, runtime_key=_NO_RUNTIME_KEY),
        min_weight_percent={"value": percent},
    )
