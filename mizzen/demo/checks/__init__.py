"""Checks of a running shop with real requests, each of one thing, and the table of their results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

import httpx
from rich.table import Table
from rich.text import Text

from mizzen.demo.checks import accidents, boundaries, resilience, routing, security
from mizzen.demo.checks.outcome import Check, CheckResult, Outcome, ingress, sidecar
from mizzen.demo.shop import Shop

__all__ = ["Check", "CheckResult", "Outcome", "all_checks", "perform", "report"]

TOUR_HOST = "tour.example.com"
TOUR_SERVICE = "tour:9080"

ROUTES = (
    ("weighted split between versions", routing.weighted_split),
    ("header match pins a version", routing.header_match),
    ("subset by label", routing.subset),
    ("URI prefix match with rewrite", routing.rewrite),
    ("redirect", routing.redirect),
    ("direct response", routing.direct_response),
    ("headers changed", routing.headers),
    ("fault abort", resilience.fault_abort),
    ("fault abort of a share", resilience.fault_abort_some),
    ("fault delay", resilience.fault_delay),
    ("retries", resilience.retries),
    ("timeout", resilience.timeout),
    ("known host, no matching route", boundaries.no_route),
)
"""The routes of feature-tour.yaml, each with its promise and its check."""


def all_checks(shop: Shop) -> list[Check]:
    """Return the checks; those of the tour are made twice, at the ingress and at a sidecar."""
    checks = [Check("a page through the whole mesh", "ingress", partial(boundaries.whole_page, shop))]
    for door in (ingress(shop, TOUR_HOST), sidecar(shop, TOUR_SERVICE)):
        checks += [Check(tried, door.name, partial(run, door)) for tried, run in ROUTES]
        checks.append(Check("mirroring", door.name, partial(routing.mirroring, shop, door)))
    checks += [
        Check("unknown host", "ingress", partial(boundaries.unknown_host, shop)),
        Check("ServiceEntry for a host outside", "sidecar", partial(boundaries.service_entry, shop)),
        Check("REGISTRY_ONLY refuses an unknown host", "sidecar", partial(boundaries.registry_only, shop)),
        Check("a call in plain text is refused", "workload", partial(security.plain_text, shop)),
        Check("mutual TLS tells who calls", "sidecar", partial(security.peer_identity, shop)),
        Check("a wrong token is refused", "sidecar", partial(security.wrong_token, shop)),
        Check("a right token is accepted", "sidecar", partial(security.right_token, shop)),
        Check("a denied path", "sidecar", partial(security.denied_path, shop)),
        Check("a changed YAML is served", "ingress", partial(boundaries.live_change, shop)),
        Check("a killed Envoy is started again", "ingress", partial(accidents.killed_envoy, shop)),
        Check("pages without a control plane", "ingress", partial(accidents.killed_control_plane, shop)),
    ]
    return checks


async def perform(checks: Sequence[Check]) -> AsyncIterator[Outcome]:
    """Make the checks one after the other; a check that cannot be made has failed."""
    for check in checks:
        try:
            result = await check.run()
        except (httpx.HTTPError, ValueError) as error:
            result = CheckResult("an answer", f"{type(error).__name__}: {error}", passed=False)
        yield Outcome(check, result)


def report(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of what was tried, expected and seen."""
    table = Table(title="What was tried with real requests", title_justify="left")
    for heading in ("", "tried", "at the", "expected", "seen"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        result = outcome.result
        mark = "[green]ok[/green]" if result.passed else "[bold red]FAILED[/bold red]"
        table.add_row(mark, outcome.check.tried, outcome.check.door, Text(result.expected), Text(result.seen))
    return table
