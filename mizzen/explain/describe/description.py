"""The description of one service, workload or Gateway, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PortLine:
    """A port of a service, a workload or a Gateway; only a Gateway's port has `hosts`.

    `service` owns the port, `target` is the workload's port if it has a different number. `takes` says what
    the workloads accept, `called` what clients speak.
    """

    number: int
    name: str
    protocol: str
    service: str
    target: str
    takes: str
    called: str
    hosts: str = ""


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """An endpoint of a service, and the `subsets` to which it belongs. `gateway`: it serves a Gateway."""

    address: str
    workload: str
    labels: tuple[str, ...]
    subsets: tuple[str, ...]
    health: str
    locality: str
    origins: tuple[str, ...]
    gateway: bool = False


@dataclass(frozen=True, slots=True)
class RulePart:
    """A part of a rule, in words."""

    words: str
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A document that applies to the service or workload. `what` says how."""

    kind: str
    name: str
    what: str
    parts: tuple[RulePart, ...]
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Oddity:
    """A probable mistake. `code` is the code of a diagnostic (docs/codes.md), or empty."""

    message: str
    origins: tuple[str, ...]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """A service, a workload or a gateway (`kind`). Places are `file:line`.

    `facts` are short texts by title. Only a service has `endpoints`. `gateway`: the workload serves a
    Gateway.
    """

    kind: str
    name: str
    namespace: str
    origins: tuple[str, ...]
    addresses: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    ports: tuple[PortLine, ...]
    endpoints: tuple[EndpointLine, ...]
    rules: tuple[AppliedRule, ...]
    odd: tuple[Oddity, ...]
    gateway: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "facts": dict(self.facts)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Description:
        """Return the description from which `as_dict` made these values."""
        return cls(
            values["kind"],
            values["name"],
            values["namespace"],
            tuple(values["origins"]),
            tuple(values["addresses"]),
            tuple(values["facts"].items()),
            tuple(PortLine(**each) for each in values["ports"]),
            tuple(EndpointLine(**_tuples(each)) for each in values["endpoints"]),
            tuple(
                AppliedRule(
                    **{**_tuples(each), "parts": tuple(RulePart(**_tuples(one)) for one in each["parts"])}
                )
                for each in values["rules"]
            ),
            tuple(Oddity(**_tuples(each)) for each in values["odd"]),
            values["gateway"],
        )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
