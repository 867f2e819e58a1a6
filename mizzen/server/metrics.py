"""The metrics of the running control plane, in Prometheus' form (docs/operations.md)."""

from __future__ import annotations

import platform
from collections import Counter as Counting
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mizzen.config.codes import UNREADABLE
from mizzen.config.diagnostics import Severity
from mizzen.server.configuration import ConfigurationView
from mizzen.translator.tls.secrets import WITHHELD_SECRET

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """All metrics of one control plane, in its own registry, so that one process can have two."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        gauge, counter, seconds = self._gauge, self._counter, self._seconds
        self.build_info = gauge(
            "mizzen_build_info", "Always 1; the labels say what runs", "version", "python"
        )
        self.build_info.labels(version, platform.python_version()).set(1)
        self.documents = gauge("mizzen_documents", "Documents in force", "kind")
        self.documents_refused = gauge(
            "mizzen_documents_refused", "Documents whose newest version is not in force because it is invalid"
        )
        self.documents_restored = gauge(
            "mizzen_documents_restored",
            "Documents in force from the state directory, because their files are invalid or cannot be read",
        )
        self.state_failures = counter(
            "mizzen_state_failures", "Failures to read or write the state directory"
        )
        self.start_waits_for = gauge(
            "mizzen_start_waits_for", "Reasons why no proxy is served yet after the start"
        )
        self.paths_unreadable = gauge(
            "mizzen_paths_unreadable", "Files and folders that cannot be read, or have vanished"
        )
        self.config_warnings = gauge("mizzen_config_warnings", "Warnings about documents in force")
        self.config_changes = counter("mizzen_config_changes", "Applied batches of changed documents")
        self.push_seconds = seconds(
            "mizzen_push_seconds",
            "From seeing a change to handing it to the streams of all proxies that it concerns",
        )
        self.convergence_seconds = seconds(
            "mizzen_convergence_seconds",
            "From seeing a change to the last answer (ACK or NACK) of a proxy that it concerns",
        )
        self.translation_seconds = seconds(
            "mizzen_translation_seconds",
            "From applying a change to handing over its translations",
        )
        self.translation_failures = counter(
            "mizzen_translation_failures",
            "Failed translations, by a fault of Mizzen itself",
        )
        self.token_key_fetches = counter(
            "mizzen_token_key_fetches", "Attempts to fetch the keys of a token issuer", "result"
        )
        self.token_key_sets = gauge(
            "mizzen_token_key_sets",
            "Sources of keys of token issuers, by whether their keys are current, old or missing",
            "state",
        )
        self.proxies = gauge("mizzen_proxies", "Proxies connected", "type")
        self.profiles = gauge(
            "mizzen_proxy_profiles",
            "Classes of connected proxies; no rule can tell proxies of one class apart",
        )
        self.streams = gauge("mizzen_streams", "Discovery streams open")
        self.streams_refused = counter(
            "mizzen_streams_refused", "Discovery streams refused because of their node"
        )
        self.identities_refused = counter(
            "mizzen_identities_refused",
            "Discovery streams refused because the certificate or token is not that of the node",
        )
        self.unauthenticated = counter(
            "mizzen_unauthenticated",
            "Streams and certificate requests refused: credentials missing, wrong or expired",
        )
        self.certificates_signed = counter(
            "mizzen_certificates_signed", "Certificates signed for keys of agents"
        )
        self.tokens_signed = counter("mizzen_tokens_signed", "Tokens signed for agents")
        self.signings_refused = counter(
            "mizzen_signings_refused", "Requests for certificates and tokens that were refused"
        )
        self.secrets_withheld = gauge(
            "mizzen_secrets_withheld",
            "Secrets withheld from connected proxies that have not proved their identity",
        )
        self.proxy_warnings = gauge(
            "mizzen_proxy_warnings", "Mistakes in the nodes of connected proxies that do not stop them"
        )
        self.xds_acked = counter("mizzen_xds_acked", "Responses that a proxy accepted", "type")
        self.xds_rejected = counter("mizzen_xds_rejected", "Responses that a proxy rejected", "type")
        self.xds_stuck = counter(
            "mizzen_xds_stuck", "Responses that a proxy left unanswered too long", "type"
        )
        self.handshakes_failed = counter(
            "mizzen_tls_handshakes_failed", "Connections to the TLS address whose handshake failed"
        )
        self.certificates = gauge(
            "mizzen_workload_certificates", "Identities of connected proxies that have a certificate"
        )
        self.certificates_issued = counter(
            "mizzen_workload_certificates_issued", "Certificates issued to identities that had none in force"
        )
        self.certificates_renewed = counter(
            "mizzen_workload_certificates_renewed", "Certificates that were replaced by newer ones"
        )
        self.certificate_expiry = gauge(
            "mizzen_workload_certificates_first_expiry_seconds",
            "When the first certificate in use expires, in seconds since 1970",
        )
        self.authority_expiry = gauge(
            "mizzen_certificate_authority_expiry_seconds",
            "When the certificate authority can issue no more, in seconds since 1970",
        )
        self.authority_refused = gauge(
            "mizzen_certificate_authority_refused",
            "1 while the files of the certificate authority cannot be used, so the former authority stays",
        )
        self.log_lines_lost = counter("mizzen_log_lines_lost", "Log lines that could not be written")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self.registry)

    def count_configuration(
        self, view: ConfigurationView, diagnostics: Mapping[tuple[Severity, str], int]
    ) -> None:
        """Set the metrics of the configuration, from its view and the number of diagnostics by severity and
        code."""
        self.documents.clear()
        for kind, number in view.documents.items():
            self.documents.labels(kind).set(number)
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
