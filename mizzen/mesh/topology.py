"""Reads from labels where workloads and proxies run.

Sources: https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/ and Istio's
pilot/pkg/xds/ads.go (localityFromProxyLabels) and pkg/model/proxy.go (GetLocalityLabel).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mizzen.mesh.service import Locality

NETWORK_LABEL: Final = "topology.istio.io/network"
CLUSTER_LABEL: Final = "topology.istio.io/cluster"
REGION_LABEL: Final = "topology.kubernetes.io/region"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
SUBZONE_LABEL: Final = "topology.istio.io/subzone"
HOSTNAME_LABEL: Final = "kubernetes.io/hostname"

_LOCALITY_LABELS: Final = ("topology.istio.io/locality", "istio-locality")
_OLD_REGION_LABEL: Final = "failure-domain.beta.kubernetes.io/region"
_OLD_ZONE_LABEL: Final = "failure-domain.beta.kubernetes.io/zone"


def labelled_locality(labels: Mapping[str, str]) -> Locality:
    """Return the locality in a workload's locality label, whose parts may be separated by dots."""
    text = _locality_label(labels)
    return Locality.parse(text if "/" in text else text.replace(".", "/"))


def topology_locality(labels: Mapping[str, str]) -> Locality:
    """Return the locality in the labels of region, zone and subzone."""
    return Locality(*(labels.get(key, "") for key in (REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL)))


def node_locality(labels: Mapping[str, str]) -> Locality:
    """Return the locality of a Kubernetes Node; labels of old releases count if the new ones are missing."""
    return Locality(
        labels.get(REGION_LABEL) or labels.get(_OLD_REGION_LABEL, ""),
        labels.get(ZONE_LABEL) or labels.get(_OLD_ZONE_LABEL, ""),
        labels.get(SUBZONE_LABEL, ""),
    )


def proxy_locality(
    sent: Locality, workload_labels: Mapping[str, str], node_labels: Mapping[str, str]
) -> Locality:
    """Return the locality of a proxy: from its workload's labels, else its node's labels, else as it `sent`
    it.

    The labels of region, zone and subzone come before the locality label. Here, as in istiod, only slashes
    separate the parts of the locality label.
    """
    for labels in (workload_labels, node_labels):
        found = topology_locality(labels)
        if found != Locality():
            return found
        text = _locality_label(labels)
        if text:
            return Locality.parse(text)
    return sent


def _locality_label(labels: Mapping[str, str]) -> str:
    return next((labels[key] for key in _LOCALITY_LABELS if labels.get(key)), "")
