"""From a changed file to the proxies that it concerns: the heart of the running server.

One worker thread does everything that costs time: it types documents, updates the mesh, translates. The event
loop, on which the streams live, only hands the results over, so a large translation does not stall a stream.
The worker does one thing at a time, so nothing in the configuration, the mesh or the translation needs a
lock. A change goes first, then proxies that have come, in short slices: none makes a change wait for long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, TypeVar

import structlog

from mizzen import xds
from mizzen.config import ParsedFile
from mizzen.config.diagnostics import Origin
from mizzen.config.ordered_findings import OrderedFindings
from mizzen.mesh.delta import MeshDelta
from mizzen.mesh.proxy.node import NodeError, Proxy
from mizzen.mesh.rules.token_keys import KeySource, TokenKeys
from mizzen.mesh.snapshot import Mesh
from mizzen.server.analysing import Analysed, Analyst
from mizzen.server.configuration import Configuration, ConfigurationView
from mizzen.server.delivery import SLICE_SECONDS, Delivery
from mizzen.server.former import FormerDocuments, KeptDocument
from mizzen.server.held_changes import HeldChanges
from mizzen.server.identity import IdentityError, check_identity, with_proof
from mizzen.server.key_set_refresh import wanted_sources
from mizzen.server.live_proxy import LiveProxy, Made
from mizzen.server.metrics import Metrics
from mizzen.server.needs import Following, Groups, Translating
from mizzen.server.notices import Notices
from mizzen.server.proxy_certificates import ProxyCertificates, certificate_remark, identity_of
from mizzen.server.proxy_remarks import gateway_remarks
from mizzen.server.refusals import Refusals
from mizzen.server.translation_faults import TranslationFaults
from mizzen.server.worker import Urgency, Worker
from mizzen.translator.translation import Translation

Value = TypeVar("Value")
_Begun = tuple[float, tuple[str, ...], int]
"""When a change was seen that is handed over, some of its documents by name, how many others there are."""

NAMED = 10
"""So many documents of a change are named where people look at it."""

SETTLED_SECONDS = 0.5
"""A change has settled when no other came for so long."""

REST_AFTER_ANALYSIS = 20
"""For so many times as long as it took to look for what documents lack, it is not done again: of a large mesh
that changes all the time it takes a twentieth of one processor."""

FORGET_SECONDS = 10.0
"""So long after a proxy has gone what only it needed is forgotten, if it has not come back."""


class ControlPlane:
    """Keeps the connected proxies at what the configuration says.

    Every proxy is a group of its own for the discovery server. Proxies that no rule can tell apart are given
    snapshots of the same collections, so a thousand of them cost little more than one.

    Args:
        configuration: what the files say; it is used by the worker only.
        translate: makes the translation of a first mesh.
        metrics: where it counts.
        follow: told of every change before it is handed over: when it was seen, some of its documents by
            name, and how many others there are.
        forgotten: called in the worker when much was forgotten that only proxies needed that have gone.
        gives_secrets: whether a peer that proves by no certificate who it is may have Secrets.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        configuration: Configuration,
        translate: Callable[[Mesh], Translating],
        metrics: Metrics,
        follow: Callable[[float, Sequence[str], int], Following],
        *,
        forgotten: Callable[[], None] = lambda: None,
        gives_secrets: Callable[[xds.Peer], bool] = lambda peer: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = configuration
        self._translation = translate(configuration.mesh)
        self._held = HeldChanges(configuration.mesh)
        self._metrics = metrics
        self.told = 0
        """How many times it was found out how the configuration stands."""
        self._follow = follow
        self._forgotten = forgotten
        self._gives_secrets = gives_secrets
        self.certificates: ProxyCertificates | None = None
        self._clock = clock
        self._keep: Callable[[Mapping[str, tuple[KeptDocument, ...]]], None] | None = None
        self._unkept: dict[str, ParsedFile | None] = {}
        self._keeping = False
        self._worker = Worker("mizzen-translate")
        self._analyst = Analyst(self._worker)
        self._preparing = asyncio.Lock()
        self._somebody_left = asyncio.Event()
        self._live: dict[Hashable, LiveProxy] = {}
        self._notices = Notices()
        self.refusals = Refusals(clock)
        self._log = structlog.get_logger("mizzen.server")
        self._configured = configuration.view()
        self._analysed = Analysed(configuration.mesh)
        self._findings = OrderedFindings()
        self._faults = TranslationFaults(metrics)
        self._delivery = Delivery(self._live, self._worker, lambda: self._faults.note(self._translation))
        self._unanalysed = asyncio.Event()
        self._push_to_all = False

    def serve_through(self, discovery: Groups) -> None:
        """Name the server that is given the snapshots."""
        self._delivery.discovery = discovery

    def close(self) -> None:
        """Let the worker end after what it is doing now."""
        self._worker.close()

    def proxy_of(self, key: Hashable) -> Proxy | None:
        """Return the proxy that is known to the discovery server as this group."""
        live = self._live.get(key)
        return live.proxy if live is not None else None

    def current_origin(self, origin: Origin) -> Origin:
        """Return where the document's field stands now that a resource was made from."""
        return self._configuration.mesh.current_origin(origin)

    def key_sources(self) -> dict[KeySource, float]:
        """Return where keys of token issuers are told, each with the seconds that an answer may take."""
        return wanted_sources(self._configuration.mesh.configs("RequestAuthentication"))

    def mesh_remarks(self, key: Hashable) -> tuple[str, ...]:
        """Return what is wrong between a connected proxy and the mesh."""
        proxy = self.proxy_of(key)
        if proxy is None:
            return ()
        fault = self.fault_of(key)
        uncertified = certificate_remark(proxy, self.trust_domain) if self.certificates is not None else ""
        said = tuple(filter(None, (fault, uncertified)))
        return (*said, *gateway_remarks(self._configuration.mesh, proxy))

    def fault_of(self, key: Hashable) -> str:
        """Return why a connected proxy gets no changes any more; empty if it gets them."""
        live = self._live.get(key)
        if live is None or not live.fault:
            return ""
        return (
            f"its translation fails ({live.fault}), so it keeps what it had; report this as a fault of Mizzen"
        )

    async def ask(self, question: Callable[[Callable[[Proxy], Translation], Mesh], Value]) -> Value:
        """Return what `question` finds out in the worker, after all that is more urgent. It is given what a
        proxy is translated by, and the mesh."""
        return await self._in_worker(
            lambda: question(self._translation.of, self._configuration.mesh), urgency=Urgency.LATER
        )

    @property
    def trust_domain(self) -> str:
        """The trust domain of the identities that certificates are issued for."""
        return self.trust_domains[0]

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The trust domains of the mesh, its own first."""
        return tuple(self._configuration.mesh.mesh_config.spiffe_trust_domains)

    @property
    def view(self) -> ConfigurationView:
        """How the configuration stands, with what was found while translating for the proxies of now, and
        what its documents lack of each other."""
        self._collect()
        stands = replace(self._configured, findings=tuple(self._findings.in_order()))
        return stands.with_withheld(self._faults.withheld, self.current_origin)

    def _collect(self) -> None:
        """Bring together what was found wherever something is found."""
        self._findings.replace("configuration", self._configured.findings)
        self._findings.replace("analysis", self._analysed.findings)
        untranslated = [one.diagnostic.current(self.current_origin) for one in self._faults.withheld]
        self._findings.replace("translation", untranslated)
        for key, live in self._live.items():
            found = tuple(one.current(self.current_origin) for one in live.findings)
            self._findings.replace(("proxy", key), found)

    async def _in_worker(
        self, function: Callable[..., Value], *arguments: Any, urgency: Urgency = Urgency.CHANGE
    ) -> Value:
        return await self._worker.do(urgency, function, *arguments)

    # Changes ------------------------------------------------------------------------------------------------

    @property
    def is_holding(self) -> bool:
        """True while a change waits for what else is being saved: call `take` again within HeldChanges.GRACE,
        with no files if none have changed."""
        return self._held.is_holding

    async def take(self, files: Mapping[str, ParsedFile | None], seen: float | None = None) -> None:
        """Take a batch of changed files and bring every connected proxy to what they say.

        `seen` is when the change was noticed, by the clock of this object. A change that leads calls nowhere
        waits for the next ones (`is_holding`). A fault of Mizzen's own is logged and leaves the proxies at
        what they have: it never ends the server.
        """
        seen = self._clock() if seen is None else seen
        self._unkept.update(files)  # also if this is cancelled halfway: `keep_rest` comes after it
        if await self._bring(lambda: self._configuration.apply(files), seen):
            await self._look()
            await self.keep_rest()

    async def take_token_keys(self, keys: TokenKeys) -> None:
        """Bring fetched keys of token issuers to the proxies that need them."""
        if await self._bring(lambda: self._configuration.take_token_keys(keys), self._clock()):
            await self._look()

    async def _bring(self, apply: Callable[[], MeshDelta | None], seen: float) -> bool:
        """Bring every proxy to what the configuration says after `apply`; False if that has to wait."""
        try:
            begun = await self._in_worker(self._apply, apply, seen)
            if self.is_holding:
                return False
            if begun is not None:
                self._unanalysed.set()
                await self._push(begun)
        except Exception:
            self._metrics.translation_failures.inc()
            self._log.exception("a change could not be taken over: a fault of Mizzen, please report it")
        return True

    async def begin(
        self,
        files: Mapping[str, ParsedFile | None],
        former: FormerDocuments | None = None,
        keep: Callable[[Mapping[str, tuple[KeptDocument, ...]]], None] | None = None,
    ) -> None:
        """Take all files, before any proxy has come. Unlike `take` this raises what goes wrong.

        `former` stands in for what the files cannot tell. `keep` is told what they have in force, from
        `keep_from_now` on.
        """
        self._keep = keep
        self._unkept.update(files)
        delta = await self._in_worker(self._configuration.begin, files, former or FormerDocuments())
        if delta is not None and not delta.is_empty:
            await self._in_worker(self._take_over, delta)
            self._unanalysed.set()
        await self._look()
        await self.keep_rest()

    async def keep_from_now(self) -> None:
        """Let what is in force be kept: proxies are let in, and what they lack now they have lost."""
        self._keeping = True
        await self.keep_rest()

    async def keep_rest(self) -> None:
        """Let what was taken and is not kept yet be kept, also what a cancelled `take` left behind."""
        if self._keep is None:
            self._unkept.clear()
        if self._keep is None or not self._keeping or not self._unkept:
            return
        unkept = dict(self._unkept)
        kept = await self._in_worker(self._configuration.kept, unkept)
        self._unkept = {
            name: file
            for name, file in self._unkept.items()
            if name not in unkept or unkept[name] is not file
        }
        self._keep(kept)

    def _apply(self, apply: Callable[[], MeshDelta | None], seen: float) -> _Begun | None:
        """Return the change that is to be handed over now; None if there is none."""
        delta = apply()
        change = self._held.take(self._configuration.mesh, delta, seen, self._clock())
        if change is None:
            return None
        self._take_over(change.delta)
        return change.first, *change.delta.names(NAMED)

    def _take_over(self, delta: MeshDelta) -> None:
        self._metrics.config_changes.inc()
        self._held.served(self._configuration.mesh)
        self._translation.update(self._configuration.mesh, delta)

    async def _push(self, change: _Begun) -> None:
        """Give the proxies that a change concerns their new snapshots."""
        begun = self._clock()
        following = self._follow(*change)
        # A proxy whose first translation is under way gets it from a mesh that has the change already.
        keys = {live.proxy: key for key, live in self._live.items() if live.snapshot is not None}
        concerned = iter(tuple(keys)) if self._push_to_all else self._translation.concerned()
        self._push_to_all = True  # until this has come to its end: who was yielded is not yielded again
        try:
            await self._delivery.in_order(
                filter(None, map(keys.get, concerned)), self._translate_one, following
            )
            self._push_to_all = False
        finally:
            following.done()
        now = self._clock()
        self._metrics.translation_seconds.observe(now - begun)
        self._metrics.push_seconds.observe(now - change[0])

    def _translate_one(self, live: LiveProxy) -> Made | None:
        """Translate for a proxy; None if nothing can be translated for it, which concerns no other proxy."""
        try:
            made = self._translation.translate(live.proxy)
        except Exception as error:
            self._metrics.translation_failures.inc()
            fault = str(error) or type(error).__name__
            if fault != live.fault:
                self._log.exception(
                    "no translation for a proxy: a fault of Mizzen, please report it", proxy=live.proxy.id
                )
            live.fault = fault
            return None
        live.fault = ""
        live.translated, live.findings = made
        return self._certify(live)

    def _certify(self, live: LiveProxy) -> Made | None:
        """Lay the certificates of now over what was translated for a proxy."""
        made, certificates = live.translated, self.certificates
        if made is None:
            return None
        if certificates is not None:
            made = certificates.over(live.proxy, self.trust_domain, made)
        return made, live.findings

    def _translate_first(self, live: LiveProxy) -> Made | None:
        made = self._translate_one(live)
        self._faults.note(self._translation)
        return made

    async def renew_certificates(self) -> bool:
        """Renew certificates that are due, for a slice of time, and give every proxy what it lacks.

        Return whether more is due."""
        certificates = self.certificates
        if certificates is None:
            return False
        domain = self.trust_domain
        used = {identity_of(live.proxy, domain) for live in self._live.values()} - {None}
        more: bool = await self._in_worker(certificates.renew, used, urgency=Urgency.PROXY)
        lacking = [
            key
            for key, live in self._live.items()
            if live.snapshot is not None and certificates.lacks(live.proxy, domain, live.snapshot)
        ]
        await self._delivery.at_once(iter(lacking), self._certify)
        return more

    async def _look(self) -> None:
        """Find out how the configuration stands now, and say what is new about it."""
        self._configured = await self._in_worker(self._configuration.view)
        await self._in_worker(self._follow_lines)
        self._tell()

    def _follow_lines(self) -> None:
        """Let what was found by the last analysis have the lines of now."""
        self._analysed = self._analysed.at(self._configuration.mesh)

    async def keep_analysed(self) -> None:
        """Look, whenever a change has settled, for what documents name and do not find (`mizzen analyze`).

        Never ends. The worker looks for a slice of time and then does what else is asked for, so that a
        change does not wait for it; if one comes, what was looked at is another mesh, and it begins again.
        """
        while True:
            await self._unanalysed.wait()
            self._unanalysed.clear()
            await asyncio.sleep(SETTLED_SECONDS)
            if self._unanalysed.is_set():
                continue
            spent = 0.0
            try:
                mesh, superseded = self._configuration.mesh, self._unanalysed.is_set
                found, spent = await self._analyst.analyse(mesh, superseded)
                self._analysed = self._analysed if found is None else found
                await self._in_worker(self._follow_lines, urgency=Urgency.LATER)
            except Exception:
                self._log.exception("the mesh could not be analysed: a fault of Mizzen, please report it")
            self._tell()
            await asyncio.sleep(spent * REST_AFTER_ANALYSIS)

    def _tell(self) -> None:
        self.told += 1
        self._metrics.count_configuration(self.view, self._findings.counts)
        self._notices.report(self._findings.take())
        self._metrics.profiles.set(self._translation.profiles)

    # What the discovery server asks -------------------------------------------------------------------------

    def group_of(self, node: Any, peer: xds.Peer) -> Hashable:
        """Return the key of the proxy that an `envoy.config.core.v3.Node` describes.

        Two Envoys that give the same id and differ in what they say of themselves have different keys. Raises
        xds.NodeRefused with words for whoever wrote the node, if it describes no proxy, and xds.PeerRefused
        if the peer's certificate or token is for another.
        """
        try:
            proxy = Proxy.from_node(node)
        except NodeError as error:
            self._metrics.streams_refused.inc()
            self.refusals.add(str(error))
            raise xds.NodeRefused(str(error)) from error
        try:
            account = check_identity(proxy, peer, self.trust_domains)
        except IdentityError as error:
            self._metrics.identities_refused.inc()
            self.refusals.add(str(error))
            raise xds.PeerRefused(str(error)) from error
        proxy = with_proof(proxy, account, anyone=self._gives_secrets(peer))
        key = (proxy.node_id, blake2b(repr(proxy).encode(), digest_size=32).hexdigest())
        self._live.setdefault(key, LiveProxy(proxy))
        return key

    async def first_snapshot(self, key: Hashable, _: Any) -> xds.Snapshot:
        """Translate for a proxy that has come."""
        live = self._live[key]
        if not await self._in_worker(self._translation.knows, live.proxy, urgency=Urgency.PROXY):
            async with self._preparing:  # one after the other: the first of a kind does the work for all
                steps = self._translation.prepare(live.proxy)
                await self._worker.do_in_slices(Urgency.PROXY, steps, SLICE_SECONDS)
        made = await self._in_worker(self._translate_first, live, urgency=Urgency.PROXY)
        if made is None:
            raise xds.NodeRefused("the control plane failed to translate for this proxy; its log says why")
        live.snapshot, live.findings = made
        self._metrics.profiles.set(self._translation.profiles)
        told = [one.diagnostic for one in self._faults.withheld]
        for remark in self.mesh_remarks(key):
            self._log.warning(remark, proxy=live.proxy.id)
        if not self._findings.knows((*live.findings, *told)):
            self._tell()
        return live.snapshot

    def forget(self, key: Hashable) -> None:
        """A proxy has been gone for a while."""
        self._live.pop(key, None)
        self._findings.replace(("proxy", key), ())
        self._somebody_left.set()

    async def keep_forgetting(self) -> None:
        """Forget, some time after a proxy has gone, what was made for it alone. Never ends."""
        while True:
            await self._somebody_left.wait()
            await asyncio.sleep(FORGET_SECONDS)
            self._somebody_left.clear()
            try:
                before = self._translation.profiles
                living = tuple(self._live.values())
                steps = self._translation.forget_unused([live.proxy for live in living])
                await self._worker.do_in_slices(Urgency.LATER, steps, SLICE_SECONDS)
                if self._translation.profiles < before:
                    await self._in_worker(self._forgotten, urgency=Urgency.LATER)
            except Exception:
                self._log.exception("what nobody needs stays in memory: a fault of Mizzen, please report it")
            self._metrics.profiles.set(self._translation.profiles)
