"""The server as a process: its parts, its ports, its signals, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
import uvloop

import mizzen
from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.identity.authority import AuthorityError
from mizzen.mesh.snapshot import Mesh
from mizzen.plan.served_mesh import told
from mizzen.server import status
from mizzen.server.admin import AdminServer
from mizzen.server.admin_hosts import Hosts
from mizzen.server.authentication import Authenticator
from mizzen.server.certificate_authority import CertificateAuthority, open_certificates
from mizzen.server.configuration import Configuration
from mizzen.server.control_plane import ControlPlane
from mizzen.server.convergence import Convergence
from mizzen.server.fallback import fallback
from mizzen.server.faults import Faults
from mizzen.server.former import FormerDocuments
from mizzen.server.garbage import Garbage
from mizzen.server.grpc_log import ConnectionLog, captured
from mizzen.server.live_description import LiveDescription
from mizzen.server.live_why import LiveWhy
from mizzen.server.log_output import configure_logging
from mizzen.server.mesh_config_file import MeshConfigFile
from mizzen.server.metrics import Metrics
from mizzen.server.options import ServeOptions
from mizzen.server.ports import (
    PortError,
    add_grpc_ports,
    attach_signing,
    authenticator,
    take_port,
    warn_of_open_addresses,
)
from mizzen.server.proxy_certificates import ProxyCertificates
from mizzen.server.proxy_events import ProxyEvents
from mizzen.server.proxy_tables import ProxyTables
from mizzen.server.rejected_lines import RejectedLines
from mizzen.server.start import say_what_is_in_force, waits_for
from mizzen.server.state import State, StateError
from mizzen.server.token_issuers import key_set_refresh
from mizzen.sources.files import Batch, FileSource
from mizzen.sources.watching import watch_files
from mizzen.translator.contained import ContainedTranslation
from mizzen.translator.translate_result import TYPE_URLS, Resources

LINGER = timedelta(seconds=30)
"""Time after its last stream during which a proxy is still kept up to date: an Envoy that lost its connection
waits up to 30 s before it tries again."""

_DRAIN_POLL_SECONDS = 0.02
_LAST_WORDS_SECONDS = 0.1
_CLOSE_SECONDS = 0.5


class StartError(Exception):
    """The server cannot start; the message says why, and what to do."""


def run(options: ServeOptions, *, reads_grpc_log: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError if an address or a certificate cannot be used.

    `reads_grpc_log`: read the output of gRPC's core (`mizzen.server.grpc_log`).
    """
    metrics = Metrics(mizzen.__version__)
    faults = Faults(metrics.faults.inc)
    connections = ConnectionLog(metrics.handshakes_failed.inc)
    with contextlib.ExitStack() as context:
        if reads_grpc_log:
            context.enter_context(captured(connections.failed, connections.error, faults))
        configure_logging(
            options.log_format,
            options.log_level,
            on_lost=metrics.log_lines_lost.inc,
            on_fault=faults.count,
        )
        garbage = Garbage()
        uvloop.run(serve(options, metrics, faults, garbage.settle, garbage.give_back))


async def serve(
    options: ServeOptions,
    metrics: Metrics,
    faults: Faults,
    settled: Callable[[], None],
    forgotten: Callable[[], None],
) -> None:
    """Serve on the running loop until a signal comes. `settled` is called when something was made that will
    live for a while, for one after every change; `forgotten` after much data was forgotten."""
    stopping = asyncio.Event()
    process = Process(options, metrics, faults, settled, forgotten)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stopping)
    try:
        await process.run(stopping)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _on_signal(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        # The second signal: the user does not want to wait for the proxies.
        sys.stderr.flush()
        os._exit(130)
    stopping.set()


class Process:
    """One server: its parts, and the data for its admin address."""

    def __init__(
        self,
        options: ServeOptions,
        metrics: Metrics,
        faults: Faults,
        settled: Callable[[], None] = lambda: None,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._metrics = metrics
        self._faults = faults
        self._settled = settled
        self._log = structlog.get_logger("mizzen.server")
        self._started = time.time()
        self._started_by_steady_clock = time.monotonic()
        self._grpc_addresses: list[str] = []
        self._admin_address = options.admin_address
        self._source = FileSource(options.paths)
        settings = MeshConfigFile(options.mesh_config) if options.mesh_config else None
        self._convergence = Convergence(metrics.convergence_seconds.observe, time.monotonic)
        self._configuration = Configuration(
            settings, domain=options.domain, certificates_served=options.certificates_served, faults=faults
        )
        self.control_plane = ControlPlane(
            self._configuration,
            ContainedTranslation,
            metrics,
            self._convergence.begin,
            settled=settled,
            forgotten=forgotten,
            gives_secrets=self._gives_secrets,
        )
        self._rejected = RejectedLines(self.control_plane, faults)
        self._events = ProxyEvents(
            metrics,
            self._convergence,
            self.control_plane.proxy_of,
            self._rejected,
            self.control_plane.current_origin,
            lambda group: self.discovery.snapshot(group),
        )
        self.discovery = self._discovery_server()
        self.control_plane.serve_through(self.discovery)
        tables = ProxyTables(self.control_plane, self.discovery)
        self.table, self.difference = tables.table, tables.difference
        self.why = LiveWhy(self.control_plane, self.discovery).answer
        self.seconds_gone = self._events.gone.seconds_gone
        self.describe = LiveDescription(self.control_plane, self.discovery, self.seconds_gone).describe
        self.ready = False
        self.waiting_for: tuple[str, ...] = ()
        self._state: State | None = None
        self._authority: CertificateAuthority | None = None
        self._authenticator: Authenticator | None = None
        self._may_start = asyncio.Event()
        self._key_sets = key_set_refresh(options, self.control_plane.take_token_keys, metrics, faults)

    def _discovery_server(self) -> xds.Server:
        return xds.Server(
            self.control_plane.group_of,
            on_event=self._events.take,
            on_group=self.control_plane.first_snapshot,
            on_group_empty=self.control_plane.forget,
            authenticate=self._authenticate,
            # A client of the plain-text port on this machine can be served as any proxy anyway.
            shows_clients=lambda peer: not peer.tls and self._options.grpc_address.is_loopback,
            linger=LINGER,
            fallback=fallback,
            identifier=f"mizzen/{mizzen.__version__}",
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Open the ports, read the configuration, serve, and drain when `stopping` is set."""
        grpc_server = grpc.aio.server(options=xds.Limits().channel_options())
        if self._options.state is not None:
            self._state = self._open_state(self._options.state)
        try:
            self._open_authority()
            admin = self._take_ports(grpc_server)
        except BaseException:
            self._close_files()
            raise
        warn_of_open_addresses(self._options, self._log)
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(admin.run())
                # A fault here ends the process: proxies of a former server must not lose their resources.
                former = FormerDocuments()
                if self._state is not None:
                    former = await asyncio.to_thread(self._state.read)
                files = await asyncio.to_thread(self._read, former)
                await self.control_plane.begin(files, former, self._state.save if self._state else None)
                await self.control_plane.take_token_keys(
                    await self._key_sets.begin(self.control_plane.key_sources())
                )
                self._settled()
                say_what_is_in_force(self.control_plane.view, self._options, self._log)
                working = [tasks.create_task(self._faults.survived(*each)) for each in self._lasting_tasks()]
                working.append(tasks.create_task(self._serve(grpc_server)))
                await stopping.wait()
                self._log.info("stopping", proxies=len(self.discovery.clients()))
                self.ready = False
                for task in working:
                    task.cancel()
                await self.discovery.stop()
                await self._drained()
                await asyncio.wait(working)
                await self.control_plane.saving.save_rest()
                # The streams have ended by now, so gRPC need not wait for anything.
                await grpc_server.stop(_CLOSE_SECONDS)
                admin.stop()
                await serving
        finally:
            self.control_plane.close()
            await asyncio.to_thread(self._close_files)
        self._log.info("stopped")

    def _lasting_tasks(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield what is done until the server stops, with words for it."""
        yield "watching the files", self._watch
        yield "the analysis of the mesh", self.control_plane.keep_analysed
        yield "forgetting proxies that have gone", self.control_plane.keep_forgetting
        yield "fetching keys of token issuers", self._key_sets.run
        yield "logging rejections", self._events.keep_telling
        if self._authority is not None:
            renew = self.control_plane.renew_certificates
            yield "renewing certificates", partial(self._authority.keep, renew)
        if self._options.mesh_config is not None:
            yield "watching the file of --mesh-config", self._watch_settings

    async def _serve(self, grpc_server: Any) -> None:
        """Serve proxies, but only after the configuration is complete (`mizzen.server.start`)."""
        self._key_sets.set_sources(self.control_plane.key_sources())
        self._look_whether_whole()
        if self.waiting_for and self._options.start_anyway:
            self._log.warning(
                "started anyway: Envoys that come back lose what is not in force now",
                not_in_force=self.waiting_for,
            )
        elif self.waiting_for:
            self._log.error(
                "no proxy is served until all files can be read and are valid, so that Envoys keep what they "
                "have; --start-anyway serves the rest at once",
                waiting_for=self.waiting_for,
            )
            await self._may_start.wait()
        await self._key_sets.tried()
        await self.control_plane.saving.begin()
        self.waiting_for = ()
        self._metrics.start_waits_for.set(0)
        self.discovery.attach(grpc_server)
        if self._authority is not None:
            certificates, plane = self._authority.certificates, self.control_plane
            attach_signing(
                *(grpc_server, self._options, certificates, self._metrics, self._authenticate),
                lambda: plane.trust_domains,
            )
        await grpc_server.start()
        self.ready = True
        self._log.info("ready", grpc=self._grpc_addresses, admin=str(self._admin_address))

    async def _drained(self) -> None:
        """Wait until every stream has ended properly: an Envoy counts a broken connection as a failure."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_seconds):
                while self.discovery.clients():
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)
                # gRPC writes the status of the last stream after that has left the list.
                await asyncio.sleep(_LAST_WORDS_SECONDS)

    async def _watch(self) -> None:
        batches = watch_files(self._source, is_delaying=lambda: self.control_plane.is_delaying)
        async for batch in batches:
            await self.control_plane.take(batch, self._source.latest if batch else None)
            self._key_sets.set_sources(self.control_plane.key_sources())
            self._settled()
            self._look_whether_whole()

    async def _watch_settings(self) -> None:
        """Read the file of `--mesh-config` whenever it is saved: it is not among the watched documents."""
        assert self._options.mesh_config is not None
        async for _ in watch_files(FileSource([self._options.mesh_config])):
            await self.control_plane.take({})
            self._key_sets.set_sources(self.control_plane.key_sources())
            self._look_whether_whole()

    def _read(self, former: FormerDocuments) -> Batch:
        self._source.remember(former.keys)
        return self._source.first_scan()

    def _look_whether_whole(self) -> None:
        if self.ready or self._may_start.is_set():
            return
        self.waiting_for = waits_for(self.control_plane.view, self._options.paths)
        self._metrics.start_waits_for.set(len(self.waiting_for))
        if not self.waiting_for:
            self._may_start.set()

    def _open_state(self, directory: Path) -> State:
        try:
            return State(directory, self._metrics.state_failures.inc, self._faults)
        except StateError as error:
            raise StartError(str(error)) from error

    def _open_authority(self) -> None:
        try:
            certificates = open_certificates(self._options, self._metrics)
        except AuthorityError as error:
            raise StartError(str(error)) from error
        if certificates is None:
            return
        self.control_plane.certificates = ProxyCertificates(certificates)
        self._authority = CertificateAuthority(
            certificates, self._options, self.discovery.clients, self._faults
        )

    def _close_files(self) -> None:
        if self._authority is not None:
            self._authority.certificates.close()
        if self._state is not None:
            self._state.close()

    # Ports

    def _take_ports(self, grpc_server: Any) -> AdminServer:
        """Open all ports before all other work. Raises StartError if that fails."""
        options, plane = self._options, self.control_plane
        certificates = self._authority.certificates if self._authority is not None else None
        try:
            with contextlib.ExitStack() as undo:
                admin_socket = undo.enter_context(
                    take_port(options.admin_address, "--admin-address", options)
                )
                self._grpc_addresses = add_grpc_ports(grpc_server, options, certificates)
                self._authenticator = authenticator(
                    options,
                    self._metrics,
                    lambda: plane.trust_domain,
                    plane.refused_proxies.add,
                    self._key_sets.keys_of,
                )
                undo.pop_all()
        except PortError as error:
            raise StartError(str(error)) from error
        self._admin_address = options.admin_address.with_port(admin_socket.getsockname()[1])
        return AdminServer(self, admin_socket, Hosts(options.admin_address, options.admin_hosts))

    def _authenticate(self, peer: xds.Peer) -> xds.Peer:
        return self._authenticator.authenticate(peer) if self._authenticator is not None else peer

    def _gives_secrets(self, peer: xds.Peer) -> bool:
        """True if a peer without a certificate may have Secrets: it is on this machine, or the user chose
        so."""
        address = self._options.tls_address if peer.tls else self._options.grpc_address
        return address.is_loopback or self._options.secrets_to_anyone

    # Data for the admin address

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text form."""
        return self._metrics.render()

    def about(self) -> dict[str, Any]:
        """Return version, process, readiness and addresses of this server."""
        return {
            "name": "mizzen",
            "version": mizzen.__version__,
            "pid": os.getpid(),
            "ready": self.ready,
            "waiting_for": list(self.waiting_for),
            "state": str(self._state.directory) if self._state else None,
            "state_error": self._state.error if self._state else "",
            "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="milliseconds"),
            "faults": self._faults.as_json(),
            "uptime_seconds": round(time.monotonic() - self._started_by_steady_clock, 3),
            "grpc_addresses": self._grpc_addresses,
            "admin_address": str(self._admin_address),
        }

    async def status(self, proxy: str | None = None) -> Mapping[str, Any]:
        """Return the status as JSON values; with `proxy`, only that proxy, with the names that it asks
        for."""
        view = self.control_plane.view
        clients = self.discovery.clients()
        if proxy is not None:
            clients = [client for client in clients if proxy in (client.node_id, self._name(client))]
        gone = self._events.gone.as_json()
        await self._rejected.find_all(clients)

        def build() -> Mapping[str, Any]:
            configuration = view.as_json()
            configuration["paths"] = [str(path) for path in self._options.paths]
            configuration["token_keys"] = self._key_sets.as_json()
            configuration["unanswered_changes"] = self._convergence.unsettled
            return status.whole(
                self.about(),
                configuration,
                clients,
                self.discovery.snapshot,
                self.control_plane.proxy_of,
                mesh_warnings=self.control_plane.mesh_warnings,
                fault_of=self.control_plane.fault_of,
                current_origin=self.control_plane.current_origin,
                lines=self._rejected.of,
                refused_proxies=self.control_plane.refused_proxies.as_json(),
                with_names=proxy is not None,
                certificates=self._authority.certificates.as_json() if self._authority else None,
                gone_proxies=[each for each in gone if proxy in (None, each["id"], each["node_id"])],
            ) | {"recent_changes": self.recent_changes()}

        # In a thread: with a thousand proxies the status has megabytes, and the loop must serve streams.
        return await asyncio.to_thread(build)

    @property
    def mesh(self) -> Mesh:
        """The mesh that is in force."""
        return self._configuration.mesh

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        """The diagnostics about the configuration in force."""
        return self.control_plane.view.diagnostics

    @property
    def moment(self) -> object:
        """A value that differs from the one before as soon as the status has changed."""
        stands = (
            self.control_plane.revision,
            self._events.taken,
            self.ready,
            self.waiting_for,
            self._faults.number,
        )
        return (*stands, [(push.handing_over, push.seconds) for push in self._convergence.recent[:1]])

    def recent_changes(self) -> list[dict[str, Any]]:
        """Return the latest changes, newest first, and how many proxies have answered each."""
        return [push.as_json() for push in self._convergence.recent]

    async def served(self) -> Mapping[str, Any]:
        """Return the documents in force, the settings and the proxies (`mizzen.plan.served_mesh.told`)."""
        found = (self.control_plane.proxy_of(client.group) for client in self.discovery.clients())
        proxies = tuple(dict.fromkeys(proxy for proxy in found if proxy is not None))
        return await asyncio.to_thread(told, self.mesh, proxies)

    def proxies(self) -> list[str]:
        """Return the names of the connected proxies."""
        return sorted({self._name(client) for client in self.discovery.clients()})

    async def resources(self, proxy: str) -> Mapping[str, Any] | None:
        """Return the resources of a proxy, by its name or node id; None if it is not connected."""
        for client in self.discovery.clients():
            if proxy in (client.node_id, self._name(client)):
                snapshot = self.discovery.snapshot(client.group) or xds.Snapshot()
                return await asyncio.to_thread(_readable, snapshot)
        return None

    def _name(self, client: xds.ClientStatus) -> str:
        proxy = self.control_plane.proxy_of(client.group)
        return proxy.id if proxy is not None else client.node_id


def _readable(snapshot: xds.Snapshot) -> Mapping[str, Any]:
    collections = {type_url: snapshot.collection(type_url) for type_url in TYPE_URLS.values()}
    return Resources.decoded(collections).as_dict()
