"""Tests of a mesh (`*.mesh-test.yaml`) with real Envoys in place of the simulator.

    async with EnvoyMesh(MeshUnderTest(mesh), directory) as envoys:
        result = await envoys.run(placed)

Each proxy on the way of a call is an Envoy with all that it would be sent. There is no network between two
proxies: what the first forwards is sent unchanged to the second. A certificate authority that lives as long
as the tests gives every proxy its certificate.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mizzen.config.group_kinds import REQUEST_AUTHENTICATION
from mizzen.config.models.request_authentication import JWTRule
from mizzen.demo.envoy_process import find_envoy
from mizzen.demo.errors import DemoError
from mizzen.explain.callers import UnknownCallerError
from mizzen.explain.first_call import first_call
from mizzen.explain.onward import onward, past_the_proxy
from mizzen.explain.question import Question
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.why import why
from mizzen.identity.authority import new_root, pem
from mizzen.identity.spiffe_id import SpiffeId
from mizzen.identity.workload_certificate import issue
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh_tests import CallEnd, Ending, MeshUnderTest, PlacedTest, Result, judge
from mizzen.mesh_tests.judgement import Names
from mizzen.simulate import Call, Verdict
from mizzen.testing.envoy_alone import EnvoyAlone
from mizzen.testing.envoy_calls import Calls, MadeCall, Upstream, fake_upstream
from mizzen.testing.own_network import own_network
from mizzen.testing.vouched_tokens import VouchedTokens
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.translator.tls.workload_secrets import trust_bundle, workload_secret
from mizzen.translator.translate_result import MESSAGES

CALLS: Final = 1000
"""How often a call that is split is made."""

TOLERANCE: Final = 0.08
"""How far a counted share may be from its weight: five times the deviation of 1,000 calls."""

_FEW: Final = 20
"""How often any other call is made: all of them must end alike."""

_RUNNING: Final = 8
"""Maximum of Envoys that run at once; the one that was called longest ago is stopped first."""

_DENIED: Final = ("rbac_access_denied", "jwt_authn_access_denied", "ext_authz_denied")
_OF_THE_HOP: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "x-call"})


@dataclass(frozen=True, slots=True)
class _Running:
    """An Envoy, and the means to call it."""

    envoy: EnvoyAlone
    calls: Calls


class EnvoyMesh:
    """Runs tests of one mesh. Starts Envoys when tests need them, and stops them all
    at the end of its block."""

    def __init__(self, under_test: MeshUnderTest, directory: Path) -> None:
        self._under_test = under_test
        self._serving = under_test.serving
        self._directory = directory
        self._root = new_root(datetime.now(UTC))
        self._certificates: dict[str, Path] = {}
        self._tokens = VouchedTokens()
        self._running: OrderedDict[Proxy, _Running] = OrderedDict()
        self._started = 0
        self._exits = AsyncExitStack()
        self._upstream: Upstream | None = None

    async def __aenter__(self) -> Self:
        self._upstream = await self._exits.enter_async_context(fake_upstream())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            await self._running.popitem()[1].envoy.stop()
        await self._exits.aclose()

    async def run(self, placed: PlacedTest) -> Result:
        """Make the calls of a test, and compare how they end with the expectation and with the simulator.

        A result with an error means that an Envoy does not start or answer.
        """
        under_test, test = self._under_test, placed.test
        try:
            caller = under_test.caller(test.from_, test.gateway)
            simulated = tuple(under_test.ends(placed.question, caller))
            times = CALLS if len(simulated) > 1 or len(test.expect.route) > 1 else _FEW
            ends = await self._ends(placed.question, caller, times)
        except UnknownCallerError as error:
            return Result(placed, error=str(error))
        except (DemoError, OSError, AssertionError) as error:
            return Result(placed, error=f"the calls cannot be made with Envoy: {error}")
        differs = difference(simulated, ends)
        names = Names(caller.namespace, under_test.settings.domain)
        wrong = judge(test.expect, ends, names, TOLERANCE)
        if wrong is None:
            return Result(placed, differs=differs)
        answer = why(placed.question, caller, self._serving)
        expected = under_test.expected(test.expect, names)
        return Result(placed, expected, wrong.said, answer=answer, differs=differs)

    async def _ends(self, question: Question, caller: Proxy, times: int) -> list[CallEnd]:
        served = self._serving.served(caller)
        call, _ = first_call(question, served)
        verdict = served.simulator.verdict(call)
        call = self._tokens.bring(call, _token_rules(served))
        first = await self._envoy(caller)
        call = first.envoy.as_it_can_be_made(call)
        if not first.envoy.listens(call):
            return [CallEnd(Ending.CLOSED, said=f"nothing listens at {call.address}:{call.port}")]
        alike: dict[tuple[object, ...], list[MadeCall]] = {}
        for each in await first.calls.make([call] * times):
            alike.setdefault(_how(each), []).append(each)
        return [await self._behind(made[0], len(made) / times, verdict, served) for made in alike.values()]

    async def _behind(self, made: MadeCall, share: float, verdict: Verdict, served: ServedProxy) -> CallEnd:
        """Continue a call at the proxy in front of its destination, if there is one."""
        cluster = str(made.entry["cluster"])
        chosen = next((each for each in verdict.destinations if each.cluster.name == cluster), None)
        if not _came_out(made) or chosen is None:
            return call_end(made, cluster, share)
        next_one = onward(verdict, chosen, served, self._serving.callers)
        if next_one.server is None:
            return call_end(made, cluster, share)
        if past_the_proxy(self._serving.served(next_one.server, inbound=True), next_one.call):
            return call_end(made, cluster, share)
        there = await self._envoy(next_one.server)
        call = _as_it_came_out(next_one.call, made)
        if not there.envoy.listens(call):
            said = f"{next_one.server.id} does not listen at {call.address}:{call.port}"
            return replace(call_end(made, cluster, share), ending=Ending.CLOSED, said=said)
        [arriving] = await there.calls.make([call])
        return call_end(arriving, cluster, share)

    async def _envoy(self, proxy: Proxy) -> _Running:
        found = self._running.pop(proxy, None)
        if found is None:
            while len(self._running) >= _RUNNING:
                await self._running.popitem(last=False)[1].envoy.stop()
            found = await self._start(proxy)
        self._running[proxy] = found
        return found

    async def _start(self, proxy: Proxy) -> _Running:
        assert self._upstream is not None
        self._started += 1
        directory = self._directory / f"envoy-{self._started}"
        directory.mkdir()
        account = proxy.service_account or "default"
        name = self._under_test.settings.spiffe_identity(proxy.namespace, account)
        issued = issue(self._root, SpiffeId.parse(name), datetime.now(UTC))
        own = self._certificates[name] = directory / "certificate.pem"
        own.touch(mode=0o600)
        own.write_bytes(issued.certificate_chain + issued.private_key)
        certificate = workload_secret(issued.certificate_chain, issued.private_key)
        secrets = (certificate, trust_bundle(pem([self._root.certificate])))
        resources = self._serving.resources(proxy)
        self._tokens.vouch(resources.listeners)
        if self._serving.served(proxy).mesh.has_certificate(proxy):
            resources.secrets.extend(MESSAGES["secrets"].FromString(each.value) for each in secrets)
        envoy = await EnvoyAlone.start(resources, self._upstream.port, directory, self._certificates)
        return _Running(envoy, Calls(envoy, self._upstream))


def _token_rules(served: ServedProxy) -> Iterator[JWTRule]:
    for config in served.mesh.configs(REQUEST_AUTHENTICATION):
        yield from config.spec.jwt_rules


def run_with_envoys(
    under_test: MeshUnderTest, tests: Iterable[PlacedTest], tell: Callable[[Result], None]
) -> None:
    """Run tests of one mesh, and pass each result to `tell` as it comes. Raises
    DemoError if there is no Envoy."""

    async def run(directory: str) -> None:
        async with EnvoyMesh(under_test, Path(directory)) as envoys:
            for placed in tests:
                tell(await envoys.run(placed))

    find_envoy()
    with tempfile.TemporaryDirectory(prefix="mizzen-test-") as directory, own_network():
        asyncio.run(run(directory))


def difference(simulated: Sequence[CallEnd], ends: Sequence[CallEnd]) -> str:
    """Return in one sentence how the simulator and real Envoys differ; empty if they do not. What the
    simulator cannot judge is no difference."""
    if any(end.ending is Ending.UNKNOWN for end in simulated):
        return ""
    said, seen = _shares(simulated), _shares(ends)
    if all(abs(said.get(key, 0.0) - seen.get(key, 0.0)) <= TOLERANCE for key in said | seen):
        return ""
    return f"the simulator says that {_told(simulated)}; with Envoy {_told(ends)}"


def _shares(ends: Iterable[CallEnd]) -> dict[tuple[object, ...], float]:
    found: dict[tuple[object, ...], float] = {}
    for end in ends:
        arriving = (end.host, end.subset, end.port, end.authority, end.path)
        key = arriving if end.ending is Ending.ARRIVES else (end.ending, end.status, end.location)
        found[key] = found.get(key, 0.0) + end.share
    return found


def _told(ends: Sequence[CallEnd]) -> str:
    many = len(ends) > 1
    return " and ".join(f"{100 * end.share:.3g} %: {end.told}" if many else end.told for end in ends)


def _came_out(made: MadeCall) -> bool:
    """Return True if the Envoy forwarded the call; a connection without HTTP has an upstream then."""
    if made.entry["kind"] == "request":
        return made.upstream is not None
    # A policy may close a connection after its upstream was connected.
    return made.entry["upstream"] is not None and not _is_denied(made.entry)


def _how(made: MadeCall) -> tuple[object, ...]:
    status = None if _came_out(made) else made.entry["status"]
    return _came_out(made), made.entry["cluster"], status, made.entry["location"]


def _as_it_came_out(call: Call, made: MadeCall) -> Call:
    if made.upstream is None:
        return call
    headers = [each for each in made.upstream["headers"].items() if each[0].lower() not in _OF_THE_HOP]
    return replace(
        call,
        authority=made.upstream["authority"],
        path=made.upstream["target"],
        headers=tuple(headers),
    )


def call_end(made: MadeCall, cluster: str, share: float) -> CallEnd:
    """Return how a call ended that one of the Envoys refused, answered or forwarded."""
    parsed = parse_cluster_name(cluster)
    host, subset, port = (
        (parsed.hostname, parsed.subset, parsed.port) if parsed is not None else (cluster, "", 0)
    )
    if _came_out(made):
        seen: Any = made.upstream or {
            "authority": made.call.authority,
            "target": made.call.path,
            "headers": {},
        }
        headers = tuple(seen["headers"].items())
        return CallEnd(
            Ending.ARRIVES,
            share,
            host,
            subset,
            port,
            authority=seen["authority"],
            path=seen["target"],
            headers=headers,
        )
    entry = made.entry
    if cluster == "None":
        host, subset, port = "", "", 0
    status = entry["status"] if entry["kind"] == "request" and entry["status"] else None
    why_not = entry["details"] or entry["termination"] or entry["handshake"] or "no filter chain took it"
    said = f"a proxy answers {status}" if status is not None else "the connection is closed"
    return CallEnd(
        _ending(entry, status),
        share,
        host,
        subset,
        port,
        status=status,
        location=entry["location"] or "",
        said=f"{said} ({why_not})",
    )


def _ending(entry: Any, status: int | None) -> Ending:
    if _is_denied(entry) or "CERTIFICATE" in str(entry["handshake"]):
        return Ending.DENIED
    return Ending.CLOSED if status is None else Ending.ANSWERED


def _is_denied(entry: Any) -> bool:
    reasons = f"{entry['details']} {entry['termination']}"
    return any(each in reasons for each in _DENIED)
