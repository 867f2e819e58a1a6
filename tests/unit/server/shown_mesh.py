"""A server that only shows: what a page needs to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mizzen.config import Diagnostic
from mizzen.explain.answer import Answer
from mizzen.explain.question import Question
from mizzen.explain.why import ServedMesh, why
from mizzen.mesh.snapshot import Mesh


def proxy(number: int, state: str = "ACKED") -> dict[str, Any]:
    held = {
        "state": state,
        "resources": 3,
        "subscribed": 3,
        "sent": "2030-01-01T00:00:00.000+00:00",
        "acked": None,
        "waiting_for": [],
        "missing": [],
        "names": ["a", "b"],
    }
    return {
        "id": f"app-{number}.default",
        "node_id": f"sidecar~10.0.0.1~app-{number}.default~x",
        "type": "sidecar",
        "namespace": "default",
        "envoy_version": "1.36.2",
        "warnings": ["<b>a warning</b>"],
        "peer": "ipv4:127.0.0.1:1",
        "connected_seconds": 75.0,
        "types": {"CDS": held},
    }


class ShownMesh:
    """Something to be looked at."""

    def __init__(self, mesh: Mesh, proxies: int = 2) -> None:
        self.mesh = mesh
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.moment: object = 0
        self.ready = True
        self.waiting_for: tuple[str, ...] = ()
        self.faults: list[dict[str, Any]] = []
        self.found = [proxy(number) for number in range(proxies)]
        self.rejections: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.refused_proxies: list[dict[str, Any]] = []
        self.gone: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []

    def metrics(self) -> bytes:
        return b""

    def about(self) -> Mapping[str, Any]:
        return {
            "version": "0.0",
            "uptime_seconds": 3700.0,
            "waiting_for": list(self.waiting_for),
            "faults": self.faults,
        }

    def recent_changes(self) -> list[dict[str, Any]]:
        return self.changes

    def proxies(self) -> list[str]:
        return [each["id"] for each in self.found]

    async def table(self, proxy: str, kind: str) -> Mapping[str, Any] | None:
        row = {"cells": {"NAME": f"<b>{kind}"}, "origins": ["a.yaml:1"], "state": "sent, not accepted yet"}
        return {"proxy": proxy, "kind": kind, "rows": [row] * 60}

    async def difference(self, proxy: str) -> Mapping[str, Any] | None:
        return {"proxy": proxy, "rows": []}

    async def why(self, question: Question, caller: str, gateway: str) -> Answer:
        serving = ServedMesh(self.mesh)
        callers = serving.callers
        asked = callers.gateway(gateway) if gateway else callers.sidecar(caller)
        return why(question, asked, serving)

    async def resources(self, name: str) -> Mapping[str, Any] | None:
        return None

    async def status(self, proxy: str | None = None) -> Mapping[str, Any]:
        return {
            "server": self.about(),
            "configuration": {
                "documents": {"Service": 2},
                "refused": self.refused,
                "diagnostics": [],
                "warnings": 0,
            },
            "proxies": [each for each in self.found if proxy in (None, each["id"], each["node_id"])],
            "rejections": self.rejections,
            "refused_proxies": self.refused_proxies,
            "gone_proxies": self.gone,
        }
