"""The picture of a running shop: requests by workload and version, and what each proxy has accepted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mizzen.demo.observation import Window
from mizzen.demo.proxy_status import SERVICES, MeshStatus
from mizzen.demo.topology import GATEWAY_NAME, Topology, Workload
from mizzen.demo.traffic import Visitors

BAR_WIDTH = 12
"""With this width the whole table fits in 80 columns."""
STATE_STYLES = {"ACKED": "green", "PENDING": "yellow", "REJECTED": "bold red", "STUCK": "bold magenta"}


def picture(
    topology: Topology,
    rules: Path,
    window: Window,
    visitors: Visitors,
    status: MeshStatus | None,
    events: Sequence[str] = (),
    *,
    has_keys: bool = False,
) -> RenderableType:
    """Return what to show now; `status` is None while the control plane does not answer.

    `events` are lines about processes that ended or were killed; `has_keys`: keys can be typed.
    """
    headline = _headline(topology, rules, has_keys=has_keys)
    parts: list[RenderableType] = [headline, shop_table(topology, window, status), Text(), _pages(visitors)]
    parts += [Text(event, "yellow") for event in events]
    if status is None:
        parts.append(Text("the control plane does not answer", "bold red"))
    else:
        parts += [Text(problem, "red") for problem in status.problems]
    return Group(*parts)


def _pages(visitors: Visitors) -> Text:
    line = f"{visitors.pages} pages asked for by the demonstration itself, {visitors.failures} failed"
    if visitors.partial:
        parts = ", ".join(f"{part} {count}" for part, count in sorted(visitors.missing.items()))
        line += f",\n{visitors.partial} answered 200 with a part missing: {parts}"
    return Text(line, "red" if visitors.failures or visitors.partial else "dim")


def _headline(topology: Topology, rules: Path, *, has_keys: bool) -> Text:
    text = Text()
    text.append("The shop ", "bold").append(f"{topology.url}/productpage\n", "underline cyan")
    text.append("Look at  ", "bold").append(f"http://{topology.control_plane_admin}/\n", "underline cyan")
    text.append("Edit     ", "bold").append(f"{rules / 'virtual-services.yaml'}", "cyan")
    text.append("  (a weight; save)\n")
    if has_keys:
        text.append("Key k    ", "bold").append("kills the control plane, and starts it again\n")
    text.append("End      ", "bold").append("Ctrl-C\n")
    return text


def shop_table(topology: Topology, window: Window, status: MeshStatus | None) -> Table:
    """Return a row for each workload: its traffic, and what its proxy has accepted by discovery service.

    The bar is the share of a version in its service over the last seconds.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("WORKLOAD", no_wrap=True)
    for heading in ("REQUESTS", "/S"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("LAST 2 SECONDS", no_wrap=True)
    for service in SERVICES:
        table.add_column(service, no_wrap=True)
    for workload in topology.workloads:
        total = window.total(workload.name)
        table.add_row(
            f"{workload.app} {workload.version}",
            "?" if total is None else str(total),
            f"{window.rate(workload.name):.1f}",
            _share(workload, topology, window),
            *_states(workload.name, status),
        )
    table.add_row("ingress", "", "", "", *_states(GATEWAY_NAME, status))
    return table


def _share(workload: Workload, topology: Topology, window: Window) -> str:
    if not workload.in_mesh:
        return "outside the mesh"
    versions = [other for other in topology.workloads if other.app == workload.app]
    everything = sum(window.rate(version.name) for version in versions)
    if len(versions) == 1 or not everything:
        return ""
    share = window.rate(workload.name) / everything
    return f"{'█' * round(share * BAR_WIDTH):<{BAR_WIDTH}} {share:4.0%}"


def _states(name: str, status: MeshStatus | None) -> list[Text]:
    states = status.proxies.get(name, {}) if status is not None else {}
    return [
        Text(states.get(service, "-"), STATE_STYLES.get(states.get(service, ""), "dim"))
        for service in SERVICES
    ]
