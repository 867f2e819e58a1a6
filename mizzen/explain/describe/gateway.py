"""Describes one Gateway: its servers, the proxies that it selects, and the VirtualServices bound to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mizzen.config import models
from mizzen.config.document import Config
from mizzen.explain.describe.applied_rules import Documents, applied, servers
from mizzen.explain.describe.description import AppliedRule, PortLine, RulePart
from mizzen.explain.describe.rule_words import rule_words, server_words
from mizzen.explain.route_words import short_host
from mizzen.mesh.rules.virtual_services import HttpRule, TcpRule, TlsRule, VirtualServiceRule
from mizzen.mesh.services.workloads import Workload
from mizzen.mesh.snapshot import Mesh

GatewayConfig = Config[models.Gateway]


def gateway_rules(mesh: Mesh, config: GatewayConfig) -> Documents:
    """Return the Gateway itself with its servers, and the VirtualServices that are bound to it."""
    found: dict[Config[object], AppliedRule] = {
        config: applied(mesh, config, "opens ports of its proxies", servers(mesh, config))
    }
    name = f"{config.namespace}/{config.name}"
    for rule in sorted(mesh.virtual_service_index.rules.values(), key=lambda each: each.order):
        if name in rule.gateways:
            what = f"routes calls for {', '.join(map(short_host, rule.hosts))}"
            found[rule.config] = applied(mesh, rule.config, what, _parts(mesh, rule))
    return found


def gateway_ports(config: GatewayConfig) -> Iterator[PortLine]:
    """Yield a line for each server."""
    for server in config.spec.servers:
        if server.port is not None:
            hosts = ", ".join(server.hosts)
            port, takes = server.port, server_words(server) or "plain text"
            yield PortLine(port.number, port.name, str(port.protocol), "", "", takes, "", hosts)


def gateway_workloads(mesh: Mesh, config: GatewayConfig) -> list[Workload]:
    """Return the workloads that a Gateway selects."""
    wanted = config.spec.selector.items()
    found = (each for each in mesh.registry.workloads_by_key.values() if wanted <= dict(each.labels).items())
    return sorted(found, key=lambda each: each.key) if wanted else []


def _parts(mesh: Mesh, rule: VirtualServiceRule) -> Iterable[RulePart]:
    every: tuple[HttpRule | TlsRule | TcpRule, ...] = (*rule.http, *rule.tls, *rule.tcp)
    return [RulePart(rule_words(each), (str(mesh.current_origin(each.origin)),)) for each in every]
