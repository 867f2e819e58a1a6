"""The client status discovery service: what each client has accepted, for Envoy's own tools.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from mizzen.xds.callbacks import CallbackError, PeerUnauthenticated
from mizzen.xds.channel import Channel
from mizzen.xds.connection import Connection, uncancelled
from mizzen.xds.group import Quarantined
from mizzen.xds.peer import Peer
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import SECRET
from mizzen.xds.wire import Node

Connections = Callable[[], list[Connection]]

Admit = Callable[[Any], Awaitable[None]]
"""Ends a call of the service, by its context, whose peer may not know what other clients hold."""

Stoppable = Callable[[Callable[[Any], Awaitable[None]]], Callable[[Any, Any], Awaitable[None]]]
"""Makes the handler of a stream one that ends when the server stops."""


def essential_node(node: Node) -> bytes:
    """A `Node` without the list of the client's extensions, which is most of its bytes; `node` loses it
    too.
    """
    node.ClearField("extensions")
    return bytes(node.SerializeToString())


async def anyone(_: Any) -> None:
    """Let everybody know."""


def only_for(peer_of: Callable[[Any], Awaitable[Peer]], may_know: Callable[[Peer], bool]) -> Admit:
    """Let those know who prove who they are, and of whom `may_know` says so."""

    async def admit(context: Any) -> None:
        try:
            allowed = may_know(await peer_of(context))
        except PeerUnauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except CallbackError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        if not allowed:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the status of clients is not told here")

    return admit


def handlers(connections: Connections, until_stopped: Stoppable, admit: Admit = anyone) -> dict[str, Any]:
    """The methods of the service, for `grpc.method_handlers_generic_handler`."""

    one_at_a_time = asyncio.Lock()  # an answer may be as large as all that all clients hold

    async def fetch(_: Any, context: Any) -> bytes:
        # A method of streams, though one request comes: gRPC would else read it before we know of whom.
        await admit(context)
        data = await context.read()
        if data is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call has no request")
        async with one_at_a_time:
            return await _answer(data, context, connections)

    async def stream(context: Any) -> None:
        await admit(context)
        while (data := await context.read()) is not grpc.aio.EOF:
            async with one_at_a_time:
                answer = await _answer(data, context, connections)
            await uncancelled(context.write(answer))

    return {
        "FetchClientStatus": grpc.stream_unary_rpc_method_handler(fetch),
        "StreamClientStatus": grpc.stream_stream_rpc_method_handler(until_stopped(stream)),
    }


async def _answer(data: bytes, context: Any, connections: Connections) -> bytes:
    try:
        request = csds_pb2.ClientStatusRequest.FromString(data)
    except DecodeError as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot decode a ClientStatusRequest: {error}")
    response = csds_pb2.ClientStatusResponse()
    for connection in connections():
        await asyncio.sleep(0)  # the streams of the clients go on meanwhile
        node = base_pb2.Node.FromString(connection.node)
        if not request.node_matchers or any(_matches(matcher, node) for matcher in request.node_matchers):
            config = response.config.add(node=node)
            held = connection.stream.group.held
            for channel in connection.stream.channels.values():
                configs = _configs(channel, held, contents=not request.exclude_resource_contents)
                config.generic_xds_configs.extend(configs)
    return bytes(response.SerializeToString())


def _matches(matcher: Any, node: Node) -> bool:
    """By node id; a matcher that says more than this service can compare matches nothing."""
    if matcher.node_metadatas or not matcher.HasField("node_id"):
        return False
    kind = matcher.node_id.WhichOneof("match_pattern")
    value, wanted = node.id, getattr(matcher.node_id, kind) if kind else ""
    if matcher.node_id.ignore_case and isinstance(wanted, str):
        value, wanted = value.lower(), wanted.lower()
    match kind:
        case "exact":
            return bool(value == wanted)
        case "prefix":
            return bool(value.startswith(wanted))
        case "suffix":
            return bool(value.endswith(wanted))
        case "contains":
            return wanted in value
    return False


def _configs(channel: Channel, held: tuple[Quarantined, ...], *, contents: bool) -> Iterator[Any]:
    subscription = channel.subscription
    collection = subscription.sent
    known: Collection | dict[str, Resource] = collection if collection is not None else {}
    refused = _refused(channel, held)
    # What was refused and has no older version is not among what the client was sent.
    names = known.keys() | refused.keys() if subscription.wildcard else subscription.names
    for name in sorted(names):
        resource = collection.find(name) if collection is not None else None
        config = csds_pb2.ClientConfig.GenericXdsConfig(type_url=channel.type_url, name=name)
        config.client_status = _status(channel, name, resource, refused)
        if resource is not None:
            config.version_info = resource.version
            if contents and channel.type_url != SECRET:
                config.xds_config.CopyFrom(AnyMessage(type_url=resource.type_url, value=resource.value))
        if name in refused:
            config.error_state.details, config.error_state.version_info = refused[name]
        yield config


def _refused(channel: Channel, held: tuple[Quarantined, ...]) -> dict[str, tuple[str, str]]:
    """By name, the client's words and the version that it refused; also what is held back since then."""
    refused = {
        each.resource.name: (each.message, each.resource.version)
        for each in held
        if each.resource.type_url == channel.type_url
    }
    if channel.refusal is not None:
        for name in channel.refusal.names:
            refused.setdefault(name, (channel.refusal.message, channel.refusal.version))
    return refused


def _status(
    channel: Channel, name: str, resource: Resource | None, refused: dict[str, tuple[str, str]]
) -> int:
    from envoy.admin.v3 import config_dump_shared_pb2 as shared

    if name in refused:
        return int(shared.ClientResourceStatus.NACKED)
    if resource is None:
        return int(shared.ClientResourceStatus.REQUESTED)
    accepted = channel.subscription.accepted
    has = accepted.get(name) if accepted is not None else None
    if has is not None and has.version == resource.version:
        return int(shared.ClientResourceStatus.ACKED)
    return int(shared.ClientResourceStatus.REQUESTED)
