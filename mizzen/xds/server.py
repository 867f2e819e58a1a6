"""The server: groups of clients, their snapshots, and the gRPC services that carry them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from datetime import timedelta
from typing import Any, cast

import grpc

from mizzen.xds import csds, wire
from mizzen.xds.batch import Dialect, supports_ttl
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
from mizzen.xds.connection import Connection, in_parts
from mizzen.xds.events import Client, Connected, Disconnected, Event
from mizzen.xds.limits import Limits
from mizzen.xds.names import NamePool
from mizzen.xds.ordering import MakeBeforeBreak, Policy
from mizzen.xds.peer import Peer, peer_of
from mizzen.xds.refusals import Refusals
from mizzen.xds.resource import Resource
from mizzen.xds.room import Room
from mizzen.xds.services import CLIENT_STATUS_SERVICE, METHODS, Method
from mizzen.xds.snapshot import Change, Snapshot
from mizzen.xds.status import ClientStatus, Holding, describe, holdings
from mizzen.xds.stream import Stream
from mizzen.xds.subscription import Fallback
from mizzen.xds.turns import LARGE, Turns

log = logging.getLogger("mizzen.xds")


class Server:
    """An xDS server for any resources. Not thread-safe: call it from the event loop in which it runs, from
    another thread with `loop.call_soon_threadsafe(server.update, ...)`.

    Args:
        group_of: the group of a node and of the `Peer` that sent it. Clients of a group are given the same
            snapshot.
        on_event: is told all that happens, one `Event` a call. It is not awaited, may call the server, and
            what it raises is logged.
        policy: the order of what is sent on aggregated streams.
        limits: what clients may cost.
        fallback: the answer for a name that a client asks for and that does not exist, if it has none.
        on_group: is asked for the snapshot of a group that has none when its first client comes.
        on_group_empty: is told when a group that was made by `on_group` has had no client for `linger`;
            the group is then forgotten.
        authenticate: is asked who a peer is, before anything of its stream is read.
        shows_clients: whether a peer may ask what all clients hold (CSDS); whoever may not is refused.
        linger: how long a group that was made by `on_group` is kept without clients.
        identifier: what clients see as the `control_plane` of each response.
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
        self._rooms: dict[Hashable, Room] = {}
        self._names = NamePool()
        self._streams = 0
        self._full = False
        self._refusals = Refusals()
        self._numbers = 0
        self._stopping = False
        self._started = False
        self._handlers: set[asyncio.Task[Any]] = set()
        self._turns = Turns()
        self._starts = asyncio.Semaphore(self._limits.concurrent_starts)
        self._grpc: Any = None

    # Snapshots

    def set_snapshot(self, group: Hashable, snapshot: Snapshot) -> None:
        """Give a group another snapshot. What did not change is not sent, whoever made the snapshots.

        The group may have no clients yet, and the server may not have been started. An empty snapshot takes
        everything from its clients.

        Raises:
            RuntimeError: the group has clients, and this is not a thread of an event loop.
            TypeError: it is not a `Snapshot`.
        """
        if not isinstance(snapshot, Snapshot):  # it would end the streams of all its clients
            raise TypeError(
                f"a group is given a Snapshot, such as Snapshot.of(resources), not {snapshot!r:.100}"
            )
        room = self._room(group)
        room.check_thread()
        room.group.set(snapshot)
        room.changed(None)

    def update(
        self, group: Hashable, changed: Iterable[Resource] = (), removed: Iterable[tuple[str, str]] = ()
    ) -> Change:
        """Change some resources of a group, and take away those with these (type URL, name), at the cost of
        these; return what really changed for the clients. A group without a snapshot is given one. What is
        changed in one turn of the event loop is sent together.

        Raises:
            RuntimeError: the group has clients, and this is not a thread of an event loop.
            TypeError: one of `changed` is not a `Resource`, or one of `removed` not a pair.
            ValueError: one of `removed` does not begin with a type URL.
        """
        room = self._room(group)
        room.check_thread()
        change = room.group.update(changed, removed)
        if change:
            room.changed(change.type_urls)
        elif room.group.quarantined:
            room.changed(None)  # nothing is to be sent, but what was refused may be wanted no longer
        return change

    def snapshot(self, group: Hashable) -> Snapshot | None:
        """The snapshot that a group was given; None if it was given none."""
        room = self._rooms.get(group)
        return room.group.snapshot if room is not None else None

    def drop(self, group: Hashable) -> None:
        """Forget the snapshot of a group that has no clients; of one that has, nothing is forgotten."""
        room = self._rooms.get(group)
        if room is not None and not room.connections and not room.arriving:
            del self._rooms[group]

    @property
    def groups(self) -> tuple[Hashable, ...]:
        """All groups that have a snapshot or a client."""
        return tuple(self._rooms)

    def clients(self) -> list[ClientStatus]:
        """The status of every open stream, oldest first."""
        epoch = time.time() - time.monotonic()
        return [describe(each.stream, each.connected_at, epoch) for each in self._connections()]

    def holdings(self, number: int) -> dict[str, Holding]:
        """What the client of a stream was sent and has accepted, by type URL; nothing if the stream ended.

        `number` is `ClientStatus.number`.
        """
        found = (each.stream for each in self._connections() if each.stream.client.number == number)
        stream = next(found, None)
        return holdings(stream) if stream is not None else {}

    def _connections(self) -> list[Connection]:
        found = [each for room in self._rooms.values() for each in room.connections.values()]
        return sorted(found, key=lambda each: each.stream.client.number)

    # Life

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on `address`; return the port (that of "127.0.0.1:0" is chosen by the system). Once: for
        several addresses `attach` the services to a gRPC server of your own.

        An address is `host:port`, `[host]:port` for IPv6, or `unix:path`; without a port gRPC takes 443. With
        `grpc.ssl_server_credentials(...)` it is TLS.

        Raises:
            OSError: the address cannot be bound; another may be tried.
            RuntimeError: the server listens already, or was stopped.
        """
        if self._stopping:  # gRPC's server would bring the process down
            raise RuntimeError("a stopped server is not started again: make another")
        if self._started:  # gRPC would give a port that nobody serves
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
        """Add the services to a `grpc.aio.Server` that someone else starts (see `Limits.channel_options`),
        and stops after `stop` has ended the streams.
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
        """End every stream with the status OK, so that clients keep what they have and go elsewhere, and
        close the port. Clients that do not read are waited for, `grace` seconds long; with 0 not even the
        status is sure to arrive. It is not started again.
        """
        if not self._stopping:  # a second cancellation would reach gRPC while it says the status
            self._stopping = True
            for handler in self._handlers:
                handler.cancel()
        if self._grpc is not None:
            await self._grpc.stop(grace)
        for room in self._rooms.values():
            if room.linger is not None:
                room.linger.cancel()

    # Streams

    def _until_stopped(
        self, serve: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any, Any], Awaitable[None]]:
        """The handler of a stream, of which `stop` makes an end wherever it is: reading, writing, or waiting
        for its group.

        A handler that ends with its cancellation tells gRPC no status: the client would wait for one, and the
        server for the client.
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
                if not self._full:  # once, not for each that comes in vain
                    self._full = True
                    log.warning("%s: further ones are refused", full)
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, full)
            self._full = False
            self._streams += 1
            room: Room | None = None
            connection: Connection | None = None
            refusal = failure = ""
            code = grpc.StatusCode.INVALID_ARGUMENT
            try:
                peer = await self._peer(context)
                async with _until(peer):
                    room, connection = await self._admit(method, context, peer)
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
            except Exception as error:  # while the first request was answered, before there was a task group
                log.error("a stream failed", exc_info=error)
                failure = "the stream failed"
            finally:
                self._streams -= 1
                self._dismiss(room, connection)
            if failure:  # the log says why; the client may be anybody
                await context.abort(grpc.StatusCode.INTERNAL, failure)
            if refusal:
                self._refusals.say(time.monotonic(), context.peer(), method.name, refusal)
                await context.abort(code, refusal)

        return self._until_stopped(serve)

    async def _peer(self, context: Any) -> Peer:
        peer = peer_of(context)
        if self._authenticate is None:
            return peer
        found: Peer = await called("authenticate", self._authenticate, peer)
        return found

    async def _admit(self, method: Method, context: Any, peer: Peer) -> tuple[Room | None, Connection | None]:
        """Read the first request, find the group, and answer; nothing of the first request is kept after
        that.
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
        # A client that is too slow to take its first answer may keep the place only so long.
        timer = asyncio.get_running_loop().call_later(timeout, _release, places)
        try:
            room = await self._enter(node, peer)
            try:
                stream = self._stream(method, context, room, node)
                essential = csds.essential_node(node)
                connection = Connection(
                    context, stream, read, self._tell, room.connections, essential, self._turns
                )
            except BaseException:
                self._leave(room)
                raise
            room.connections[stream.client.number] = connection
            self._tell([Connected(stream.client)])
            try:
                await connection.begin(request)
            except BaseException:
                self._dismiss(room, connection)
                raise
        finally:
            timer.cancel()
            _release(places)
        return room, connection

    def _stream(self, method: Method, context: Any, room: Room, node: wire.Node) -> Stream:
        self._numbers += 1
        client = Client(self._numbers, node.id, room.group.key, context.peer(), method.path, method.delta)
        ttl = supports_ttl(tuple(node.client_features), delta=method.delta)
        return Stream(
            client,
            room.group,
            self._dialects[method.delta, ttl],
            self._policy,
            only_type=method.type_url,
            fallback=self._fallback,
            max_names=self._limits.max_names,
        )

    def _dismiss(self, room: Room | None, connection: Connection | None) -> None:
        if room is None or connection is None:
            return
        del room.connections[connection.stream.client.number]
        connection.stream.end()
        self._leave(room)
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

    def _room(self, key: Hashable) -> Room:
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(key, self._names)
        return room

    async def _enter(self, node: wire.Node, peer: Peer) -> Room:
        key = await called("group_of", self._group_of, node, peer)
        try:
            room = self._room(key)
        except TypeError:
            log.error("group_of gave %s, which is not hashable", type(key).__name__)
            raise CallbackError("group_of failed") from None
        room.arriving += 1
        if room.linger is not None:
            room.linger.cancel()
            room.linger = None
        if room.group.snapshot is None and self._on_group is not None:
            try:
                async with (
                    room.opening
                ):  # so that it is asked once, though many clients of a group come together
                    if room.group.snapshot is None:
                        room.made_on_demand = True
                        snapshot = await called("on_group", self._on_group, key, node)
                        if snapshot is not None and room.group.snapshot is None:
                            self._set_what_was_given(key, snapshot)
            except BaseException:
                self._leave(room)
                raise
        return room

    def _set_what_was_given(self, key: Hashable, snapshot: Snapshot) -> None:
        try:
            self.set_snapshot(key, snapshot)
        except TypeError:
            log.exception("on_group failed")
            raise CallbackError("on_group failed") from None

    def _leave(self, room: Room) -> None:
        room.arriving -= 1
        if room.arriving or self._stopping:
            return
        if not room.made_on_demand:
            if room.group.snapshot is None and self._rooms.get(room.group.key) is room:
                del self._rooms[room.group.key]  # clients may name groups that nobody ever gives a snapshot
            return
        loop = asyncio.get_running_loop()
        room.linger = loop.call_later(self._linger, self._forget, room)

    def _forget(self, room: Room) -> None:
        room.linger = None  # it holds the room, and both would wait for the collector
        if room.arriving or self._rooms.get(room.group.key) is not room:
            return
        del self._rooms[room.group.key]
        if self._on_group_empty is not None:
            self._on_group_empty(room.group.key)


def _until(peer: Peer) -> asyncio.Timeout:
    """Return what ends a stream when the credentials of its peer expire."""
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
