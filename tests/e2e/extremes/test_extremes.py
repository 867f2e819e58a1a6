"""What passes validation is taken by Envoy: every field of every served kind, at its extremes.

`make test` tries a hundred cases, the same each time, spread over kinds and types. `make search` tries what
no list has, with another seed each time; the seed is in what it prints.
"""

from __future__ import annotations

import copy
import itertools
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.extremes.base_mesh import Document, base_mesh
from tests.e2e.extremes.cases import KINDS_DRAWN, Case, cases_of_leaf, drawn_case, leaves, unreached
from tests.e2e.extremes.jury import Jury, Verdict

CASES: Final = 100
DRAWN: Final = 200
SEARCH_SECONDS: Final = 60.0
UNREACHED: Final = [
    # A Sidecar may have no such certificates.
    *(
        f"Sidecar spec.ingress[].tls.tlsCertificates[].{field}"
        for field in ("serverCertificate", "privateKey", "caCertificates")
    ),
    # It excludes `distribute`, and there is one MeshConfig; the DestinationRules have both.
    *(f"MeshConfig localityLbSetting.failover[].{field}" for field in ("from", "to")),
]

pytestmark = pytest.mark.envoy


def test_every_field_stands_in_the_base_mesh(tmp_path: Path) -> None:
    """A new field is drawn by itself if its message is there: else add that to base_mesh.yaml."""
    assert unreached(base_mesh(tmp_path)) == UNREACHED


async def test_what_passes_validation_is_taken_by_envoy(tmp_path: Path) -> None:
    async with Jury(tmp_path) as jury:
        wrong: list[str] = []
        judged = 0
        for case in itertools.chain(_found_by_search(jury.base), _spread(jury.base)):
            verdict = await jury.verdict(case)
            judged += not (verdict.refused or verdict.unchanged)
            wrong += _complaints(case, verdict)
            if judged == CASES:
                break
    assert judged == CASES
    assert not wrong, "\n".join(wrong)


@pytest.mark.search
async def test_what_no_list_has_is_taken_by_envoy(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In `make test` a few, with one seed; in a search as many as fit into its time, or a minute."""
    seconds = request.config.getoption("--search-seconds")
    seed = 0 if seconds is None else random.SystemRandom().randrange(2**32)
    end = time.monotonic() + min(seconds or 0.0, SEARCH_SECONDS)
    generator = random.Random(seed)
    drawn = 0
    async with Jury(tmp_path) as jury:
        while drawn < DRAWN if seconds is None else time.monotonic() < end:
            case = drawn_case(jury.base, generator)
            complaints = _complaints(case, await jury.verdict(case))
            assert not complaints, f"seed {seed}, case {drawn}: {complaints}\n{case.text}"
            drawn += 1


def _complaints(case: Case, verdict: Verdict) -> list[str]:
    return [f"{case}: {complaint}" for complaint in verdict.complaints]


def _found_by_search(base: Mapping[str, Document]) -> Iterator[Case]:
    """Yield cases that a search once found, and that no single field leads to."""
    name = "ServiceEntry regions"
    text = copy.deepcopy(base[name])
    # Two localities share a priority, where consistent hashing adds the weights of their endpoints.
    text["spec"]["endpoints"][0] |= {"locality": "far", "weight": 2**32 - 1}
    yield Case(name, ("spec", "endpoints", 0, "weight"), 2**32 - 1, text)


def _spread(base: Mapping[str, Document]) -> Iterator[Case]:
    """Yield cases in turns: of each kind, and of each type in it, a field that was not there yet."""
    generator = random.Random(0)
    turns: dict[tuple[str, str], list[Iterator[Case]]] = {}
    for kind in KINDS_DRAWN:
        for leaf in leaves(kind):
            turns.setdefault((kind, leaf.type), []).append(cases_of_leaf(base, kind, leaf, generator))
    for fields in turns.values():
        generator.shuffle(fields)
    while turns:
        for key, fields in list(turns.items()):
            field = fields.pop(0)
            case = next(field, None)
            if case is not None:
                fields.append(field)
                yield case
            if not fields:
                del turns[key]


async def test_the_jury_hears_what_envoy_refuses_and_sees_it_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the tests above would hold whatever Envoy says. Envoy refuses a table of Maglev that is not prime,
    and with one of 1 it divides by zero. Afterwards the jury judges the next case."""
    (leaf,) = (
        each
        for each in leaves("DestinationRule")
        if each.path == "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"
    )
    async with Jury(tmp_path) as jury:
        cases = {each.value: each for each in cases_of_leaf(jury.base, "DestinationRule", leaf)}
        assert jury.refusal(cases[1])
        with monkeypatch.context() as patched:
            patched.setattr("mizzen.config.validation.load_balancer.is_prime", lambda _: True)
            for _ in range(2):  # the second time it is not sent, as it was refused
                assert "must be prime" in (await jury.verdict(cases[100])).complaints[0]
            assert "CRASHED" in (await jury.verdict(cases[1])).complaints[0]
        assert await jury.verdict(cases[101]) == Verdict(unchanged=True)
        assert await jury.verdict(cases[127]) == Verdict()
