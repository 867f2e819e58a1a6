"""From a changed file to the proxies that it concerns: the heart of the running server.

One worker thread does all slow work: it types documents, updates the mesh, translates. The event loop, which
serves the streams, only hands over the results, so a large translation does not stall a stream. The worker
does one thing at a time, so the configuration, the mesh and the translation need no locks. Changes go first,
then new proxies, in short slices, so that no change waits for long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import structlog

from mizzen import xds
from mizzen.config import ParsedFile
from mizzen.config.diagnostics import Origin
from mizzen.config.group_kinds import REQUEST_AUTHENTICATION
from mizzen.config.ordered_diagnostics import OrderedDiagnostics
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.proxy.node import NodeError, Proxy
from mizzen.mesh.rules.token_keys import KeySource, TokenKeys
from mizzen.mesh.snapshot import Mesh
from mizzen.server.analysing import Analysed, Analyst
from mizzen.server.configuration import Configuration, ConfigurationView
from mizzen.server.delayed_changes import DelayedChanges
from mizzen.server.delivery import SLICE_SECONDS, Delivery
from mizzen.server.diagnostic_log import DiagnosticLog
from mizzen.server.former import FormerDocuments
from mizzen.server.identity import IdentityError, check_identity, with_proof
from mizzen.server.key_set_refresh import wanted_sources
from mizzen.server.live_proxy import LiveProxy, Made
from mizzen.server.metrics import Metrics
from mizzen.server.needs import Groups, PushTracker, Translating
from mizzen.server.proxy_certificates import ProxyCertificates, certificate_warning, identity_of
from mizzen.server.proxy_warnings import gateway_warnings, service_account_warning
from mizzen.server.refused_proxies import RefusedProxies
from mizzen.server.saving import Documents, Saving
from mizzen.server.translation_faults import TranslationFaults
from mizzen.server.worker import Urgency, Worker
from mizzen.translator.translation import Translation

Value = TypeVar("Value")
_Begun = tuple[float, tuple[str, ...], int]
"""A change that is handed over: when it was seen, names of some of its documents, the number of the rest."""

NAMED = 10
"""Most documents of a change that are shown by name."""

SETTLED_SECONDS = 0.5
"""Quiet time, in seconds, after which a change counts as settled."""

REST_AFTER_ANALYSIS = 20
"""Rest after an analysis, as a multiple of its duration: in a large mesh that changes all the time the
analysis then takes a twentieth of one processor."""

FORGET_SECONDS = 10.0
"""Seconds after a proxy has gone until its own data is forgotten, unless it comes back."""


class ControlPlane:
    """Keeps the connected proxies in line with the configuration.

    Every proxy is a group of its own for the discovery server. Proxies that no rule can tell apart get
    snapshots of the same collections, so a thousand of them cost little more than one.

    Args:
        configuration: the configuration from the files; only the worker uses it.
        translate: makes the translation for the first mesh.
        metrics: the metrics to update.
        track: makes the tracker of a push, from the time when the change was seen, names of some of its
            documents, and the number of the rest.
        settled: called in the worker when something was made that will live for a while.
        forgotten: called in the worker when much data of proxies that have gone was forgotten.
        gives_secrets: returns True if a peer without a certificate may have Secrets.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        configuration: Configuration,
        translate: Callable[[Mesh], Translating],
        metrics: Metrics,
        track: Callable[[float, Sequence[str], int], PushTracker],
        *,
        settled: Callable[[], None] = lambda: None,
        forgotten: Callable[[], None] = lambda: None,
        gives_secrets: Callable[[xds.Peer], bool] = lambda peer: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = configuration
        self._translation = translate(configuration.mesh)
        self.faults = configuration.faults
        self._delayed = DelayedChanges(configuration.mesh, self.faults)
        self._metrics = metrics
        self.revision = 0
        """Number of reports about the configuration so far."""
        self._track = track
        self._settled = settled
        self._forgotten = forgotten
        self._gives_secrets = gives_secrets
        self.certificates: ProxyCertificates | None = None
        self._clock = clock
        self._worker = Worker("mizzen-translate")
        self.saving = Saving(partial(self._in_worker, configuration.valid_documents))
        self._analyst = Analyst(self._worker, self.faults)
        self._preparing = asyncio.Lock()
        self._proxy_left = asyncio.Event()
        self._live: dict[Hashable, LiveProxy] = {}
        self._keys: dict[Proxy, Hashable] = {}
        self._diagnostic_log = DiagnosticLog()
        self.refused_proxies = RefusedProxies(clock)
        self._log = structlog.get_logger("mizzen.server")
        self._configured = configuration.view()
        self._analysed = Analysed(configuration.mesh)
        self._diagnostics = OrderedDiagnostics()
        self._untranslated = TranslationFaults(self.faults)
        self._delivery = Delivery(
            self._live, self._worker, lambda: self._untranslated.note(self._translation)
        )
        self._unanalysed = asyncio.Event()
        self._noted = configuration.mesh
        self._push_to_all = False

    def serve_through(self, discovery: Groups) -> None:
        """Set the server that receives the snapshots."""
        self._delivery.discovery = discovery

    def close(self) -> None:
        """Let the worker end after its current work."""
        self._worker.close()

    def proxy_of(self, key: Hashable) -> Proxy | None:
        """Return the proxy of a group of the discovery server; None if there is none."""
        live = self._live.get(key)
        return live.proxy if live is not None else None

    def current_origin(self, origin: Origin) -> Origin:
        """Return the current line of an origin: a resource has the lines of the time when it was made."""
        return self._configuration.mesh.current_origin(origin)

    def key_sources(self) -> dict[KeySource, float]:
        """Return the sources of token issuers' keys, each with the longest time of an answer in seconds."""
        return wanted_sources(self._configuration.mesh.configs(REQUEST_AUTHENTICATION))

    def mesh_warnings(self, key: Hashable) -> tuple[str, ...]:
        """Return the warnings about a connected proxy in this mesh."""
        proxy = self.proxy_of(key)
        if proxy is None:
            return ()
        mesh = self._configuration.mesh
        said = [self.fault_of(key)]
        if self.certificates is not None:
            said += [certificate_warning(proxy, self.trust_domain), service_account_warning(mesh, proxy)]
        return (*filter(None, said), *gateway_warnings(mesh, proxy))

    def fault_of(self, key: Hashable) -> str:
        """Return why a connected proxy gets no more changes; empty if it gets them."""
        live = self._live.get(key)
        if live is None or not live.fault:
            return ""
        return (
            f"its translation fails ({live.fault}), so it keeps what it had; report this as a fault of Mizzen"
        )

    async def ask(self, question: Callable[[Callable[[Proxy], Translation], Mesh], Value]) -> Value:
        """Call `question` in the worker, after all more urgent work, and return its result. Its arguments are
        a function that returns the translation of a proxy, and the mesh."""
        return await self._in_worker(
            lambda: question(self._translation.of, self._configuration.mesh), urgency=Urgency.LATER
        )

    @property
    def trust_domain(self) -> str:
        """The trust domain of issued certificates."""
        return self.trust_domains[0]

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The trust domains of the mesh, its own first."""
        return tuple(self._configuration.mesh.mesh_config.spiffe_trust_domains)

    @property
    def view(self) -> ConfigurationView:
        """The state of the configuration, with the diagnostics of the analysis and of the translations for
        the connected proxies."""
        self._collect()
        stands = replace(self._configured, diagnostics=tuple(self._diagnostics.in_order()))
        return self._with_withheld(stands)

    def _with_withheld(self, view: ConfigurationView) -> ConfigurationView:
        return view.with_withheld(self._untranslated.withheld, self.current_origin)

    def _collect(self) -> None:
        """Collect the diagnostics of all sources."""
        self._diagnostics.replace("configuration", self._configured.diagnostics)
        self._diagnostics.replace("analysis", self._analysed.shown(self._configured.refused))
        untranslated = [one.diagnostic.current(self.current_origin) for one in self._untranslated.withheld]
        self._diagnostics.replace("translation", untranslated)
        # Most proxies share the same tuple: it counts once.
        shared = {id(each): each for live in self._live.values() if (each := live.diagnostics)}
        translated = [one.current(self.current_origin) for each in shared.values() for one in each]
        self._diagnostics.replace("proxies", translated)

    async def _in_worker(
        self, function: Callable[..., Value], *arguments: Any, urgency: Urgency = Urgency.CHANGE
    ) -> Value:
        return await self._worker.do(urgency, function, *arguments)

    # Changes ------------------------------------------------------------------------------------------------

    @property
    def is_delaying(self) -> bool:
        """True while a change waits for further saves: call `take` again within DelayedChanges.GRACE, with no
        files if none have changed."""
        return self._delayed.is_delaying

    async def take(self, files: Mapping[str, ParsedFile | None], seen: float | None = None) -> None:
        """Apply a batch of changed files and update every connected proxy.

        `seen` is when the change was noticed, by the clock of this object. A change that makes calls fail
        waits for the next ones (`is_delaying`). A fault of Mizzen's own is logged, and the proxies keep what
        they have: it never ends the server.
        """
        seen = self._clock() if seen is None else seen
        self.saving.note(files)  # first: if this task is cancelled, they are saved at the end
        if await self._bring(lambda: self._configuration.apply(files), seen):
            await self._refresh_view()
            await self.saving.save_rest()

    async def take_token_keys(self, keys: TokenKeys) -> None:
        """Send fetched keys of token issuers to the proxies that need them."""
        if await self._bring(lambda: self._configuration.take_token_keys(keys), self._clock()):
            await self._refresh_view()

    async def _bring(self, apply: Callable[[], MeshDelta | None], seen: float) -> bool:
        """Call `apply` and update every proxy; return False if the change has to wait."""
        try:
            begun = await self._in_worker(self._apply, apply, seen)
            if self.is_delaying:
                return False
            self._note_mesh()
            if begun is not None:
                await self._push(begun)
        except Exception:
            self.faults.note("a change could not be applied", exc_info=True)
        return True

    async def begin(
        self,
        files: Mapping[str, ParsedFile | None],
        former: FormerDocuments | None = None,
        save: Callable[[Documents], None] | None = None,
    ) -> None:
        """Apply all files, before any proxy has come. Unlike `take`, this raises exceptions.

        `former` has the documents of a former server, for files that are refused or cannot be read. `save` is
        called with the documents in force, once saving has begun.
        """
        self.saving.save = save
        self.saving.note(files)
        delta = await self._in_worker(self._configuration.begin, files, former or FormerDocuments())
        if delta is not None:
            await self._in_worker(self._take_over, delta)
        self._note_mesh()
        await self._refresh_view()
        await self.saving.save_rest()

    def _apply(self, apply: Callable[[], MeshDelta | None], seen: float) -> _Begun | None:
        """Apply a change and return what is to be handed over now; None if there is nothing."""
        delta = apply()
        change = self._delayed.take(self._configuration.mesh, delta, seen, self._clock())
        if change is None:
            if delta is not None and not self.is_delaying:
                self._take_over(delta)  # lines moved
            return None
        self._take_over(change.delta)
        return change.first, *change.delta.names(NAMED)

    def _take_over(self, delta: MeshDelta) -> None:
        """Serve the mesh of now; `delta` is the difference from the served one, empty if only lines moved."""
        if not delta.is_empty:
            self._metrics.config_changes.inc()
        self._delayed.served(self._configuration.mesh)
        self._translation.update(self._configuration.mesh, delta)

    async def _push(self, change: _Begun) -> None:
        """Send new snapshots to the proxies that a change concerns."""
        begun = self._clock()
        tracker = self._track(*change)
        concerned = iter(tuple(self._keys)) if self._push_to_all else self._translation.concerned()
        self._push_to_all = True  # until the push is complete: `concerned` does not yield a proxy twice
        try:
            await self._delivery.in_order(
                filter(None, map(self._keys.get, concerned)), self._translate_one, tracker
            )
            self._push_to_all = False
        finally:
            tracker.done()
        now = self._clock()
        self._metrics.translation_seconds.observe(now - begun)
        self._metrics.push_seconds.observe(now - change[0])

    def _translate_one(self, live: LiveProxy) -> Made | None:
        """Translate for a proxy; None if that fails. A failure does not affect other proxies."""
        try:
            made = self._translation.translate(live.proxy)
        except Exception as error:
            fault = str(error) or type(error).__name__
            if fault != live.fault:
                self.faults.note("no translation for a proxy", proxy=live.proxy.id, exc_info=True)
            live.fault = fault
            return None
        live.fault = ""
        live.translated, live.diagnostics = made
        return self._certify(live)

    def _certify(self, live: LiveProxy) -> Made | None:
        """Add the current certificates to the translation of a proxy."""
        made, certificates = live.translated, self.certificates
        if made is None:
            return None
        if certificates is not None:
            made = certificates.over(live.proxy, self.trust_domain, made)
        return made, live.diagnostics

    def _translate_first(self, live: LiveProxy) -> Made | None:
        made = self._translate_one(live)
        self._untranslated.note(self._translation)
        return made

    async def renew_certificates(self) -> bool:
        """Renew due certificates, for a slice of time, and send every proxy those that it lacks.

        Return True if more are due."""
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

    async def _refresh_view(self) -> None:
        """Refresh the view of the configuration, and report new diagnostics."""
        self._configured = await self._in_worker(self._view_configuration)
        self._report()

    def _view_configuration(self) -> ConfigurationView:
        self._update_lines()
        return self._configuration.view()

    def _update_lines(self) -> None:
        """Update the lines in the diagnostics of the last analysis."""
        self._analysed = self._analysed.at(self._configuration.mesh)

    def _note_mesh(self) -> None:
        """Let the mesh be analysed if it is another one than the last time, whatever changed."""
        if self._configuration.mesh is not self._noted:
            self._noted = self._configuration.mesh
            self._unanalysed.set()

    async def keep_analysed(self) -> None:
        """Analyse the mesh whenever a change has settled (as `mizzen analyze` does).

        Never ends. The worker analyses in short slices with other work in between, so a change does not wait
        for the analysis. After a change the analysis starts again with the new mesh.
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
                await self._in_worker(self._update_lines, urgency=Urgency.LATER)
            except Exception:
                self.faults.note("the mesh could not be analysed", exc_info=True)
            self._report()
            await asyncio.sleep(spent * REST_AFTER_ANALYSIS)

    def _report(self) -> None:
        self.revision += 1
        self._collect()
        difference = self._diagnostics.take()
        # Without the diagnostics of all sources: to put them into a view costs what there are.
        self._metrics.count_configuration(self._with_withheld(self._configured), self._diagnostics.counts)
        self._diagnostic_log.report(difference)
        self._metrics.profiles.set(self._translation.profiles)

    # What the discovery server asks -------------------------------------------------------------------------

    def group_of(self, node: Any, peer: xds.Peer) -> Hashable:
        """Return the key of the proxy that an `envoy.config.core.v3.Node` describes.

        Two Envoys with the same id but different nodes have different keys. Raises xds.NodeRefused if the
        node describes no proxy (the text tells its author why), and xds.PeerRefused if the peer's certificate
        or token is for a different proxy.
        """
        try:
            proxy = Proxy.from_node(node)
        except NodeError as error:
            self._metrics.streams_refused.inc()
            self.refused_proxies.add(str(error))
            raise xds.NodeRefused(str(error)) from error
        try:
            account = check_identity(proxy, peer, self.trust_domains)
        except IdentityError as error:
            self._metrics.identities_refused.inc()
            self.refused_proxies.add(str(error))
            raise xds.PeerRefused(str(error)) from error
        proxy = with_proof(proxy, account, anyone=self._gives_secrets(peer))
        key = (proxy.node_id, blake2b(repr(proxy).encode(), digest_size=32).hexdigest())
        self._keys[self._live.setdefault(key, LiveProxy(proxy)).proxy] = key
        return key

    async def first_snapshot(self, key: Hashable, _: Any) -> xds.Snapshot:
        """Translate for a proxy that has just connected."""
        live = self._live[key]
        if not await self._in_worker(self._translation.knows, live.proxy, urgency=Urgency.PROXY):
            async with self._preparing:  # one at a time: the first proxy of a class prepares it for all
                steps = self._settling(self._translation.prepare(live.proxy))
                await self._worker.do_in_slices(Urgency.PROXY, steps, SLICE_SECONDS)
        made = await self._in_worker(self._translate_first, live, urgency=Urgency.PROXY)
        if made is None:
            raise xds.NodeRefused("the control plane failed to translate for this proxy; its log says why")
        live.snapshot, live.diagnostics = made
        self._metrics.profiles.set(self._translation.profiles)
        told = [one.diagnostic for one in self._untranslated.withheld]
        for warning in self.mesh_warnings(key):
            self._log.warning(warning, proxy=live.proxy.id)
        if not self._diagnostics.knows((*live.diagnostics, *told)):
            self._report()
        return live.snapshot

    def _settling(self, steps: Iterator[None]) -> Iterator[None]:
        for _ in steps:
            self._settled()
            yield

    def forget(self, key: Hashable) -> None:
        """Forget a proxy that has been gone for a while."""
        gone = self._live.pop(key, None)
        if gone is not None:
            del self._keys[gone.proxy]
        self._proxy_left.set()

    async def keep_forgetting(self) -> None:
        """Forget what was made for a proxy alone, some time after it has gone. Never ends."""
        while True:
            await self._proxy_left.wait()
            await asyncio.sleep(FORGET_SECONDS)
            self._proxy_left.clear()
            try:
                before = self._translation.profiles
                living = tuple(self._live.values())
                steps = self._translation.forget_unused([live.proxy for live in living])
                await self._worker.do_in_slices(Urgency.LATER, steps, SLICE_SECONDS)
                if self._translation.profiles < before:
                    await self._in_worker(self._forgotten, urgency=Urgency.LATER)
            except Exception:
                self.faults.note("unused data stays in memory", exc_info=True)
            self._metrics.profiles.set(self._translation.profiles)
