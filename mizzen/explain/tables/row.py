"""One row of a table, and the filter of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from mizzen.translator.base.cluster_names import ClusterName


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        cells: the texts, by the title of the column.
        origins: the places in the user's files, as `file:line`.
        resource: the name of the resource in the row.
        state: empty if the proxy has accepted the resource, or if no proxy is asked; else what is wrong.
        hosts, fqdn, port, subset, direction: the values that filters compare; empty or 0 for none.
    """

    cells: Mapping[str, str]
    origins: tuple[str, ...] = ()
    resource: str = ""
    state: str = ""
    hosts: tuple[str, ...] = ()
    fqdn: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Row:
        """Return the row from which `as_dict` made these values."""
        return cls(**{**values, "origins": tuple(values["origins"]), "hosts": tuple(values["hosts"])})


class OfCluster(TypedDict, total=False):
    """The values that filters compare, in a row about a cluster."""

    hosts: tuple[str, ...]
    fqdn: str
    port: int
    subset: str
    direction: str


def of_cluster(name: ClusterName | None) -> OfCluster:
    """Return the values that filters compare, from the parts of a cluster's name."""
    if name is None:
        return OfCluster()
    return OfCluster(
        hosts=(name.hostname,) if name.hostname else (),
        fqdn=name.hostname,
        port=name.port,
        subset=name.subset,
        direction=name.direction,
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows to show. A condition that is empty or 0 does not count.

    `host` is a name that a client uses; it selects the domains that match it. `fqdn` is the host of a
    service, or its first labels (`reviews`, `reviews.default`).
    """

    host: str = ""
    fqdn: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def lets_through(self, row: Row) -> bool:
        """Return True if the row is to be shown."""
        return (
            (not self.host or any(_is_for(domain, self.host.lower()) for domain in row.hosts))
            and (not self.fqdn or f"{row.fqdn}.".startswith(f"{self.fqdn.lower().rstrip('.')}."))
            and (not self.port or row.port == self.port)
            and (not self.subset or row.subset == self.subset)
            and (not self.direction or row.direction == self.direction)
        )


def _is_for(domain: str, host: str) -> bool:
    if not domain.startswith("*") or domain == "*":
        return domain == host
    from mizzen.mesh.hosts import (
        matches,
    )  # it would load modules that a command which asks a server does not need

    return matches(host, domain)
