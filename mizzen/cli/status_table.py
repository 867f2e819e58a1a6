"""The parts of the status, as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mizzen.cli.certificate_table import span
from mizzen.server.grouped_rejections import grouped_rejections

_SERVICES = ("CDS", "EDS", "LDS", "RDS", "SDS")
_STYLE = {
    "ACKED": "green",
    "PENDING": "yellow",
    "REJECTED": "bold red",
    "STUCK": "bold magenta",
    "NOT_SENT": "dim",
}
_DIAGNOSTICS_SHOWN = 20
_GONE_SHOWN = 20
_WIDE = 110


def _indented(text: Text, by: int) -> Padding:
    """Return `text` indented by so many columns, without blanks up to the right edge."""
    return Padding(text, (0, 0, 0, by), expand=False)


def headline(state: Mapping[str, Any]) -> Text:
    """Return one line: the server, its documents, its proxies."""
    server, configuration = state["server"], state["configuration"]
    documents = sum(configuration["documents"].values())
    line = Text()
    line.append(f"mizzen {server['version']}", style="bold")
    line.append(f"   up {span(server['uptime_seconds'])}")
    line.append(f"   {_count(documents, 'document')} in force")
    line.append(f"   {_count(len(state['proxies']), 'proxy', 'proxies')}")
    if not server["ready"]:
        line.append("   waiting" if server.get("waiting_for") else "   starting", style="yellow")
    return line


def waiting(state: Mapping[str, Any]) -> Group | None:
    """Return what the server waits for after its start, before it serves proxies."""
    held = state["server"].get("waiting_for")
    if not held:
        return None
    lines: list[Any] = [
        Text("\nNO PROXY IS SERVED YET (Envoys keep what they have), WAITING FOR", style="bold red")
    ]
    lines += [_indented(Text(each), 2) for each in held]
    return Group(*lines)


def faults(state: Mapping[str, Any]) -> Group | None:
    """Return what failed in the server by a fault of Mizzen, since its start."""
    held = state["server"].get("faults")  # a server of a different version may not tell
    if not held:
        return None
    lines: list[Any] = [Text("\nMIZZEN FAILED (its log says more; please report it)", style="bold red")]
    for each in held:
        said = Text(each["what"])
        times = f"{_count(each['times'], 'time')} since {each['since']}"
        said.append(f"   {times}, last {span(each['seconds_ago'])} ago", style="dim")
        lines.append(_indented(said, 2))
    return Group(*lines)


def proxies(state: Mapping[str, Any], width: int) -> Table | Text:
    """Return a row for each proxy, a column for each discovery service; some are left out to fit `width`."""
    if not state["proxies"]:
        return Text("no proxy is connected", style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    wide = width >= _WIDE
    table.add_column("PROXY", overflow="fold")
    for column in (*(("TYPE", "ENVOY") if wide else ()), *_SERVICES, *(("CONNECTED",) if wide else ())):
        table.add_column(column, no_wrap=True)
    for proxy in state["proxies"]:
        cells = [_cell(proxy["types"].get(service)) for service in _SERVICES]
        if wide:
            cells.insert(0, Text(proxy["envoy_version"] or "?"))
            cells.insert(0, Text(proxy["type"]))
            cells.append(Text(span(proxy["connected_seconds"])))
        table.add_row(Text(proxy["id"]), *cells)
    return table


def _cell(held: Mapping[str, Any] | None) -> Text:
    if held is None:
        return Text("-", style="dim")
    state = held["state"]
    words = state if state != "ACKED" else f"ACKED {held['resources']}"
    # A listener or cluster with a missing secret fails its connections; only this cell shows it.
    if state == "ACKED" and held["missing"]:
        words += f" of {held['resources'] + len(held['missing'])}"
    return Text(words, style=_STYLE.get(state, ""))


def rejections(state: Mapping[str, Any]) -> Group | None:
    """Return rejected resources: Envoy's message, and the lines of YAML that they come from."""
    stuck = [
        (proxy["id"], service, held)
        for proxy in state["proxies"]
        for service, held in proxy["types"].items()
        if held["state"] == "STUCK"
    ]
    if not state["rejections"] and not stuck:
        return None
    lines: list[Any] = [Text("\nREJECTED BY ENVOY", style="bold red")] if state["rejections"] else []
    for alike in grouped_rejections(state["rejections"]):
        said = Text(f"{alike.who} {alike.type}: ", style="bold")
        said.append(Text(alike.message, style="not bold"))
        lines.append(_indented(said, 2))
        lines += [_indented(_origin_of(resource), 6) for resource in alike.resources.values()]
    if stuck:
        lines.append(Text("\nNOT ANSWERED", style="bold magenta"))
    for proxy, service, held in stuck:
        waiting = f", waiting for {', '.join(held['waiting_for'])}" if held["waiting_for"] else ""
        sent = f"{proxy} {service}: sent {span(held['pending_seconds'] or 0)} ago{waiting}"
        lines.append(_indented(Text(sent), 2))
    return Group(*lines)


def _origin_of(resource: Mapping[str, Any]) -> Text:
    line = Text(resource["name"])
    if resource["origins"]:
        line.append(" from ", style="dim").append(", ".join(resource["origins"]), style="cyan")
    if resource.get("in_force"):
        line.append(f" ({resource['in_force']})", style="dim")
    return line


def missing_secrets(state: Mapping[str, Any]) -> Group | None:
    """Return the secrets that proxies ask for and do not get, by name."""
    waiting = dict.fromkeys(
        (proxy["id"], name)
        for proxy in state["proxies"]
        for name in proxy["types"].get("SDS", {}).get("missing", ())
    )
    if not waiting:
        return None
    lines: list[Any] = [
        Text("\nSECRETS THAT ARE NOT THERE (connections that need them fail)", style="bold yellow")
    ]
    lines += [
        _indented(Text(f"{proxy}: ", style="bold").append(name, style="not bold"), 2)
        for proxy, name in list(waiting)[:_DIAGNOSTICS_SHOWN]
    ]
    if len(waiting) > _DIAGNOSTICS_SHOWN:
        more = len(waiting) - _DIAGNOSTICS_SHOWN
        lines.append(Text(f"  ... and {more} more (-o json has them all)", style="dim"))
    return Group(*lines)


def proxy_warnings(state: Mapping[str, Any]) -> Group | None:
    """Return the proxy warnings: mistakes in nodes that are served all the same."""
    said = dict.fromkeys(
        (proxy["id"], warning) for proxy in state["proxies"] for warning in proxy["warnings"]
    )
    if not said:
        return None
    lines: list[Any] = [Text("\nPROXY WARNINGS", style="bold yellow")]
    for name, warning in said:
        lines.append(_indented(Text(f"{name}: ", style="bold").append(warning, style="not bold"), 2))
    return Group(*lines)


def gone_proxies(state: Mapping[str, Any]) -> Group | None:
    """Return the proxies that disconnected within the last hour and have not come back."""
    held = state.get("gone_proxies", ())  # a server of a different version may not have it
    if not held:
        return None
    lines: list[Any] = [Text("\nGONE", style="bold yellow")]
    for each in held[-_GONE_SHOWN:]:
        said = Text(each["id"])
        said.append(f"   {each['type']}, {span(each['seconds_ago'])} ago", style="dim")
        lines.append(_indented(said, 2))
    if len(held) > _GONE_SHOWN:
        lines.append(_indented(Text(f"and {len(held) - _GONE_SHOWN} before them", style="dim"), 2))
    return Group(*lines)


def refused_proxies(state: Mapping[str, Any]) -> Group | None:
    """Return the Envoys whose connections were refused within the last minute."""
    held = state["refused_proxies"]
    if not held:
        return None
    lines: list[Any] = [Text("\nREFUSED PROXIES", style="bold red")]
    for each in held:
        said = Text(each["reason"])
        said.append(f"   {_count(each['times'], 'time')}, {span(each['seconds_ago'])} ago", style="dim")
        lines.append(_indented(said, 2))
    return Group(*lines)


def refused(state: Mapping[str, Any]) -> Group | None:
    """Return the documents whose newest version is not in force, and why."""
    held = state["configuration"]["refused"]
    if not held:
        return None
    lines: list[Any] = [Text("\nREFUSED DOCUMENTS", style="bold red")]
    for told, documents in _refused_alike(held):
        lines += [_indented(_refused_document(document), 2) for document in documents]
        lines += [_indented(diagnostic, 6) for diagnostic in told]
    return Group(*lines)


def _refused_alike(
    held: Iterable[Mapping[str, Any]],
) -> list[tuple[list[Text], list[Mapping[str, Any]]]]:
    """Group documents that are refused for the same reason, such as all of an unreadable file."""
    found: dict[str, tuple[list[Text], list[Mapping[str, Any]]]] = {}
    for document in held:
        diagnostics = [_diagnostic(diagnostic) for diagnostic in document["diagnostics"]]
        words = "\n".join(diagnostic.plain for diagnostic in diagnostics)
        found.setdefault(words, (diagnostics, []))[1].append(document)
    return list(found.values())


def _refused_document(document: Mapping[str, Any]) -> Text:
    title = Text(document["document"], style="bold")
    if document.get("restored"):
        title.append(
            f"   in force: the version of {document['restored']} from the state directory, since the "
            "file's is refused",
            style="bold magenta",
        )
    elif document["in_force"]:
        title.append(f"   the version read from {document['in_force']} stays in force", style="dim not bold")
    else:
        title.append("   nothing of it is in force", style="dim not bold")
    return title


def restored(state: Mapping[str, Any]) -> Group | None:
    """Return documents in force from the state directory, unless listed as refused, and its faults."""
    told = {document["document"] for document in state["configuration"]["refused"]}
    held = [each for each in state["configuration"].get("restored", ()) if each["document"] not in told]
    error = state["server"].get("state_error")
    if not held and not error:
        return None
    lines: list[Any] = [Text("\nSTATE DIRECTORY", style="bold magenta")]
    if error:
        lines.append(_indented(Text(error), 2))
    for each in held[:_DIAGNOSTICS_SHOWN]:
        said = Text(each["document"], style="bold")
        said.append(
            f"   in force: the version of {each['since']} from the state directory, since {each['origin']} "
            "cannot be read now",
            style="not bold",
        )
        lines.append(_indented(said, 2))
    if len(held) > _DIAGNOSTICS_SHOWN:
        lines.append(
            Text(f"  ... and {len(held) - _DIAGNOSTICS_SHOWN} more (-o json has them all)", style="dim")
        )
    return Group(*lines)


def diagnostics(state: Mapping[str, Any]) -> Group | None:
    """Return warnings, and errors without a document, such as a file that cannot be read."""
    shown = {
        _diagnostic(diagnostic).plain
        for document in state["configuration"]["refused"]
        for diagnostic in document["diagnostics"]
    }
    rest = [
        text
        for text in (_diagnostic(diagnostic) for diagnostic in state["configuration"]["diagnostics"])
        if text.plain not in shown
    ]
    if not rest:
        return None
    lines: list[Any] = [Text("\nDIAGNOSTICS", style="bold yellow")]
    lines += [_indented(text, 2) for text in rest[:_DIAGNOSTICS_SHOWN]]
    if len(rest) > _DIAGNOSTICS_SHOWN:
        lines.append(
            Text(f"  ... and {len(rest) - _DIAGNOSTICS_SHOWN} more (-o json has them all)", style="dim")
        )
    return Group(*lines)


def _diagnostic(diagnostic: Mapping[str, Any]) -> Text:
    place = diagnostic["file"] + (f":{diagnostic['line']}" if diagnostic["line"] else "")
    line = Text(place, style="cyan")
    line.append(f": {diagnostic['severity']} {diagnostic['code']} ", style="bold not cyan")
    path = f"{diagnostic['path']}: " if diagnostic["path"] else ""
    line.append(path + diagnostic["message"], style="default")
    return line


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
