"""The rules of DestinationRule.

https://istio.io/latest/docs/reference/config/networking/destination-rule/
"""

from __future__ import annotations

from mizzen.config.document import Config
from mizzen.config.models import DestinationRule, PortTrafficPolicy, TrafficPolicy, TunnelSettings
from mizzen.config.validation.addresses import is_ip_address
from mizzen.config.validation.client_tls import check_client_tls, warn_of_trust
from mizzen.config.validation.connection_pool import check_connection_pool
from mizzen.config.validation.export_to import check_export_to
from mizzen.config.validation.hosts import dns_label_problem, fqdn_problem, wildcard_domain_problem
from mizzen.config.validation.labels import check_labels, check_selector
from mizzen.config.validation.load_balancer import check_load_balancer
from mizzen.config.validation.outlier_detection import check_outlier_detection
from mizzen.config.validation.percentages import check_share
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem


def check_destination_rule(config: Config[DestinationRule], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a DestinationRule."""
    rule = config.spec
    (place / "host").check(wildcard_domain_problem(rule.host))
    _check_traffic_policy(rule.traffic_policy, place / "trafficPolicy")
    names: set[str] = set()
    for index, subset in enumerate(rule.subsets):
        here = place / "subsets" / index
        if not subset.name:
            (here / "name").error("the subset has no name; write one, such as v1")
        elif (here / "name").check(
            dns_label_problem(subset.name, "name of a subset")
        ) and subset.name in names:
            (here / "name").error(f'"{subset.name}" names another subset too; write a name of its own')
        names.add(subset.name)
        check_labels(subset.labels, here / "labels")
        _check_traffic_policy(subset.traffic_policy, here / "trafficPolicy")
    _warn_of_trust(rule, place / "trafficPolicy")
    check_export_to(rule.export_to, place / "exportTo")
    if rule.workload_selector is not None:
        check_selector(
            rule.workload_selector.match_labels,
            place / "workloadSelector",
            "matchLabels",
            "every workload of the namespace",
        )
        if any(entry not in (".", config.namespace) for entry in rule.export_to):
            (place / "exportTo").error(
                'a rule with workloadSelector is for its own namespace only; write ".", or leave exportTo out'
            )


def _warn_of_trust(rule: DestinationRule, place: Place) -> None:
    policy = rule.traffic_policy
    if policy is None:
        return
    has_selector = rule.workload_selector is not None or place.spec.lost("workloadSelector")
    warn_of_trust(policy.tls, place / "tls", "IST0128", has_selector=has_selector)
    for index, port_policy in enumerate(policy.port_level_settings):
        here = place / "portLevelSettings" / index / "tls"
        warn_of_trust(port_policy.tls, here, "IST0129", has_selector=has_selector)


def _check_traffic_policy(policy: TrafficPolicy | None, place: Place) -> None:
    if policy is None:
        return
    if not policy.model_fields_set:
        place.error("trafficPolicy is empty; write at least one field, or leave it out")
    if policy.tunnel is not None and policy.proxy_protocol is not None:
        (place / "proxyProtocol").error("proxyProtocol and tunnel exclude each other; keep one of them")
    _check_blocks(policy, place)
    for index, port_policy in enumerate(policy.port_level_settings):
        _check_port_policy(port_policy, place / "portLevelSettings" / index)
    if policy.retry_budget is not None:
        check_share(policy.retry_budget.percent, place / "retryBudget" / "percent")
    if policy.tunnel is not None:
        _check_tunnel(policy.tunnel, place / "tunnel")


def _check_blocks(policy: TrafficPolicy | PortTrafficPolicy, place: Place) -> None:
    detection = policy.outlier_detection
    check_outlier_detection(detection, place / "outlierDetection")
    check_connection_pool(policy.connection_pool, place / "connectionPool")
    has_detection = detection is not None or place.lost("outlierDetection")
    check_load_balancer(policy.load_balancer, place / "loadBalancer", has_outlier_detection=has_detection)
    check_client_tls(policy.tls, place / "tls")


def _check_port_policy(policy: PortTrafficPolicy, place: Place) -> None:
    if policy.port is None:
        (place / "port").error("the port is missing; write its number")
    elif problem := port_number_problem(policy.port.number):
        (place / "port" / "number").warning(problem)
    if policy.model_fields_set <= {"port"}:
        place.error("the port has no policy; write connectionPool, loadBalancer, outlierDetection or tls")
    _check_blocks(policy, place)


def _check_tunnel(tunnel: TunnelSettings, place: Place) -> None:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        (place / "protocol").error(f'"{tunnel.protocol}" is not a protocol of tunnels; write CONNECT or POST')
    if not is_ip_address(tunnel.target_host) and fqdn_problem(tunnel.target_host):
        (place / "targetHost").error(
            f'"{tunnel.target_host}" is not a host; write a DNS name without wildcard, or an IP address'
        )
    (place / "targetPort").check(port_number_problem(tunnel.target_port))
