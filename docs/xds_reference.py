"""Writes xds-reference.md, the public names of `mizzen.xds`, from their docstrings and signatures.

Written anew with: python docs/xds_reference.py > docs/xds-reference.md
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

SECTIONS: Final = {
    "The server": [
        "Server", "Limits", "GroupOf", "Authenticate", "OnGroup", "Fallback", "NodeRefused", "PeerRefused",
        "PeerUnauthenticated", "Node", "Peer", "peer_of",
    ],
    "What is served": ["Resource", "Snapshot", "Collection", "Change", "content_version"],
    "The order of a change": ["Policy", "MakeBeforeBreak", "Unordered"],
    "Events": [
        "Event", "Client", "Connected", "Disconnected", "Subscribed", "Acked", "Rejected", "Recovered",
        "Stuck",
    ],
    "Status": ["ClientStatus", "TypeStatus", "ClientResources", "RejectedResource", "Retry"],
    "Types": ["short_name", "type_urls"],
}  # fmt: skip

INTERNAL: Final = {
    "Resource": {"mark", "sotw_field", "delta_field", "heartbeat_field", "unresolved"},
    "Snapshot": {"since"},
    "Retry": {"rejected", "begun"},
    "Collection": {
        "__init__",
        "everything",
        "retaining",
        "since",
        "mismatched",
        "updated",
        "with_ttl",
        "without",
    },
}
"""What one part of the library asks another: public to it, and of no use to who serves resources."""

_INTRODUCTION: Final = """\
# mizzen.xds: reference

What `from mizzen import xds` brings. [xds.md](xds.md) tells how it works and what the words mean. This page
is made from the docstrings: `python docs/xds_reference.py > docs/xds-reference.md`.
"""


def reference() -> str:
    """The page, as Markdown."""
    package = griffe.load(
        "mizzen.xds",
        search_paths=[Path(__file__).parent.parent],
        docstring_parser="google",
        docstring_options={"warnings": False},
    )
    lines = [_INTRODUCTION]
    for title, names in SECTIONS.items():
        lines.append(f"## {title}\n")
        for name in names:
            found = package[name]
            lines += _member(found.final_target if isinstance(found, griffe.Alias) else found)
    return "\n".join(lines).rstrip() + "\n"


def _member(member: griffe.Object) -> Iterator[str]:
    yield f"### {member.name}\n"
    if isinstance(member, griffe.Class):
        yield from _class(member)
    elif isinstance(member, griffe.Function):
        yield f"```python\n{_signature(member)}\n```\n"
        yield from _text(member)
    elif isinstance(member, griffe.Module):
        yield from _text(member)
        constants = ", ".join(f"`{name}`" for name, each in member.attributes.items() if _is_public(each))
        yield f"Constants: {constants}.\n"
    else:
        assert isinstance(member, griffe.Attribute)
        yield f"```python\n{member.name} = {member.value}\n```\n"
        yield from _text(member)


def _class(member: griffe.Class) -> Iterator[str]:
    internal = INTERNAL.get(member.name, set())
    bases = ", ".join(map(str, member.bases))
    heading = f"class {member.name}({bases})" if bases else f"class {member.name}"
    is_tuple = bases == "NamedTuple"
    if is_tuple or member.has_labels("dataclass"):
        fields = [each for each in member.attributes.values() if "property" not in each.labels]
        values = (f"    {f.name}: {f.annotation}" + (f" = {f.value}" if f.value else "") for f in fields)
        yield "\n".join(
            [
                "```python",
                f"{heading}:" if is_tuple else f"@dataclass(frozen=True)\n{heading}:",
                *(values if fields else ["    ..."]),
                "```\n",
            ]
        )
    elif (start := member.members.get("__init__")) and "__init__" not in internal:
        assert isinstance(start, griffe.Function)
        yield f"```python\n{_signature(start, member.name)}\n```\n"
    yield from _text(member)
    for method in member.functions.values():
        if _is_public(method) and method.name not in internal:
            yield f"```python\n{_prefix(method)}{member.name}.{_signature(method)}\n```\n"
            yield from _text(method)
    for attribute in member.attributes.values():
        if (
            "property" in attribute.labels
            and _is_public(attribute)
            and attribute.docstring
            and attribute.name not in internal
        ):
            text = _joined(attribute.docstring.value)
            yield f"`{member.name}.{attribute.name}: {attribute.annotation}`: {text}\n"


def _is_public(member: griffe.Object) -> bool:
    return not member.name.startswith("_")


def _prefix(method: griffe.Function) -> str:
    return "await " if "async" in method.labels else ""


def _signature(function: griffe.Function, name: str = "") -> str:
    """In one line if it fits, else with a line for each parameter."""
    parameters: list[str] = []
    star = False
    for each in function.parameters:
        if each.name in ("self", "cls"):
            continue
        if each.kind is griffe.ParameterKind.keyword_only and not star:
            star = True
            parameters.append("*")
        parameters.append(
            each.name
            + (f": {each.annotation}" if each.annotation else "")
            + (f" = {each.default}" if each.default else "")
        )
    result = f" -> {function.returns}" if function.returns and not name else ""
    line = f"{name or function.name}({', '.join(parameters)}){result}"
    if len(line) <= 100:
        return line
    rows = "".join(f"    {each},\n" for each in parameters)
    return f"{name or function.name}(\n{rows}){result}"


def _text(member: griffe.Object) -> Iterator[str]:
    if member.docstring is None:
        return
    for section in member.docstring.parsed:
        match section:
            case griffe.DocstringSectionText(value=text):
                yield f"{text}\n"
            case griffe.DocstringSectionParameters() | griffe.DocstringSectionAttributes():
                yield (
                    "\n".join(f"* `{each.name}`: {_joined(each.description)}" for each in section.value)
                    + "\n"
                )
            case griffe.DocstringSectionRaises(value=raises):
                yield (
                    "\n".join(f"* raises `{each.annotation}`: {_joined(each.description)}" for each in raises)
                    + "\n"
                )
            case _:
                raise ValueError(f"{member.path}: a section of kind {section.kind} has no form here")


def _joined(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    print(reference(), end="")
