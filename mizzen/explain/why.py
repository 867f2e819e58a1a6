"""Where a call goes, and which lines say so: from the client's proxy to the server's.

mesh = mizzen.load("mesh/")
question = Question.of_request("GET", "http://reviews:9080/api", ["end-user: jason"])
caller = DeclaredCallers(mesh).sidecar("productpage-v1.default")
answer = why(question, caller, ServedMesh(mesh))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from mizzen.config.interception import InterceptionMode
from mizzen.explain.answer import Answer, Hop
from mizzen.explain.callers import NO_WORKLOAD, Callers, DeclaredCallers
from mizzen.explain.first_call import first_call
from mizzen.explain.hop import Refused, hop
from mizzen.explain.onward import onward, past_the_proxy
from mizzen.explain.question import Question
from mizzen.explain.served_proxy import ServedProxy
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.simulate import Outcome, Verdict
from mizzen.simulate.verdict import Destination
from mizzen.translator.on_demand import TranslationOnDemand
from mizzen.translator.translate_result import TYPE_URLS, Resources
from mizzen.translator.translation import Translation


class Serving(Protocol):
    """Gives proxies, and what each is sent."""

    @property
    def callers(self) -> Callers:
        """Finds proxies by name and address."""

    def served(self, proxy: Proxy, *, inbound: bool = False) -> ServedProxy:
        """Return what a proxy is sent; with `inbound`, for calls that come to its workload."""

    def refused(self, proxy: Proxy, type_url: str, name: str) -> str:
        """Return Envoy's error for a rejected resource; empty if Envoy accepted it or is not connected."""


class ServedMesh:
    """A mesh from files, with the proxies that its documents imply. No Envoy takes part.

    `interception_mode` is that of sidecars whose documents name none.
    """

    def __init__(self, mesh: Mesh, interception_mode: InterceptionMode = "REDIRECT") -> None:
        self.callers: Callers = DeclaredCallers(mesh, interception_mode=interception_mode)
        self._translation = Translation(mesh)
        self._on_demand = TranslationOnDemand(self._translation)
        self._served: dict[tuple[Proxy, bool], ServedProxy] = {}

    def served(self, proxy: Proxy, *, inbound: bool = False) -> ServedProxy:
        """Return what a proxy is sent; with `inbound`, for calls that come to its workload."""
        if (proxy, inbound) not in self._served:
            self._served[proxy, inbound] = ServedProxy(self._on_demand, proxy, inbound=inbound)
        return self._served[proxy, inbound]

    def resources(self, proxy: Proxy) -> Resources:
        """Return all that a proxy is sent, secrets included."""
        snapshot = self._translation.snapshot(proxy)
        return Resources.decoded({url: snapshot.collection(url).resources for url in TYPE_URLS.values()})

    def refused(self, proxy: Proxy, type_url: str, name: str) -> str:
        """Return an empty text: no Envoy takes part."""
        return ""


def why(question: Question, caller: Proxy, serving: Serving, share: int | None = None) -> Answer:
    """Return where a call goes: a call of `caller`'s application, or a call that arrives at the gateway
    `caller`.

    After the first proxy, one share of the calls is followed to the proxy of its first endpoint: the share
    with the index `share` among the destinations, or by default the largest.
    """
    served = serving.served(caller)
    call, assumed = first_call(question, served)
    notes = list(assumed)
    side = "gateway" if caller.type == "router" else "client"
    first, verdict = hop(side, served, call, _refused(serving, caller))
    hops: list[Hop] = [first]
    if verdict.outcome in (Outcome.FORWARDED, Outcome.UNKNOWN) and verdict.destinations:
        largest = max(verdict.destinations, key=lambda each: each.share)
        destination = verdict.destinations[share] if share is not None else largest
        notes += _follow(verdict, destination, served, serving, hops)
    notes += _assumed_identity(caller, hops)
    return Answer(str(question), caller.id, question.headers, tuple(hops), tuple(notes))


def _assumed_identity(caller: Proxy, hops: Iterable[Hop]) -> Iterator[str]:
    """Yield what is assumed about the caller's identity, if that may decide."""
    if caller.type == "router" and caller.ip_addresses[0] == NO_WORKLOAD:
        yield (
            f"no document declares a workload for this gateway: it is assumed to be in namespace "
            f"{caller.namespace}, with the service account {caller.account}"
        )
    elif not caller.service_account and any(_asks_for_identity(each) for each in hops):
        yield f"nothing says which service account {caller.id} has: {caller.account} is assumed"


def _asks_for_identity(hop: Hop) -> bool:
    return hop.side == "server" and any(step.kind == "policy" for step in hop.steps)


def _follow(
    verdict: Verdict, destination: Destination, served: ServedProxy, serving: Serving, hops: list[Hop]
) -> Iterable[str]:
    """Add the server's side to `hops`; return notes about where the call cannot be followed."""
    next_one = onward(verdict, destination, served, serving.callers)
    if next_one.server is None:
        return (next_one.note,) if next_one.note else ()
    server, there = next_one.server, serving.served(next_one.server, inbound=True)
    past = past_the_proxy(there, next_one.call)
    if past:
        return (past,)
    made, _ = hop("server", there, next_one.call, _refused(serving, server))
    hops.append(made)
    return ()


def _refused(serving: Serving, proxy: Proxy) -> Refused:
    return lambda type_url, name: serving.refused(proxy, type_url, name)
