"""Reading MeshConfig: the file of `--mesh-config`, or the texts in the ConfigMap `istio`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import Config, FieldPath
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_config_rules import check_mesh_config, check_networks
from mizzen.config.mesh_networks import MeshNetworks
from mizzen.config.schema_fields import fields_of, nearest_field
from mizzen.config.settings_text import TextStart, parse_settings
from mizzen.config.validation.place import Place

UNSERVED_FIELDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("ingressClass", "ingressService", "ingressControllerMode", "ingressSelector"),
        "Kubernetes Ingress is not read",
    ),
    **dict.fromkeys(
        ("defaultProviders", "enableEnvoyAccessLogService"),
        "providers of telemetry are not served yet",
    ),
    **dict.fromkeys(
        (
            f"extensionProviders[].{kind}"
            for kind in (
                "zipkin",
                "lightstep",
                "datadog",
                "stackdriver",
                "opencensus",
                "skywalking",
                "opentelemetry",
                "prometheus",
                "envoyFileAccessLog",
                "envoyHttpAls",
                "envoyTcpAls",
                "envoyOtelAls",
                "sds",
            )
        ),
        "providers of telemetry and of secrets are not served yet",
    ),
    **dict.fromkeys(
        ("ca", "caCertificates", "certificates"),
        "the options --state and --ca give the certificate authority",
    ),
    **dict.fromkeys(("discoverySelectors", "serviceScopeConfigs"), "they select Kubernetes namespaces"),
    "configSources": "sources are given on the command line",
    "hboneIdleTimeout": "ambient mode is not served",
    "enablePrometheusMerge": "merging metrics is the Istio agent's work",
    "verifyCertificateAtClient": "Istio itself has retired it",
    "serviceEntryVisibility": "exportTo alone decides who sees a service",
    **{
        f"defaultConfig.{field}": "it is part of a proxy's bootstrap, which `mizzen bootstrap` writes"
        for field in (
            "configPath",
            "binaryPath",
            "serviceCluster",
            "drainDuration",
            "terminationDrainDuration",
            "discoveryAddress",
            "discoveryRefreshDelay",
            "proxyAdminPort",
            "availabilityZone",
            "controlPlaneAuthPolicy",
            "customConfigFile",
            "statNameLength",
            "concurrency",
            "proxyBootstrapTemplatePath",
            "interceptionMode",
            "statusPort",
            "extraStatTags",
            "runtimeValues",
            "meshId",
            "readinessProbe",
            "proxyStatsMatcher",
            "holdApplicationUntilProxyStarts",
            "caCertificatesPem",
            "image",
            "privateKeyProvider",
            "fileFlushInterval",
            "fileFlushMinSizeKb",
            "statsCompression",
            "envoyAccessLogService",
            "envoyMetricsService",
            "envoyMetricsServiceAddress",
            "statsdUdpAddress",
            "sds",
        )
    },
    "defaultConfig.proxyHeaders.metadataExchangeHeaders": "plain Envoy exchanges no metadata of workloads",
    "defaultConfig.connectionSettings.clusterPerConnectionBufferLimitBytes": "clusters keep Envoy's limit",
    **dict.fromkeys(
        (
            "defaultConfig.connectionSettings.listenerConnectionLimit",
            "defaultConfig.connectionSettings.globalDownstreamConnectionLimit",
        ),
        "limits of connections are part of a proxy's bootstrap",
    ),
    **dict.fromkeys(
        ("defaultConfig.tracing", "defaultConfig.zipkinAddress", "defaultConfig.tracingServiceName"),
        "tracers are not served yet",
    ),
}
"""Fields of Istio that take no effect here, with the reason, by path."""

_UNSERVED_ENVIRONMENT: Final = (
    "defaultConfig.proxyMetadata.*",
    "it is the environment of Istio's agent; use the node's metadata",
)


def parse_mesh_config(
    data: bytes | str, file: str, *, first_line: int = 1, path: tuple[str, ...] = ()
) -> tuple[MeshConfig | None, tuple[Diagnostic, ...]]:
    """Read the text of a MeshConfig: a file as istiod takes it, or `data.mesh` of the ConfigMap `istio`.

    `first_line` is the line of `file` where the text begins; `path` is put before the paths of fields.
    Returns the settings, or None if a diagnostic is an error. An empty text gives the defaults. Unknown
    fields are warnings; istiod ignores them.
    """
    return parse_settings(MeshConfig, data, TextStart(file, first_line, path), check_mesh_config, _unserved)


def _unserved(field: FieldPath) -> str:
    dotted = ".".join("[]" if isinstance(step, int) else step for step in field).replace(".[]", "[]")
    if field[:2] == ("defaultConfig", "proxyMetadata"):
        dotted = "defaultConfig.proxyMetadata.*"
    for known, reason in (*UNSERVED_FIELDS.items(), _UNSERVED_ENVIRONMENT):
        if dotted == known:
            return f"takes no effect: {reason}; remove it to silence this warning"
    return "is not a field of MeshConfig and takes no effect" + nearest_field(MeshConfig, field)


def looks_like_mesh_config(content: Mapping[str, Any]) -> bool:
    """Tell whether a document has only fields of MeshConfig."""
    known = fields_of(MeshConfig)
    return bool(content) and all(field in known or field in UNSERVED_FIELDS for field in content)


def is_mesh_config_map(name: str, content: Mapping[str, Any]) -> bool:
    """Tell whether a ConfigMap holds the mesh's settings: its name is `istio`, and
    it has `data.mesh` or `data.meshNetworks`."""
    data = content.get("data")
    return name == "istio" and isinstance(data, dict) and not data.keys().isdisjoint(("mesh", "meshNetworks"))


def mesh_config_of(config: Config[Any]) -> tuple[MeshConfig | None, tuple[Diagnostic, ...]]:
    """Return the MeshConfig in the ConfigMap `config`, with its diagnostics (see `parse_mesh_config`).

    `data.meshNetworks`, where Istio keeps the networks, becomes the field `meshNetworks`.
    """
    settings, found = parse_settings(
        MeshConfig, *_text_in(config, "mesh"), rules=check_mesh_config, unserved=_unserved
    )
    if "meshNetworks" not in config.spec.data:
        return settings, found
    networks, more = parse_settings(
        MeshNetworks, *_text_in(config, "meshNetworks"), rules=check_networks, unserved=_no_field_of_networks
    )
    if settings is None or networks is None:
        return None, (*found, *more)
    return settings.model_copy(update={"mesh_networks": networks}), (*found, *more)


def _text_in(config: Config[Any], key: str) -> tuple[str, TextStart]:
    text: str = config.spec.data.get(key, "")
    line = config.origin_of("data", key).line
    # A text of several lines begins on the line after its key (`mesh: |`).
    return text, TextStart(config.origin.file, line + 1 if "\n" in text else line, ("data", key))


def _no_field_of_networks(field: FieldPath) -> str:
    return "is not a field of MeshNetworks and takes no effect" + nearest_field(MeshNetworks, field)


def validate_config_map(config: Config[Any], place: Place) -> None:
    """Report what is wrong with the settings in the ConfigMap `istio`."""
    place.diagnostics += mesh_config_of(config)[1]
