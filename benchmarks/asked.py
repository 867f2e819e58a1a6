"""(n) What a question costs: `mizzen why` of files and of a server, mesh tests, simulated requests.

The namespaces have policies and token rules, so that each call is also judged.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import mizzen
from benchmarks.documents import NAMESPACES, Documents, documents, port_of
from mizzen.explain.answer import Answer
from mizzen.explain.callers import DeclaredCallers
from mizzen.explain.first_call import first_call
from mizzen.explain.onward import onward
from mizzen.explain.question import Question
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.why import ServedMesh, why
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh_tests import MeshUnderTest, read_mesh_tests
from mizzen.translator.translation import Translation

SERVICES = 1_000
COLD = 1.0
LIVE = 50.0
REQUESTS_A_SECOND = 20_000
_CALLER = "service-0.namespace-0"
_ROUNDS = 5
_REQUESTS = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Seconds of processor time of a command, milliseconds of answers, seconds of 1,000 tests, and rates."""

    cold: float
    live_new: float
    live_first: float
    live_next: float
    tests: float
    tests_a_second: float
    requests_a_second: float


def measure(services: int = SERVICES) -> Asked:
    """Ask in a mesh of so many services."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(services):
            (Path(folder) / f"service-{number}.yaml").write_text(_yaml(documents(number)))
        for number in range(NAMESPACES):
            (Path(folder) / f"policies-{number}.yaml").write_text(_yaml(_policies(f"namespace-{number}")))
        with tempfile.TemporaryDirectory() as compiled:
            cold = min(_cold(folder, services, compiled) for _ in range(3))
        mesh = mizzen.load(folder)
        live = [_live(mesh, services) for _ in range(_ROUNDS)]
        first, again = _mesh_tests(mesh, services)
        requests = _requests(mesh, services)
    live_new, live_first, live_next = (min(times) for times in zip(*live, strict=True))
    return Asked(cold, live_new, live_first, live_next, first, again, requests)


def _yaml(found: Documents) -> str:
    """Documents as people write them."""
    return yaml.safe_dump_all(found, sort_keys=False)


def _policies(namespace: str) -> Documents:
    """Who may call in a namespace: GET is allowed to all, the rest to whoever has a token."""
    spec: dict[str, Any] = {
        "rules": [
            {"to": [{"operation": {"methods": ["GET"], "notPaths": ["/secret*"]}}]},
            {"from": [{"source": {"requestPrincipals": ["https://issuer.example/*"]}}]},
        ]
    }
    deny = {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}]}
    tokens = {"jwtRules": [{"issuer": "https://issuer.example", "jwks": '{"keys": []}'}]}
    named = (("AuthorizationPolicy", "all", spec), ("AuthorizationPolicy", "admin", deny))
    return [
        {
            "apiVersion": "security.istio.io/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": each,
        }
        for kind, name, each in (*named, ("RequestAuthentication", "tokens", tokens))
    ]


def _url(number: int) -> str:
    return f"http://service-{number}.namespace-{number % NAMESPACES}:{port_of(number)}/canary"


def _cold(folder: str, services: int, compiled: str) -> float:
    """The whole command, with the start of Python, and its modules compiled as after an installation."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = ["-m", "mizzen", "why", "GET", _url(services - 1), "--from", _CALLER, "--config", folder]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class _Connected(ServedMesh):
    """A mesh whose proxies have been sent everything before anybody asks, as those connected to a server."""

    def __init__(self, mesh: mizzen.Mesh) -> None:
        super().__init__(mesh)
        self._sent = Translation(mesh)
        for proxy in DeclaredCallers(mesh).all():
            self._sent.snapshot(proxy)
        self._asked: dict[tuple[Proxy, bool], ServedProxy] = {}

    def served(self, proxy: Proxy, *, inbound: bool = False) -> ServedProxy:
        if (proxy, inbound) not in self._asked:
            self._asked[proxy, inbound] = ServedProxy(self._sent, proxy, inbound=inbound)
        return self._asked[proxy, inbound]


def _live(mesh: mizzen.Mesh, services: int) -> tuple[float, float, float]:
    """Milliseconds of an answer about two proxies of which none of their kind is connected, of the first one
    about two that are, and of the next."""
    spent = []
    connected = _Connected(mesh)
    for serving, path in ((ServedMesh(mesh), ""), (connected, ""), (connected, "?next")):
        caller = serving.callers.sidecar(_CALLER)
        began = time.process_time()
        answer: Answer = why(Question.of_request("GET", f"{_url(services - 1)}{path}"), caller, serving)
        spent.append(1000 * (time.process_time() - began))
        assert answer.hops[-1].outcome == "forwarded"
    return spent[0], spent[1], spent[2]


def _mesh_tests(mesh: mizzen.Mesh, services: int) -> tuple[float, float]:
    """Seconds of a file with a test for each service, and tests a second when all proxies are compiled. Each
    is followed through both ends."""
    lines = ["tests:"]
    for number in range(services):
        host = f"service-{number}.namespace-{number % NAMESPACES}"
        lines.append(f"- {{name: to {number}, from: {_CALLER}, request: GET {_url(number)}, ")
        lines.append(f"   expect: {{destination: {{host: {host}}}}}}}")
    began = time.process_time()
    found = read_mesh_tests("\n".join(lines).encode(), "all.mesh-test.yaml")
    under_test = MeshUnderTest(mesh)
    for placed in found.tests:
        result = under_test.run(placed)
        assert result.passed, result
    first = time.process_time() - began
    best = 0.0
    for _ in range(_ROUNDS):
        began = time.process_time()
        for placed in found.tests:
            under_test.run(placed)
        best = max(best, services / (time.process_time() - began))
    return first, best


def _requests(mesh: mizzen.Mesh, services: int) -> float:
    """Simulated requests a second, in turns at the client's sidecar and at the server's with its policies."""
    serving = ServedMesh(mesh)
    served = serving.served(serving.callers.sidecar(_CALLER))
    question = Question.of_request("GET", _url(services - 1), ["x-user: jason", "user-agent: curl"])
    call, _ = first_call(question, served)
    verdict = served.simulator.verdict(call)
    there = onward(verdict, verdict.destinations[0], served, serving.callers)
    assert there.server is not None
    server = serving.served(there.server, inbound=True)
    assert server.simulator.verdict(there.call).policies
    best = 0.0
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_REQUESTS // 2):
            served.simulator.verdict(call)
            server.simulator.verdict(there.call)
        best = max(best, _REQUESTS / (time.process_time() - began))
    return best
