"""The picture of a running shop: requests by workload and version, and what each proxy has accepted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mizzen.demo.observation import Window
from mizzen.demo.proxy_status import SERVICES, MeshStatus
from mizzen.demo.topology import Topology, Workload
from mizzen.demo.traffic import Visitors

BAR_WIDTH = 24
STATE_STYLES = {"ACKED": "green", "REJECTED": "bold red", "STUCK": "bold red", "PENDING": "yellow"}


def picture(
    topology: Topology, rules: Path, window: Window, visitors: Visitors, status: MeshStatus | None
) -> RenderableType:
    """Return what to show now; `status` is None while the control plane does not answer."""
    parts: list[RenderableType] = [
        _headline(topology, rules),
        workloads_table(topology.workloads, window),
        Text(
            f"{visitors.pages} pages asked for, {visitors.failures} failed",
            "red" if visitors.failures else "dim",
        ),
    ]
    if status is None:
        parts.append(Text("the control plane does not answer", "bold red"))
    else:
        parts.append(proxies_table(status))
        parts += [Text(problem, "red") for problem in status.problems]
    return Group(*parts)


def _headline(topology: Topology, rules: Path) -> Text:
    text = Text()
    text.append("The shop: ", "bold").append(f"{topology.url}/productpage\n", "bold underline cyan")
    text.append("Edit    : ", "bold").append(f"{rules / 'virtual-services.yaml'}", "cyan")
    text.append("  (change a weight, save, and watch the reviews)\n")
    text.append("End     : ", "bold").append("Ctrl-C\n")
    return text


def workloads_table(workloads: Sequence[Workload], window: Window) -> Table:
    """Return the requests of each workload; the bar is its share among its service's versions, lately."""
    table = Table(title="Requests by workload and version", title_justify="left")
    table.add_column("workload")
    table.add_column("version")
    table.add_column("requests", justify="right")
    table.add_column("a second", justify="right")
    table.add_column("share of the last two seconds", min_width=BAR_WIDTH + 6)
    for workload in workloads:
        total = window.total(workload.name)
        rate = window.rate(workload.name)
        siblings = sum(window.rate(other.name) for other in workloads if other.app == workload.app)
        share = rate / siblings if siblings else 0.0
        table.add_row(
            workload.app,
            workload.version if workload.in_mesh else f"{workload.version} (outside)",
            "-" if total is None else str(total),
            f"{rate:.1f}",
            f"{'█' * round(share * BAR_WIDTH):<{BAR_WIDTH}} {share:4.0%}",
        )
    return table


def proxies_table(status: MeshStatus) -> Table:
    """Return what each proxy has accepted, by type of resource."""
    table = Table(title="Proxies", title_justify="left")
    table.add_column("proxy")
    for service in SERVICES:
        table.add_column(service)
    for proxy in status.proxies:
        states = (proxy.states.get(service, "-") for service in SERVICES)
        table.add_row(proxy.name, *(Text(state, STATE_STYLES.get(state, "dim")) for state in states))
    return table
