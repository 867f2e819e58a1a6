"""The numbers that the running control plane keeps of itself, in Prometheus' form (docs/operations.md)."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mizzen.config.diagnostics import Severity
from mizzen.server.configuration import ConfigurationView

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """All metrics of one control plane, in a registry of their own, so that two can live in one process."""

    def __init__(self, version: str) -> None:
        own = CollectorRegistry()
        self.registry = own
        self.build_info = Gauge(
            "mizzen_build_info",
            "Always 1; the labels say what runs",
            ["version", "python"],
            registry=own,
        )
        self.build_info.labels(version, platform.python_version()).set(1)
        self.documents = Gauge("mizzen_documents", "Documents in force", ["kind"], registry=own)
        self.documents_refused = Gauge(
            "mizzen_documents_refused",
            "Documents whose newest version is not in force because it is invalid",
            registry=own,
        )
        self.config_warnings = Gauge("mizzen_config_warnings", "Warnings on what is in force", registry=own)
        self.config_changes = Counter(
            "mizzen_config_changes", "Batches of changed documents taken over", registry=own
        )
        self.push_seconds = Histogram(
            "mizzen_push_seconds",
            "From a change being seen to its being handed to the streams of every proxy that it concerns",
            buckets=_SECONDS,
            registry=own,
        )
        self.convergence_seconds = Histogram(
            "mizzen_convergence_seconds",
            "From a change being seen to the last answer (ACK or NACK) of a proxy that it concerns",
            buckets=_SECONDS,
            registry=own,
        )
        self.translation_seconds = Histogram(
            "mizzen_translation_seconds",
            "From a change having been understood to its translations being handed over",
            buckets=_SECONDS,
            registry=own,
        )
        self.translation_failures = Counter(
            "mizzen_translation_failures",
            "Proxies that could not be translated for because of a fault of Mizzen's own",
            registry=own,
        )
        self.proxies = Gauge("mizzen_proxies", "Proxies connected", ["type"], registry=own)
        self.profiles = Gauge(
            "mizzen_proxy_profiles",
            "Kinds of connected proxies that no rule can tell apart",
            registry=own,
        )
        self.streams = Gauge("mizzen_streams", "Discovery streams open", registry=own)
        self.streams_refused = Counter(
            "mizzen_streams_refused", "Discovery streams refused because of their node", registry=own
        )
        self.node_remarks = Gauge(
            "mizzen_node_remarks",
            "Mistakes in the nodes of connected proxies that do not stop them",
            registry=own,
        )
        self.xds_acked = Counter(
            "mizzen_xds_acked", "Responses that a proxy accepted", ["type"], registry=own
        )
        self.xds_rejected = Counter(
            "mizzen_xds_rejected", "Responses that a proxy rejected", ["type"], registry=own
        )
        self.xds_stuck = Counter(
            "mizzen_xds_stuck",
            "Responses that a proxy left unanswered too long",
            ["type"],
            registry=own,
        )
        self.log_lines_lost = Counter(
            "mizzen_log_lines_lost", "Log lines that could not be written", registry=own
        )

    def count_configuration(self, view: ConfigurationView) -> None:
        """Take over how the configuration stands."""
        self.documents.clear()
        for kind, number in view.documents.items():
            self.documents.labels(kind).set(number)
        self.documents_refused.set(len(view.refused))
        self.config_warnings.set(view.count(Severity.WARNING))

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
