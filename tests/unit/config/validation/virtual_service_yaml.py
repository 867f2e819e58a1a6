"""VirtualServices of one HTTP route, as YAML, and the paths of its fields."""

from __future__ import annotations

TO_A = "route: [{destination: {host: a.com}}]"
HTTP = f"http: [{{{TO_A}}}]"
TLS = "tls: [{match: [{sniHosts: [a.com]}], " + TO_A + "}]"
TCP = f"tcp: [{{{TO_A}}}]"


def whole(spec: str) -> str:
    return "{" + spec + "}"


def route(fields: str) -> str:
    """A VirtualService with one HTTP route that goes to a.com and has `fields`."""
    return f"{{hosts: [a.com], http: [{{{TO_A}, {fields}}}]}}"


def only(fields: str) -> str:
    """A VirtualService with one HTTP route that has just `fields`."""
    return f"{{hosts: [a.com], http: [{{{fields}}}]}}"


def match(fields: str) -> str:
    """A VirtualService with one HTTP route to a.com, with one match."""
    return route(f"match: [{{{fields}}}]")


H = "spec.http[0]"
M = H + ".match[0]"
BIG = "x" * (100 * 1024 + 1)
HUGE = "x" * (1024 * 1024 + 1)
