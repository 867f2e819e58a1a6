"""The metrics of the running control plane, in Prometheus' form (docs/operations.md)."""

from __future__ import annotations

import platform
from collections import Counter as Counting
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mizzen.config.codes import UNREADABLE
from mizzen.config.diagnostics import Severity
from mizzen.server.configuration import ConfigurationView
from mizzen.translator.tls.secrets import WITHHELD_SECRET

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Tally(Collector):
    """A counter with one label, for one thread: to count is to add to `counts`, by the value of the label.

    For what happens at every answer of every proxy: `Counter` of prometheus_client takes a lock and makes
    several calls each time, and costs three times as much, even if the child for the label is at hand.
    """

    def __init__(self, name: str, text: str, label: str, registry: CollectorRegistry) -> None:
        self.counts: Counting[str] = Counting()
        self.name = name
        self.label = label
        self._text = text
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric, for the registry."""
        family = CounterMetricFamily(self.name, self._text, labels=[self.label])
        for value, number in tuple(self.counts.items()):
            family.add_metric([value], number)
        yield family


def _gauge(name: str, text: str, *labels: str) -> cached_property[Gauge]:
    return cached_property(lambda metrics: Gauge(name, text, labels, registry=metrics.registry))


def _counter(name: str, text: str, *labels: str) -> cached_property[Counter]:
    return cached_property(lambda metrics: Counter(name, text, labels, registry=metrics.registry))


def _tally(name: str, text: str, label: str) -> cached_property[Tally]:
    return cached_property(lambda metrics: Tally(name, text, label, metrics.registry))


def _seconds(name: str, text: str) -> cached_property[Histogram]:
    return cached_property(lambda metrics: Histogram(name, text, buckets=_SECONDS, registry=metrics.registry))


class Metrics:
    """All metrics of one control plane, in its own registry, so that one process can have two."""

    build_info = _gauge("mizzen_build_info", "Always 1; the labels say what runs", "version", "python")
    documents = _gauge("mizzen_documents", "Documents in force", "kind")
    documents_refused = _gauge(
        "mizzen_documents_refused", "Documents whose newest version is not in force because it is invalid"
    )
    documents_restored = _gauge(
        "mizzen_documents_restored",
        "Documents in force from the state directory, because their files are invalid or cannot be read",
    )
    state_failures = _counter("mizzen_state_failures", "Failures to read or write the state directory")
    start_waits_for = _gauge("mizzen_start_waits_for", "Reasons why no proxy is served yet after the start")
    paths_unreadable = _gauge(
        "mizzen_paths_unreadable", "Files and folders that cannot be read, or have vanished"
    )
    config_warnings = _gauge("mizzen_config_warnings", "Warnings about documents in force")
    config_changes = _counter("mizzen_config_changes", "Applied batches of changed documents")
    push_seconds = _seconds(
        "mizzen_push_seconds",
        "From seeing a change to handing it to the streams of all proxies that it concerns",
    )
    convergence_seconds = _seconds(
        "mizzen_convergence_seconds",
        "From seeing a change to the last answer (ACK or NACK) of a proxy that it concerns",
    )
    translation_seconds = _seconds(
        "mizzen_translation_seconds",
        "From applying a change to handing over its translations",
    )
    faults = _counter("mizzen_faults", "Faults of Mizzen itself that it contained")
    token_key_fetches = _counter(
        "mizzen_token_key_fetches", "Attempts to fetch the keys of a token issuer", "result"
    )
    token_key_sets = _gauge(
        "mizzen_token_key_sets",
        "Sources of keys of token issuers, by whether their keys are current, old or missing",
        "state",
    )
    proxies = _gauge("mizzen_proxies", "Proxies connected", "type")
    profiles = _gauge(
        "mizzen_proxy_profiles",
        "Classes of connected proxies; no rule can tell proxies of one class apart",
    )
    streams = _gauge("mizzen_streams", "Discovery streams open")
    streams_refused = _counter("mizzen_streams_refused", "Discovery streams refused because of their node")
    identities_refused = _counter(
        "mizzen_identities_refused",
        "Discovery streams refused because the certificate or token is not that of the node",
    )
    unauthenticated = _counter(
        "mizzen_unauthenticated",
        "Streams and certificate requests refused: credentials missing, wrong or expired",
    )
    certificates_signed = _counter("mizzen_certificates_signed", "Certificates signed for keys of agents")
    tokens_signed = _counter("mizzen_tokens_signed", "Tokens signed for agents")
    signings_refused = _counter(
        "mizzen_signings_refused", "Requests for certificates and tokens that were refused"
    )
    secrets_withheld = _gauge(
        "mizzen_secrets_withheld",
        "Secrets withheld from connected proxies that have not proved their identity",
    )
    proxy_warnings = _gauge(
        "mizzen_proxy_warnings", "Mistakes in the nodes of connected proxies that do not stop them"
    )
    xds_acked = _tally("mizzen_xds_acked", "Responses that a proxy accepted", "type")
    xds_rejected = _counter("mizzen_xds_rejected", "Responses that a proxy rejected", "type")
    xds_stuck = _counter("mizzen_xds_stuck", "Responses that a proxy left unanswered too long", "type")
    handshakes_failed = _counter(
        "mizzen_tls_handshakes_failed", "Connections to the TLS address whose handshake failed"
    )
    certificates = _gauge(
        "mizzen_workload_certificates", "Identities of connected proxies that have a certificate"
    )
    certificates_issued = _counter(
        "mizzen_workload_certificates_issued", "Certificates issued to identities that had none in force"
    )
    certificates_renewed = _counter(
        "mizzen_workload_certificates_renewed", "Certificates that were replaced by newer ones"
    )
    certificate_expiry = _gauge(
        "mizzen_workload_certificates_first_expiry_seconds",
        "When the first certificate in use expires, in seconds since 1970",
    )
    authority_expiry = _gauge(
        "mizzen_certificate_authority_expiry_seconds",
        "When the certificate authority can issue no more, in seconds since 1970",
    )
    authority_refused = _gauge(
        "mizzen_certificate_authority_refused",
        "1 while the files of the certificate authority cannot be used, so the former authority stays",
    )
    log_lines_lost = _counter("mizzen_log_lines_lost", "Log lines that could not be written")

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self._documents: Mapping[str, int] = {}
        for attribute, declared in vars(Metrics).items():
            if isinstance(declared, cached_property):
                getattr(self, attribute)  # made now, so that a metric that nothing counted yet is shown too
        self.build_info.labels(version, platform.python_version()).set(1)

    def count_configuration(
        self, view: ConfigurationView, diagnostics: Mapping[tuple[Severity, str], int]
    ) -> None:
        """Set the metrics of the configuration, from its view and the number of diagnostics by severity and
        code."""
        if view.documents != self._documents:
            for kind in self._documents.keys() - view.documents.keys():
                self.documents.remove(kind)
            for kind, number in view.documents.items():
                self.documents.labels(kind).set(number)
            self._documents = view.documents
        self.documents_restored.set(len(view.restored))
        self.documents_refused.set(len(view.refused))
        self.secrets_withheld.set(sum(n for (_, code), n in diagnostics.items() if code == WITHHELD_SECRET))
        unread: set[str] = set()
        if diagnostics.get((Severity.ERROR, UNREADABLE)):
            unread = {
                one.origin.file
                for one in view.diagnostics
                if one.code == UNREADABLE and one.severity is Severity.ERROR
            }
        self.paths_unreadable.set(len(unread))
        self.config_warnings.set(
            sum(n for (severity, _), n in diagnostics.items() if severity is Severity.WARNING)
        )

    def count_token_key_sets(self, states: Iterable[str]) -> None:
        """Set the metrics of token issuers' keys, from the state of each source."""
        counts = Counting(states)
        for state in ("current", "old", "missing"):
            self.token_key_sets.labels(state).set(counts[state])

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
