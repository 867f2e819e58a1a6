"""Runs tests on a mesh: simulates each call through both proxies, with the resources that they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mizzen.config.interception import InterceptionMode
from mizzen.explain.answer import Answer
from mizzen.explain.callers import UnknownCallerError
from mizzen.explain.first_call import first_call
from mizzen.explain.hop import conclusion
from mizzen.explain.near_names import did_you_mean
from mizzen.explain.onward import Onward, onward, past_the_proxy
from mizzen.explain.question import Question
from mizzen.explain.route_words import short_host
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.why import ServedMesh, why
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.mesh_tests.ends import CallEnd, Ending
from mizzen.mesh_tests.judgement import Names, destination_hosts, expectation_text, judge
from mizzen.mesh_tests.model import Expectation
from mizzen.mesh_tests.reading import PlacedTest
from mizzen.simulate import Call, Outcome, Verdict
from mizzen.simulate.verdict import DENIALS, Destination
from mizzen.translator.base.cluster_names import (
    BLACK_HOLE_CLUSTER,
    INBOUND_PASSTHROUGH_CLUSTER,
    PASSTHROUGH_CLUSTER,
    parse_cluster_name,
)

_CLUSTERS: Final = (BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER)
"""Destinations that are no services."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a test. `wrong` says in one sentence what was not as expected; empty if the test passed.

    `answer` is what `mizzen why` says of the call, followed into the share that is wrong; None for a test
    that passed. `error` says that the test itself cannot be run, such as for an unknown caller;
    `wrong` is then empty. `differs` says how real Envoys and the simulator differ, where both were asked.
    """

    placed: PlacedTest
    expected: str = ""
    wrong: str = ""
    error: str = ""
    answer: Answer | None = None
    differs: str = ""

    @property
    def passed(self) -> bool:
        """True if the call ended as expected."""
        return not (self.wrong or self.error)


class MeshUnderTest:
    """A mesh from files. The resources of a proxy are translated and compiled once, when a test needs them.

    `interception_mode` is that of sidecars whose documents name none.
    """

    def __init__(self, mesh: Mesh, interception_mode: InterceptionMode = "REDIRECT") -> None:
        self.serving = ServedMesh(mesh, interception_mode)
        self.settings = mesh.settings
        self._hosts = frozenset(each.hostname for each in mesh.registry.services.values())
        self._callers: dict[tuple[str, str], Proxy] = {}

    def run(self, placed: PlacedTest) -> Result:
        """Simulate the call of a test, and compare its end with the expectation."""
        test = placed.test
        try:
            caller = self.caller(test.from_, test.gateway)
        except UnknownCallerError as error:
            return Result(placed, error=str(error))
        names = Names(caller.namespace, self.settings.domain)
        ends = tuple(self.ends(placed.question, caller))
        wrong = judge(test.expect, ends, names)
        if wrong is None:
            return Result(placed)
        share = ends.index(wrong.end) if wrong.end is not None else None
        answer = why(placed.question, caller, self.serving, share)
        return Result(placed, self.expected(test.expect, names), wrong.said, answer=answer)

    def expected(self, expect: Expectation, names: Names) -> str:
        """Return in words what a test expects, and which of its destinations no service has the name of."""
        said = [expectation_text(expect)]
        for host in destination_hosts(expect):
            if not any(names.mean(host, each) for each in (*self._hosts, *_CLUSTERS)):
                said.append(f'no service is named "{host}"')
                said.append(did_you_mean(host, map(short_host, self._hosts)))
        return "; ".join(filter(None, said))

    def caller(self, from_: str, gateway: str = "") -> Proxy:
        """Return the sidecar of the workload `from_`, or a proxy of a Gateway. Raises UnknownCallerError."""
        key = (from_, gateway)
        if key not in self._callers:
            callers = self.serving.callers
            found = callers.gateway(gateway) if gateway else callers.sidecar(from_)
            self._callers[key] = found
        return self._callers[key]

    def ends(self, question: Question, caller: Proxy) -> Iterator[CallEnd]:
        """Yield how the call ends: one end for each share of such calls, in the order of the weights."""
        served = self.serving.served(caller)
        call, _ = first_call(question, served)
        verdict = served.simulator.verdict(call)
        if verdict.outcome is not Outcome.FORWARDED:
            yield _stopped(verdict, 1.0, None)
            return
        for destination in verdict.destinations:
            yield self._behind(verdict, destination, served)

    def _behind(self, verdict: Verdict, destination: Destination, served: ServedProxy) -> CallEnd:
        """Return how calls end after the first proxy has sent them to one of its destinations."""
        if destination.cluster.failure is not None:
            failure, alone = destination.cluster.failure, (destination,)
            failed = Verdict(verdict.call, Outcome.FAILED, failure, _status(verdict), destinations=alone)
            return _stopped(failed, destination.share, destination)
        next_one: Onward = onward(verdict, destination, served, self.serving.callers)
        if next_one.server is None:
            return _arrived(next_one.call, destination)
        server = self.serving.served(next_one.server, inbound=True)
        if past_the_proxy(server, next_one.call):
            return _arrived(next_one.call, destination)
        there = server.simulator.verdict(next_one.call)
        if there.outcome is not Outcome.FORWARDED:
            return _stopped(there, destination.share, destination)
        if not there.destinations:
            return _arrived(next_one.call, destination)
        behind = onward(there, there.destinations[0], server, self.serving.callers)
        return _arrived(behind.call, destination)


def _status(verdict: Verdict) -> int | None:
    return 503 if verdict.call.protocol.is_http and verdict.http_filters else None


def _stopped(verdict: Verdict, share: float, destination: Destination | None) -> CallEnd:
    """Return the end of calls that a proxy does not forward."""
    if verdict.outcome is Outcome.UNKNOWN:
        ending = Ending.UNKNOWN
    elif verdict.failure in DENIALS:
        ending = Ending.DENIED
    elif verdict.status is None:
        ending = Ending.CLOSED
    else:
        ending = Ending.ANSWERED
    host, subset, port = _parts(destination) if destination is not None else ("", "", 0)
    return CallEnd(
        ending,
        share,
        host,
        subset,
        port,
        status=verdict.status,
        location=verdict.location,
        said=conclusion(verdict),
    )


def _arrived(call: Call, destination: Destination) -> CallEnd:
    host, subset, port = _parts(destination)
    return CallEnd(
        Ending.ARRIVES,
        destination.share,
        host,
        subset,
        port,
        authority=call.authority,
        path=call.path,
        headers=call.headers,
    )


def _parts(destination: Destination) -> tuple[str, str, int]:
    """Return host, subset and port of a destination; PassthroughCluster and its like count as hosts."""
    parsed = parse_cluster_name(destination.cluster.name)
    if parsed is None:
        return destination.cluster.name, "", 0
    return parsed.hostname, parsed.subset, parsed.port
