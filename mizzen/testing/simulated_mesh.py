"""A mesh from files that tells without an Envoy where each request would go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import mizzen
from mizzen.config.interception import InterceptionMode
from mizzen.explain.answer_text import answer_text
from mizzen.explain.question import Question
from mizzen.explain.why import why
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh_tests import CallEnd, MeshUnderTest


@dataclass(frozen=True, slots=True)
class CallEnds:
    """How a call ends: one end for each share of such calls. `why` is the answer of `mizzen why`."""

    ends: tuple[CallEnd, ...]
    _mesh: MeshUnderTest
    _question: Question
    _caller: Proxy

    @property
    def one(self) -> CallEnd:
        """The only end. Raises AssertionError, with the steps, if the calls are split."""
        if len(self.ends) != 1:
            raise AssertionError(f"the calls are split\n{self.why}")
        return self.ends[0]

    @property
    def host(self) -> str:
        """The full name of the only destination, empty if there is none."""
        return self.one.host

    @property
    def subset(self) -> str:
        """The subset of the only destination; empty if there is none."""
        return self.one.subset

    @property
    def status(self) -> int | None:
        """The status that a proxy answers with by itself; None if the call arrives or is closed."""
        return self.one.status

    @property
    def location(self) -> str:
        """The target of a redirect; empty if there is none."""
        return self.one.location

    @property
    def shares(self) -> dict[str, float]:
        """The shares by subset, or by host if there is no subset: `{"v1": 0.9, "v2": 0.1}`."""
        found: dict[str, float] = {}
        for end in self.ends:
            name = end.subset or end.host
            found[name] = round(found.get(name, 0.0) + end.share, 9)
        return found

    @property
    def why(self) -> str:
        """The steps of the call, with the lines of the files."""
        return answer_text(why(self._question, self._caller, self._mesh.serving))


class SimulatedMesh:
    """A mesh from files and folders. Raises mizzen.ConfigError if one of their documents is invalid."""

    def __init__(
        self,
        *paths: str | PathLike[str],
        mesh_config: str | PathLike[str] | None = None,
        certificates_served: bool = True,
        interception_mode: InterceptionMode = "REDIRECT",
    ) -> None:
        mesh = mizzen.load(*paths, mesh_config=mesh_config, certificates_served=certificates_served)
        self.under_test = MeshUnderTest(mesh, interception_mode)

    def request(
        self,
        request: str,
        *,
        from_: str = "",
        gateway: str = "",
        headers: Mapping[str, str] | None = None,
        claims: Mapping[str, Any] | None = None,
        http2: bool = False,
        tls: bool = False,
        sni: str = "",
    ) -> CallEnds:
        """Return how a request ends: `GET http://reviews:9080/path`, where GET may be left out.

        `claims` are those of a valid token in the request. `from_` names the workload that calls, or
        `gateway` the Gateway that is called. Raises QuestionError for an invalid request, and
        UnknownCallerError for an unknown caller.
        """
        question = Question.of_line(request, headers, http2=http2, tls=tls, server_name=sni, claims=claims)
        return self._ends(question, from_, gateway)

    def connection(
        self, target: str, *, from_: str = "", gateway: str = "", tls: bool = False, sni: str = ""
    ) -> CallEnds:
        """Return how a connection without HTTP to `HOST:PORT` ends; the rest is as for `request`."""
        return self._ends(Question.of_connection(target, tls=tls, server_name=sni), from_, gateway)

    def _ends(self, question: Question, from_: str, gateway: str) -> CallEnds:
        if bool(from_) == bool(gateway):
            raise ValueError("say who calls: one of from_ and gateway")
        caller = self.under_test.caller(from_, gateway)
        return CallEnds(tuple(self.under_test.ends(question, caller)), self.under_test, question, caller)
