"""One row of a table, and what rows a person wants to see."""

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
        cells: what is shown, by the title of the column.
        origins: the places in the user's files, as `file:line`.
        resource: the name of the resource that the row is of.
        state: empty if the proxy has accepted the resource as it is sent or no proxy is asked; else what is
            the matter with it.
        hosts, fqdn, port, subset, direction: what filters look at; empty or 0 where a row has none.
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
        """Return the row that `as_dict` made these values of."""
        return cls(**{**values, "origins": tuple(values["origins"]), "hosts": tuple(values["hosts"])})


class OfCluster(TypedDict, total=False):
    """What filters look at in a row that is about a cluster."""

    hosts: tuple[str, ...]
    fqdn: str
    port: int
    subset: str
    direction: str


def of_cluster(name: ClusterName | None) -> OfCluster:
    """Return what filters look at, from the parts of a cluster's name."""
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
    """Which rows are wanted; what is empty or 0 asks for nothing.

    `host` is a name that a client uses: it finds the domains that match it. `fqdn` is the host of a service,
    or the first labels of one (`reviews`, `reviews.default`).
    """

    host: str = ""
    fqdn: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def lets_through(self, row: Row) -> bool:
        """Return whether the row is wanted."""
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
    )  # with it comes much that a command which asks a server does not need

    return matches(host, domain)
