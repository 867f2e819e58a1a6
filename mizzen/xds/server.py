"""The server: groups of clients, their snapshots, and the gRPC services."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from datetime import timedelta
from typing import Any, cast

import grpc

from mizzen.xds import csds, wire
from mizzen.xds.callbacks import (
    Authenticate,
    CallbackError,
    GroupOf,
    NodeRefused,
    OnGroup,
    PeerRefused,
    PeerUnauthenticated,
    called,
    guarded,
)
from mizzen.xds.connection import StreamConnection, in_parts
from mizzen.xds.events import Client, Connected, Disconnected, Event
from mizzen.xds.limits import Limits
from mizzen.xds.names import NamePool
from mizzen.xds.ordering import MakeBeforeBreak, Policy
from mizzen.xds.peer import Peer, peer_of
from mizzen.xds.refusal_log import RefusalLog
from mizzen.xds.resource import Resource
from mizzen.xds.response import Dialect, supports_ttl
from mizzen.xds.served_group import ServedGroup, Waking
from mizzen.xds.services import CLIENT_STATUS_SERVICE, METHODS, Method
from mizzen.xds.snapshot import Change, Snapshot
from mizzen.xds.status import ClientResources, ClientStatus, client_resources, describe
from mizzen.xds.stream import Stream
from mizzen.xds.subscription import Fallback
from mizzen.xds.turns import LARGE, Turns

log = logging.getLogger("mizzen.xds")


class Server:
    """An xDS server for any resources. Not thread-safe: call it from the event loop in which it runs; from
    another thread with `loop.call_soon_threadsafe(server.update, ...)`.

    Args:
        group_of: returns the group of a node and of the `Peer` that sent it. All clients of a group get the
            same snapshot.
        on_event: is called with each `Event`. It is not awaited, and may call the server. If it raises, the
            exception is logged.
        policy: the order of sending on aggregated streams.
        limits: bounds on what clients can make the server do.
        fallback: returns the answer for a name that does not exist, for a client that has no such resource.
        on_group: returns the snapshot of a group without one, when the first client of the group comes.
        on_group_empty: is called when a group whose snapshot came from `on_group` has had no client for
            `linger`; the group is then forgotten.
        authenticate: returns the peer with its identity, before the server reads from the stream.
        shows_clients: returns True if a peer may ask for the status of all clients (CSDS); else the call is
            refused.
        linger: how long a group whose snapshot came from `on_group` is kept without clients.
        identifier: the `control_plane` identifier of each response.
    """

    def __init__(
        self,
        group_of: GroupOf,
        *,
        on_event: Callable[[Event], None] | None = None,
        policy: Policy | None = None,
        limits: Limits | None = None,
        fallback: Fallback | None = None,
        on_group: OnGroup | None = None,
        on_group_empty: Callable[[Hashable], None] | None = None,
        authenticate: Authenticate | None = None,
        shows_clients: Callable[[Peer], bool] = lambda peer: True,
        linger: timedelta = timedelta(seconds=30),
        identifier: str = "",
    ) -> None:
        self._group_of = group_of
        self._on_event = on_event
        self._policy = policy if policy is not None else MakeBeforeBreak()
        self._limits = limits if limits is not None else Limits()
        self._fallback = guarded(fallback) if fallback is not None else None
        self._on_group = on_group
        self._on_group_empty = on_group_empty
        self._authenticate = authenticate
        self._shows_clients = shows_clients
        self._linger = linger.total_seconds()
        self._dialects = {
            (delta, ttl): Dialect(delta, ttl, identifier) for delta in (False, True) for ttl in (False, True)
        }
        self._readers = {False: wire.Reader(wire.parse_sotw), True: wire.Reader(wire.parse_delta)}
        self._served: dict[Hashable, ServedGroup] = {}
        self._names = NamePool()
        self._waking = Waking()
        self._streams = 0
        self._full = False
        self._refusal_log = RefusalLog()
        self._numbers = 0
        self._stopping = False
        self._started = False
        self._handlers: set[asyncio.Task[Any]] = set()
        self._turns = Turns()
        self._starts = asyncio.Semaphore(self._limits.concurrent_starts)
        self._grpc: Any = None

    # Snapshots

    def set_snapshot(self, group: Hashable, snapshot: Snapshot) -> None:
        """Replace the snapshot of a group. Resources whose version is the same as before are not sent again.

        The group need not have clients, and the server need not be started. An empty snapshot takes all
        resources from the clients.

        Raises:
            RuntimeError: the group has clients, and this thread runs no event loop.
            TypeError: `snapshot` is not a `Snapshot`.
        """
        if not isinstance(snapshot, Snapshot):  # it would end the streams of all its clients
            raise TypeError(
                f"a group is given a Snapshot, such as Snapshot.of(resources), not {snapshot!r:.100}"
            )
        served = self._group(group)
        served.check_thread()
        served.group.set(snapshot)
        served.changed(None)

    def update(
        self, group: Hashable, changed: Iterable[Resource] = (), removed: Iterable[tuple[str, str]] = ()
    ) -> Change:
        """Add or replace some resources of a group, and remove those with these (type URL, name); return what
        changed for the clients. The cost depends on these resources alone. A group without a snapshot gets
        one. All changes of one turn of the event loop are sent together.

        Raises:
            RuntimeError: the group has clients, and this thread runs no event loop.
            TypeError: one of `changed` is not a `Resource`, or one of `removed` is not a pair.
            ValueError: one of `removed` does not begin with a type URL.
        """
        served = self._group(group)
        served.check_thread()
        change = served.group.update(changed, removed)
        if change:
            served.changed(change.type_urls)
        elif served.group.has_rejected:
            served.changed(None)  # nothing to send, but a rejected resource may be gone from the snapshot
        return change

    def snapshot(self, group: Hashable) -> Snapshot | None:
        """The snapshot of a group; None if it has none."""
        served = self._served.get(group)
        return served.group.snapshot if served is not None else None

    def drop(self, group: Hashable) -> None:
        """Forget a group that has no clients, with its snapshot. A group with clients stays."""
        served = self._served.get(group)
        if served is not None and not served.connections and not served.arriving:
            del self._served[group]

    @property
    def groups(self) -> tuple[Hashable, ...]:
        """All groups that have a snapshot or a client."""
        return tuple(self._served)

    def clients(self) -> list[ClientStatus]:
        """The status of every open stream, oldest first."""
        epoch = time.time() - time.monotonic()
        return [describe(each.stream, each.connected_at, epoch) for each in self._connections()]

    def client_resources(self, number: int) -> dict[str, ClientResources]:
        """What the client of a stream was sent and has accepted, by type URL; empty if the stream has ended.

        `number` is `ClientStatus.number`.
        """
        found = (each.stream for each in self._connections() if each.stream.client.number == number)
        stream = next(found, None)
        return client_resources(stream) if stream is not None else {}

    def _connections(self) -> list[StreamConnection]:
        found = [each for served in self._served.values() for each in served.connections.values()]
        return sorted(found, key=lambda each: each.stream.client.number)

    # Life

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on `address`; return the port (for "127.0.0.1:0" the system chooses it). A server listens on
        one address; for several, `attach` the services to a gRPC server of your own.

        An address is `host:port`, `[host]:port` for IPv6, or `unix:path`; without a port gRPC takes 443. With
        `grpc.ssl_server_credentials(...)` the server uses TLS.

        Raises:
            OSError: the address cannot be bound; you may try a different one.
            RuntimeError: the server listens already, or was stopped.
        """
        if self._stopping:  # gRPC's server would bring the process down
            raise RuntimeError("a stopped server is not started again: make another")
        if self._started:  # gRPC would open a second port and not serve it
            raise RuntimeError(
                "the server listens already; attach it to a grpc.aio.Server for several addresses"
            )
        if self._grpc is None:
            self._grpc = grpc.aio.server(options=self._limits.channel_options())
            self.attach(self._grpc)
        try:
            if credentials is None:
                port = self._grpc.add_insecure_port(address)
            else:
                port = self._grpc.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        self._started = True
        await self._grpc.start()
        return int(port)

    def attach(self, grpc_server: Any) -> None:
        """Add the services to a `grpc.aio.Server` of your own (see `Limits.channel_options`). You start it,
        and stop it after `stop` has ended the streams.
        """
        services: dict[str, dict[str, Any]] = {}
        for method in METHODS:
            handler = grpc.stream_stream_rpc_method_handler(self._handler(method))
            services.setdefault(method.service, {})[method.name] = handler
        services[CLIENT_STATUS_SERVICE] = csds.handlers(
            self._connections, self._until_stopped, csds.only_for(self._peer, self._shows_clients)
        )
        grpc_server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())
        )

    async def stop(self, grace: float = 1.0) -> None:
        """End every stream with the status OK and close the port. Clients keep their resources and reconnect
        elsewhere. Wait up to `grace` seconds for clients that do not read; with 0 even the status may not
        arrive. A stopped server cannot be started again.
        """
        if not self._stopping:  # a second cancellation would reach gRPC while it sends the status
            self._stopping = True
            for handler in self._handlers:
                handler.cancel()
        if self._grpc is not None:
            await self._grpc.stop(grace)
        for served in self._served.values():
            if served.linger is not None:
                served.linger.cancel()

    # Streams

    def _until_stopped(
        self, serve: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any, Any], Awaitable[None]]:
        """The handler of a stream that `stop` can end at any point: while it reads, writes, or waits for its
        group.

        If a handler ended by its cancellation, gRPC would send no status: the client would wait for the
        status, and the server for the client.
        """

        async def handle(_requests: Any, context: Any) -> None:
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            self._handlers.add(task)
            try:
                await serve(context)
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                task.uncancel()  # the stream ends well, and the client connects again
            finally:
                self._handlers.discard(task)

        return handle

    def _handler(self, method: Method) -> Callable[[Any, Any], Awaitable[None]]:
        async def serve(context: Any) -> None:
            if self._stopping:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the control plane is shutting down")
            if self._streams >= self._limits.max_streams:
                full = f"{self._streams} streams are open, the most that may be"
                if not self._full:  # once, not for each refused stream
                    self._full = True
                    log.warning("%s: further ones are refused", full)
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, full)
            self._full = False
            self._streams += 1
            served: ServedGroup | None = None
            connection: StreamConnection | None = None
            refusal = failure = ""
            code = grpc.StatusCode.INVALID_ARGUMENT
            try:
                peer = await self._peer(context)
                async with _until(peer):
                    served, connection = await self._admit(method, context, peer)
                    if connection is not None:
                        await connection.run()
            except TimeoutError:
                refusal, code = "its credentials have expired", grpc.StatusCode.UNAUTHENTICATED
            except PeerUnauthenticated as error:
                refusal, code = str(error), grpc.StatusCode.UNAUTHENTICATED
            except PeerRefused as error:
                refusal, code = str(error), grpc.StatusCode.PERMISSION_DENIED
            except (wire.BadRequest, NodeRefused) as error:
                refusal = str(error)
            except CallbackError as error:
                failure = str(error)
            except ExceptionGroup as group:  # from the task group of the stream
                refused, failed = group.split(wire.BadRequest)
                if refused is not None:
                    refusal = str(_first(refused))
                if failed is not None:
                    log.error("a stream failed", exc_info=failed)
                    failure = "the stream failed"
            except grpc.aio.BaseError:
                raise
            except Exception as error:  # in the answer to the first request, before there is a task group
                log.error("a stream failed", exc_info=error)
                failure = "the stream failed"
            finally:
                self._streams -= 1
                self._dismiss(served, connection)
            if failure:  # only the log says why: the client is not trusted
                await context.abort(grpc.StatusCode.INTERNAL, failure)
            if refusal:
                self._refusal_log.say(time.monotonic(), context.peer(), method.name, refusal)
                await context.abort(code, refusal)

        return self._until_stopped(serve)

    async def _peer(self, context: Any) -> Peer:
        peer = peer_of(context)
        if self._authenticate is None:
            return peer
        found: Peer = await called("authenticate", self._authenticate, peer)
        return found

    async def _admit(
        self, method: Method, context: Any, peer: Peer
    ) -> tuple[ServedGroup | None, StreamConnection | None]:
        """Read the first request, find the group, and answer. After that no reference to the first request
        remains.
        """
        timeout = self._limits.start_timeout.total_seconds()
        try:
            async with asyncio.timeout(timeout):
                data = await context.read()
        except TimeoutError:
            raise wire.BadRequest(f"no request within {timeout:g} s of the beginning of the stream") from None
        if data is grpc.aio.EOF:
            return None, None
        read = self._readers[method.delta]
        if len(data) < LARGE:
            request = read(data)
        else:
            async with self._turns.turn():
                request = await in_parts(read(data))
        node = request.node
        if node is None:
            raise wire.BadRequest("the first request of a stream must have a node")
        limit = self._limits.max_node_bytes
        if node.ByteSize() > limit:
            raise wire.BadRequest(f"a node of {node.ByteSize()} bytes; the limit is {limit}")
        limit = self._limits.max_node_id
        if len(node.id) > limit:
            raise wire.BadRequest(f"a node id of {len(node.id)} characters; the limit is {limit}")
        await self._starts.acquire()
        places = [self._starts]
        # A client that is too slow to take its first answer must not hold up other starts.
        timer = asyncio.get_running_loop().call_later(timeout, _release, places)
        try:
            served = await self._enter(node, peer)
            try:
                stream = self._stream(method, context, served, node)
                essential = csds.essential_node(node)
                connection = StreamConnection(
                    context, stream, read, self._tell, served.connections, essential, self._turns
                )
            except BaseException:
                self._leave(served)
                raise
            served.connections[stream.client.number] = connection
            self._tell([Connected(stream.client)])
            try:
                await connection.begin(request)
            except BaseException:
                self._dismiss(served, connection)
                raise
        finally:
            timer.cancel()
            _release(places)
        return served, connection

    def _stream(self, method: Method, context: Any, served: ServedGroup, node: wire.Node) -> Stream:
        self._numbers += 1
        client = Client(self._numbers, node.id, served.group.key, context.peer(), method.path, method.delta)
        ttl = supports_ttl(tuple(node.client_features), delta=method.delta)
        return Stream(
            client,
            served.group,
            self._dialects[method.delta, ttl],
            self._policy,
            only_type=method.type_url,
            fallback=self._fallback,
            max_names=self._limits.max_names,
        )

    def _dismiss(self, served: ServedGroup | None, connection: StreamConnection | None) -> None:
        if served is None or connection is None:
            return
        del served.connections[connection.stream.client.number]
        connection.stream.end()
        self._leave(served)
        self._tell([Disconnected(connection.stream.client)])

    def _tell(self, events: list[Event]) -> None:
        if self._on_event is None:
            return
        for event in events:
            try:
                self._on_event(event)
            except Exception:
                log.exception("on_event failed for %s", type(event).__name__)

    # Groups

    def _group(self, key: Hashable) -> ServedGroup:
        served = self._served.get(key)
        if served is None:
            served = self._served[key] = ServedGroup(key, self._names, self._waking)
        return served

    async def _enter(self, node: wire.Node, peer: Peer) -> ServedGroup:
        key = await called("group_of", self._group_of, node, peer)
        try:
            served = self._group(key)
        except TypeError:
            log.error("group_of gave %s, which is not hashable", type(key).__name__)
            raise CallbackError("group_of failed") from None
        served.arriving += 1
        if served.linger is not None:
            served.linger.cancel()
            served.linger = None
        if served.group.snapshot is None and self._on_group is not None:
            try:
                # The lock: ask once, even if many clients of the group come together.
                async with served.opening:
                    if served.group.snapshot is None:
                        served.made_on_demand = True
                        snapshot = await called("on_group", self._on_group, key, node)
                        if snapshot is not None and served.group.snapshot is None:
                            self._set_what_was_given(key, snapshot)
            except BaseException:
                self._leave(served)
                raise
        return served

    def _set_what_was_given(self, key: Hashable, snapshot: Snapshot) -> None:
        try:
            self.set_snapshot(key, snapshot)
        except TypeError:
            log.exception("on_group failed")
            raise CallbackError("on_group failed") from None

    def _leave(self, served: ServedGroup) -> None:
        served.arriving -= 1
        if served.arriving or self._stopping:
            return
        if not served.made_on_demand:
            if served.group.snapshot is None and self._served.get(served.group.key) is served:
                del self._served[served.group.key]  # a client may name a group that never gets a snapshot
            return
        loop = asyncio.get_running_loop()
        served.linger = loop.call_later(self._linger, self._forget, served)

    def _forget(self, served: ServedGroup) -> None:
        served.linger = None  # the timer refers to the group: the cycle would wait for the collector
        if served.arriving or self._served.get(served.group.key) is not served:
            return
        del self._served[served.group.key]
        if self._on_group_empty is not None:
            self._on_group_empty(served.group.key)


def _until(peer: Peer) -> asyncio.Timeout:
    """Return a timeout that ends a stream when the credentials of its peer expire."""
    if peer.until is None:
        return asyncio.timeout(None)
    return asyncio.timeout(max(0.0, peer.until - time.time()))


def _release(places: list[asyncio.Semaphore]) -> None:
    while places:
        places.pop().release()


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
