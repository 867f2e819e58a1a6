"""(n) What a question costs: `mizzen why` of files and of a server, mesh tests, simulated requests.

The namespaces have policies and token rules, so that each call is also judged.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mizzen
from benchmarks.documents import NAMESPACES, Documents, port_of, text, write
from mizzen.explain import Answer, Question, ServedMesh, why
from mizzen.explain.first_call import first_call
from mizzen.explain.onward import onward
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
    live_first: float
    live_next: float
    tests: float
    tests_a_second: float
    requests_a_second: float


def measure(services: int = SERVICES) -> Asked:
    """Ask in a mesh of so many services."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), services)
        for number in range(NAMESPACES):
            (Path(folder) / f"policies-{number}.yaml").write_bytes(text(_policies(f"namespace-{number}")))
        cold = min(_cold(folder, services) for _ in range(2))
        mesh = mizzen.load(folder)
        live = [_live(mesh, services) for _ in range(_ROUNDS)]
        first, again = _mesh_tests(mesh, services)
        requests = _requests(mesh, services)
    return Asked(cold, min(each[0] for each in live), min(each[1] for each in live), first, again, requests)


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


def _cold(folder: str, services: int) -> float:
    """The whole command, with the start of Python."""
    command = ["-m", "mizzen", "why", "GET", _url(services - 1), "--from", _CALLER, "--config", folder]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class _Served(ServedMesh):
    """A mesh whose proxies have been sent everything before anybody asks, as on a server."""

    def __init__(self, mesh: mizzen.Mesh, translation: Translation) -> None:
        super().__init__(mesh)
        self._translation = translation


def _live(mesh: mizzen.Mesh, services: int) -> tuple[float, float]:
    """Milliseconds of the first answer about two connected proxies, and of the next."""
    translation = Translation(mesh)
    serving = _Served(mesh, translation)
    caller = serving.callers.sidecar(_CALLER)
    for proxy in (caller, serving.callers.sidecar(f"service-{services - 1}")):
        translation.snapshot(proxy)
    spent = []
    for path in ("", "?next"):
        began = time.process_time()
        answer: Answer = why(Question.of_request("GET", f"{_url(services - 1)}{path}"), caller, serving)
        spent.append(1000 * (time.process_time() - began))
        assert answer.hops[-1].outcome == "forwarded"
    return spent[0], spent[1]


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
