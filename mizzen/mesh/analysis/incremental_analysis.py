"""The analysis of one snapshot of the mesh after the other, at the cost of what changed.

Checks of the mesh as a whole run again when a part that they read is another object. What is checked rule by
rule (VirtualServices, DestinationRules) runs again for a rule that changed, or that read what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

from mizzen.config.diagnostics import Diagnostic, in_reading_order
from mizzen.config.document import Config, ConfigKey
from mizzen.incremental import Database, Mapped, Query, Table, Watch
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh, Same
from mizzen.mesh.analysis.config_maps import check_config_maps
from mizzen.mesh.analysis.conflicts import (
    check_hosts_of_virtual_services,
    check_protocols,
    check_sidecars,
    check_tcp_ports,
)
from mizzen.mesh.analysis.destination_rules import check_destination_rule
from mizzen.mesh.analysis.endpoints import check_endpoints
from mizzen.mesh.analysis.external_authorizers import check_external_authorizers
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.analysis.gateways import check_gateways, check_hosts_at_gateways
from mizzen.mesh.analysis.mutual_tls import check_mutual_tls
from mizzen.mesh.analysis.networks import check_networks
from mizzen.mesh.analysis.references import check_references
from mizzen.mesh.analysis.unused import (
    check_called_hosts,
    check_delegates,
    check_external_names,
    check_port_names,
    check_workload_entries,
    has_http_port,
)
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.snapshot import Mesh

Found = tuple[Diagnostic, ...]

CHECKS: Final[tuple[Callable[[AnalysedMesh, Findings], None], ...]] = (
    check_hosts_of_virtual_services,
    check_sidecars,
    check_protocols,
    check_tcp_ports,
    check_gateways,
    check_hosts_at_gateways,
    check_endpoints,
    check_mutual_tls,
    check_config_maps,
    check_external_authorizers,
    check_networks,
    check_delegates,
    check_workload_entries,
    check_external_names,
    check_port_names,
)
"""What is looked at for the mesh as a whole."""


def check_virtual_service(
    mesh: AnalysedMesh, rule: VirtualServiceRule, findings: Findings, http_port: Callable[[], bool]
) -> None:
    """Find what is wrong between a VirtualService and other documents."""
    check_references(mesh, rule, findings)
    check_called_hosts(mesh, rule, findings, has_http_port=http_port)


_IN_A_STEP: Final = 100
"""So many rules are looked at in some milliseconds."""


class Analysis:
    """What is wrong between the documents of a mesh. With `checking` as in `Database`."""

    def __init__(self, mesh: Mesh, *, checking: bool = False) -> None:
        self._checking = checking
        self._begin(mesh)

    def _begin(self, mesh: Mesh) -> None:
        self._settings = mesh.settings
        self._database = database = Database(checking=self._checking)
        self._mesh = AnalysedMesh(database, mesh)
        self._http_port = Query(database, "a port for HTTP", partial(has_http_port, self._mesh))
        self._checks: list[Watch[Found]] = [
            Query(database, check.__name__, partial(self._checked, check)).watch() for check in CHECKS
        ]
        self._virtual_services: Table[ConfigKey, Same[VirtualServiceRule]] = Table(
            database, "VirtualServices"
        )
        self._destination_rules: Table[ConfigKey, Same[Config[Any]]] = Table(database, "DestinationRules")
        self._held: dict[str, Mapping[ConfigKey, Any]] = {}
        self._of_virtual_services: Mapped[ConfigKey, Any, Found] = Mapped(
            database, "findings on VirtualServices", self._virtual_services, self._virtual_service
        )
        self._of_destination_rules: Mapped[ConfigKey, Any, Found] = Mapped(
            database, "findings on DestinationRules", self._destination_rules, self._destination_rule
        )

    @property
    def computed(self) -> int:
        """How many checks, of the whole or of a rule, ran so far."""
        return self._database.computed

    def _checked(self, check: Callable[[AnalysedMesh, Findings], None]) -> Found:
        findings = Findings()
        check(self._mesh, findings)
        return tuple(findings.diagnostics)

    def _virtual_service(self, _: ConfigKey, rule: Same[VirtualServiceRule]) -> Found | None:
        findings = Findings()
        check_virtual_service(self._mesh, rule.value, findings, self._http_port)
        return tuple(findings.diagnostics) or None

    def _destination_rule(self, _: ConfigKey, config: Same[Config[Any]]) -> Found | None:
        findings = Findings()
        check_destination_rule(self._mesh, config.value, findings)
        return tuple(findings.diagnostics) or None

    def steps(self, mesh: Mesh) -> Generator[None, None, list[Diagnostic]]:
        """Analyse a snapshot, which may have any of the earlier ones before it, in steps of some
        milliseconds; return the findings, `mesh.diagnostics` among them, sorted by place.

        It may be left after any step, and go on with another snapshot. Raises what a check raises.
        """
        if mesh.settings is not self._settings:
            self._begin(mesh)
        yield from self._mesh.renew(mesh)
        found = list(mesh.diagnostics)
        by_rule = (
            (self._virtual_services, mesh.virtual_service_index.rules, self._of_virtual_services),
            (self._destination_rules, mesh.configs_by_key("DestinationRule"), self._of_destination_rules),
        )
        for table, rules, findings in by_rule:
            if self._held.get(table.name) is not rules:
                self._held.pop(table.name, None)
                for _ in _renew(table, rules):
                    len(findings)  # brings it up to date
                    yield
                self._held[table.name] = rules
            found.extend(each for of_rule in dict(findings.items()).values() for each in of_rule)
        for check in self._checks:
            found.extend(check.value())
            yield
        for failure in self._database.failures:
            raise failure.error
        return in_reading_order(dict.fromkeys(one.current(mesh.current_origin) for one in found))


def _renew(table: Table[ConfigKey, Same[Any]], rules: Mapping[ConfigKey, Any]) -> Iterator[None]:
    """Let the table hold these rules; yield after some that changed, and at the end."""
    now = table.values_now
    for key in [key for key in now if key not in rules]:
        table.discard(key)
    held = {key: one.value for key, one in now.items()}
    changed = iter([(key, rule) for key, rule in rules.items() if held.get(key) is not rule])
    while some := list(islice(changed, _IN_A_STEP)):
        for key, rule in some:
            table[key] = Same(rule)
        yield
    yield
