"""Istio's own cases of validation: Mizzen refuses what Istio's webhook or the schemas of its CRDs refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.config import parse_documents, to_config
from mizzen.config.diagnostics import Severity
from mizzen.config.kinds import KINDS_BY_NAME
from tests.istio_cases.cases import cases_of, read_case

_CASES = cases_of("validation")

DEVIATIONS: dict[str, str] = dict.fromkeys(
    (
        "TestValidateLoadBalancer--valid_load_balancer_with_consistentHash_load_balancing",
        "TestValidateServer--bind_unix_path",
        "TestValidateTlsOptions--simple_more_than_2_certs",
    ),
    "only the schema of the CRD refuses it: docs/decisions/0053",
)
"""Cases that Mizzen judges otherwise, and the decision that says why."""


def _errors(text: str) -> list[str]:
    parsed = parse_documents(text.encode(), "case.yaml")
    found = [*parsed.diagnostics]
    for document in parsed.documents:
        found.extend(to_config(document)[1])
    return [str(each) for each in found if each.severity is Severity.ERROR]


@pytest.mark.optional("reads cases that lie outside the repository, some of kinds that are not served")
@pytest.mark.skipif(not _CASES, reason="Istio's cases are not on this machine")
@pytest.mark.parametrize("path", _CASES, ids=lambda path: path.stem)
def test_a_document_is_valid_where_it_is_to_istio(path: Path) -> None:
    case = read_case(path)
    if case["kind"] not in KINDS_BY_NAME:
        pytest.skip(f"{case['kind']} is not served")
    if reason := DEVIATIONS.get(case["name"]):
        pytest.skip(reason)
    errors = _errors(case["yaml"])
    valid = case["webhook_valid"] and case["crd_valid"]
    assert (not errors) == valid, errors or case["webhook_error"] or case["crd_error"]
