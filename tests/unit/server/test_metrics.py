"""Metrics under the names that docs/operations.md gives."""

import re
from pathlib import Path

import mizzen
from mizzen.config import Diagnostic, Origin, Severity
from mizzen.config.group_kinds import SERVICE
from mizzen.config.store import Refusal
from mizzen.server.configuration import ConfigurationView
from mizzen.server.metrics import Metrics

OPERATIONS = Path(mizzen.__file__).parents[1] / "docs" / "operations.md"


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def diagnostic(severity: Severity, line: int) -> Diagnostic:
    return Diagnostic(severity, "MZ0001", "odd", Origin("a.yaml", line))


def view(documents: dict[str, int], *diagnostics: Diagnostic, refused: int = 0) -> ConfigurationView:
    key = SERVICE.key("default", "a")
    refusals = (Refusal(key, Origin("a.yaml", 1), (), None),) * refused
    return ConfigurationView(documents, refusals, diagnostics, None)


def test_how_the_configuration_stands_replaces_how_it_stood() -> None:
    metrics = Metrics("1.2.3")
    errors = (diagnostic(Severity.ERROR, 1), diagnostic(Severity.WARNING, 2), diagnostic(Severity.WARNING, 3))
    counts = {(Severity.ERROR, "MZ0001"): 1, (Severity.WARNING, "MZ0001"): 2}
    metrics.count_configuration(view({"Service": 3, "Gateway": 1}, *errors, refused=2), counts)
    assert value(metrics, "mizzen_documents", kind="Service") == 3
    assert value(metrics, "mizzen_documents", kind="Gateway") == 1
    assert value(metrics, "mizzen_documents_refused") == 2
    assert value(metrics, "mizzen_config_warnings") == 2
    metrics.count_configuration(view({"Service": 2}), {})
    assert value(metrics, "mizzen_documents", kind="Service") == 2
    assert value(metrics, "mizzen_documents", kind="Gateway") is None, "no number that is not true any more"
    assert value(metrics, "mizzen_documents_refused") == 0
    assert value(metrics, "mizzen_config_warnings") == 0


def test_the_labels_say_what_runs() -> None:
    assert re.search(
        r'^mizzen_build_info\{python="3\.\d+\.\d+.*",version="1\.2\.3"\} 1\.0$',
        Metrics("1.2.3").render().decode(),
        re.MULTILINE,
    )


def test_what_is_counted_by_type_has_the_type_as_its_label() -> None:
    metrics = Metrics("1")
    metrics.xds_acked.counts["CDS"] += 1
    for number, counter in enumerate((metrics.xds_rejected, metrics.xds_stuck), 2):
        counter.labels(type="CDS").inc(number)
    metrics.proxies.labels(type="sidecar").inc()
    for number, name in enumerate(("acked", "rejected", "stuck"), 1):
        assert value(metrics, f"mizzen_xds_{name}_total", type="CDS") == number
    assert value(metrics, "mizzen_proxies", type="sidecar") == 1


def test_every_metric_is_in_the_manual_and_has_its_help() -> None:
    families = list(Metrics("1").registry.collect())
    manual = OPERATIONS.read_text(encoding="utf-8")
    assert len(families) > 15
    for family in families:
        assert family.documentation, family.name
        assert family.name in manual
