"""Selecting workloads by label, in the two forms of Istio's API."""

from __future__ import annotations

from pydantic import Field

from mizzen.config.models.base import IstioModel


class WorkloadSelector(IstioModel):
    """`istio.networking.v1.WorkloadSelector`, used by ServiceEntry and Sidecar (`labels`)."""

    labels: dict[str, str] = Field(default_factory=dict)


class TypeWorkloadSelector(IstioModel):
    """`istio.type.v1beta1.WorkloadSelector`, used by DestinationRule and policies (`matchLabels`)."""

    match_labels: dict[str, str] = Field(default_factory=dict)


class PolicyTargetReference(IstioModel):
    """`istio.type.v1beta1.PolicyTargetReference`: a resource of the policy's
    namespace that the policy applies to."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
