"""The rules of MeshConfig beyond the types of its fields: those of Istio's ValidateMeshConfig."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from mizzen.config.diagnostics import Diagnostic, Origin
from mizzen.config.document import Config, FieldPath
from mizzen.config.extension_provider_rules import provider_problems
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_networks import MeshNetworks
from mizzen.config.mesh_networks_rules import check_mesh_networks
from mizzen.config.tls_parameters import ignored_cipher_suites, ignored_curves
from mizzen.config.validation.addresses import file_path_problem
from mizzen.config.validation.client_tls import check_client_tls
from mizzen.config.validation.command_operators import access_log_command_problem
from mizzen.config.validation.connection_pool import check_connection_pool, check_keepalive
from mizzen.config.validation.durations import check_duration
from mizzen.config.validation.export_to import check_export_to
from mizzen.config.validation.hosts import dns_label_problem, wildcard_domain_problem
from mizzen.config.validation.localities import check_locality_setting, check_zone_aware_setting
from mizzen.config.validation.outlier_detection import check_outlier_detection
from mizzen.config.validation.place import Place
from mizzen.config.validation.retries import check_retries


class _Within:
    """The lines of a text that is the value at `prefix` of a document."""

    def __init__(self, line_of: Callable[[FieldPath], int], prefix: FieldPath) -> None:
        self._line_of = line_of
        self._prefix = prefix

    def line_of(self, path: Sequence[str | int]) -> int:
        return self._line_of(tuple(path[len(self._prefix) :]))


def check_mesh_config(
    settings: MeshConfig, line_of: Callable[[FieldPath], int], file: str, prefix: FieldPath = ()
) -> list[Diagnostic]:
    """Return what is wrong with the settings. `line_of` returns the line of a path without `prefix`."""
    place = _place("MeshConfig", settings, line_of, file, prefix)
    _check_names(settings, place)
    _check_ports_and_times(settings, place)
    _check_traffic(settings, place)
    _check_tls(settings, place)
    (place / "accessLogFile").check(file_path_problem(settings.access_log_file))
    _check_access_log(settings, place / "accessLogFormat")
    _check_extension_providers(settings, place / "extensionProviders")
    check_mesh_networks(settings.mesh_networks, place / "meshNetworks")
    return place.diagnostics


def check_networks(
    settings: MeshNetworks, line_of: Callable[[FieldPath], int], file: str, prefix: FieldPath = ()
) -> list[Diagnostic]:
    """Return what is wrong with a MeshNetworks of its own; the arguments are as for `check_mesh_config`."""
    place = _place("MeshNetworks", settings, line_of, file, prefix)
    check_mesh_networks(settings, place)
    return place.diagnostics


def _place(
    kind: str, settings: Any, line_of: Callable[[FieldPath], int], file: str, prefix: FieldPath
) -> Place:
    lines = _Within(line_of, prefix)
    return Place(Config("mesh/v1alpha1", kind, "", "", settings, Origin(file, line_of(())), lines), prefix)


def _check_names(settings: MeshConfig, place: Place) -> None:
    (place / "rootNamespace").check(dns_label_problem(settings.root_namespace, "name of a namespace"))
    (place / "trustDomain").check(_trust_domain_problem(settings.trust_domain))
    for index, alias in enumerate(settings.trust_domain_aliases):
        (place / "trustDomainAliases" / index).check(_trust_domain_problem(alias))
    check_export_to(settings.default_service_export_to, place / "defaultServiceExportTo", nobody_allowed=True)
    check_export_to(settings.default_virtual_service_export_to, place / "defaultVirtualServiceExportTo")
    check_export_to(settings.default_destination_rule_export_to, place / "defaultDestinationRuleExportTo")
    for index, service in enumerate(settings.service_settings):
        for number, host in enumerate(service.hosts):
            here = place / "serviceSettings" / index / "hosts" / number
            here.check(wildcard_domain_problem(host))


def _trust_domain_problem(domain: str) -> str | None:
    if not domain:
        return "a trust domain is empty; write a name such as cluster.local"
    for label in domain.split("."):
        problem = dns_label_problem(label, "part of a trust domain")
        if problem is not None:
            return problem
    return None


def _check_ports_and_times(settings: MeshConfig, place: Place) -> None:
    taken: dict[int, str] = {}
    for field, port in (
        ("proxyListenPort", settings.proxy_listen_port),
        ("proxyInboundListenPort", settings.proxy_inbound_listen_port),
        ("proxyHttpPort", settings.proxy_http_port),
    ):
        if not port:
            if field != "proxyHttpPort":
                (place / field).error("0 is not a port; write 1 to 65535")
        elif port in taken:
            (place / field).error(f"{port} is {taken[port]} too; write a port of its own")
        taken.setdefault(port, field)
    if settings.protocol_detection_timeout < timedelta(0):
        (place / "protocolDetectionTimeout").error("is negative; write 0s to wait for ever, or a time")
    check_duration(settings.dns_refresh_rate, place / "dnsRefreshRate")
    if settings.dns_refresh_rate == timedelta(milliseconds=1):
        (place / "dnsRefreshRate").error("0.001s is too short for Envoy; write more than 1ms, such as 60s")
    if settings.tcp_keepalive is not None:
        check_keepalive(settings.tcp_keepalive, place / "tcpKeepalive")


def _check_traffic(settings: MeshConfig, place: Place) -> None:
    # DestinationRules may add the outlier detection that localities need, so its absence here is no mistake.
    check_locality_setting(
        settings.locality_lb_setting, place / "localityLbSetting", has_outlier_detection=True
    )
    if settings.zone_aware_lb_setting is not None:
        here = place / "zoneAwareLbSetting"
        check_zone_aware_setting(settings.zone_aware_lb_setting, here, has_outlier_detection=True)
    check_client_tls(settings.outbound_traffic_policy.tls, place / "outboundTrafficPolicy" / "tls")
    policy = settings.default_traffic_policy
    if policy is not None:
        here = place / "defaultTrafficPolicy"
        check_connection_pool(policy.connection_pool, here / "connectionPool")
        check_outlier_detection(policy.outlier_detection, here / "outlierDetection")
    if settings.default_http_retry_policy is not None:
        check_retries(settings.default_http_retry_policy, place / "defaultHttpRetryPolicy")
    inbound = settings.default_inbound_http_retry_policy
    if inbound is not None:
        here = place / "defaultInboundHttpRetryPolicy"
        check_retries(inbound, here)
        if inbound.per_try_timeout is not None:
            (here / "perTryTimeout").warning("takes no effect on inbound calls; leave it out")


def _check_tls(settings: MeshConfig, place: Place) -> None:
    if settings.mesh_mtls is not None and settings.mesh_mtls.ecdh_curves:
        (place / "meshMTLS" / "ecdhCurves").error(
            "curves cannot be chosen for calls inside the mesh; leave them out"
        )
    for field, tls in (("meshMTLS", settings.mesh_mtls), ("tlsDefaults", settings.tls_defaults)):
        if tls is None:
            continue
        for index, reason in ignored_cipher_suites(tls.cipher_suites):
            (place / field / "cipherSuites" / index).warning(reason)
        for index, reason in ignored_curves(tls.ecdh_curves):
            (place / field / "ecdhCurves" / index).warning(reason)


def _check_extension_providers(settings: MeshConfig, place: Place) -> None:
    names: set[str] = set()
    for index, provider in enumerate(settings.extension_providers):
        here = place / index
        kind = "envoyExtAuthzHttp" if provider.envoy_ext_authz_http is not None else "envoyExtAuthzGrpc"
        for field, problem in provider_problems(provider).items():
            (here / field if field == "name" else here / kind / field).warning(problem)
        if provider.authorizer is not None and provider.name in names:
            (here / "name").warning(f'"{provider.name}" has an earlier provider; write another name')
        names.add(provider.name)


def _check_access_log(settings: MeshConfig, place: Place) -> None:
    if settings.access_log_encoding != "JSON":
        place.check(access_log_command_problem(settings.access_log_format))
        return
    if not settings.access_log_format:
        return
    try:
        fields = json.loads(settings.access_log_format)
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        for text in _texts(fields):
            place.check(access_log_command_problem(text))
    else:
        place.warning(
            "is not a JSON object, and accessLogEncoding is JSON, so the default fields are logged; write "
            '{"name": "%COMMAND%"}'
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
