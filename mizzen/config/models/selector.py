"""Choosing workloads by label, in the two forms that Istio's API has."""

from __future__ import annotations

from pydantic import Field

from mizzen.config.models.base import IstioModel


class WorkloadSelector(IstioModel):
    """`istio.networking.v1.WorkloadSelector`: what ServiceEntry and Sidecar write (`labels`)."""

    labels: dict[str, str] = Field(default_factory=dict)


class TypeWorkloadSelector(IstioModel):
    """`istio.type.v1beta1.WorkloadSelector`: what DestinationRule and policies write (`matchLabels`)."""

    match_labels: dict[str, str] = Field(default_factory=dict)


class PolicyTargetReference(IstioModel):
    """`istio.type.v1beta1.PolicyTargetReference`: a resource that a policy attaches to, in its namespace."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
