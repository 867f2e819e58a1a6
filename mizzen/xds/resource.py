"""A resource: one named piece of configuration, as bytes that all receivers share."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from mizzen.xds import references, wire
from mizzen.xds.type_urls import RESOURCE

_TYPE_PREFIX = "type.googleapis.com/"

_put = object.__setattr__


_CACHED = 4096
"""Most bytes of an encoded field that is cached for the next response."""


class Resource:
    """One resource of any type, immutable, compared by identity.

    Attributes:
        type_url: the type URL.
        name: the name, unique within the type.
        value: the serialised message (bytes). It is not parsed: clients reject a message of another type.
        version: the version; by default a hash of the content. The hash is the same in every process, so the
            version that a client names after a reconnect is comparable ("Incremental xDS",
            initial_resource_versions). A version that you pass must change whenever the content does.
        origins: any values that the owner wants back when a client rejects the resource (mizzen: file and
            line).
        ttl: how long a client may use the resource without hearing of it again ("TTL").
        aliases: other names under which clients may ask for the resource ("Resource names").
        children: (type, name) of the resources that a client needs to warm this one; they are sent again when
            this one changes ("Resource warming"). A cluster has its load assignment. `Resource.of` finds
            them; a caller that passes bytes passes them too.
        again: the same content in different bytes. A client may accept bytes that it rejected before without
            trying them again (Envoy does so with secrets). Retries use these bytes and the first ones in
            turn.
        empty: True for a load assignment without endpoints. One that becomes empty together with a change of
            routes or listeners is sent after these. `Resource.of` sets it.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: the type URL has no "/", the name or an alias cannot be written as UTF-8, or the TTL is
            not positive.
    """

    __slots__ = (
        "__weakref__",
        "_fields",
        "_mark",
        "_origins",
        "_value",
        "again",
        "aliases",
        "children",
        "empty",
        "name",
        "ttl",
        "type_url",
        "version",
    )

    type_url: str
    name: str
    version: str
    ttl: timedelta | None
    aliases: tuple[str, ...]
    children: tuple[tuple[str, str], ...]
    empty: bool
    again: "Resource | None"
    _fields: dict[str, bytes] | None
    _mark: int | None
    _origins: tuple[object, ...] | Callable[[], tuple[object, ...]]
    _value: bytes | Iterable[bytes]

    def __init__(
        self,
        type_url: str,
        name: str,
        value: bytes,
        version: str = "",
        origins: tuple[object, ...] = (),
        ttl: timedelta | None = None,
        *,
        aliases: tuple[str, ...] = (),
        children: tuple[tuple[str, str], ...] = (),
        empty: bool = False,
        again: "Resource | None" = None,
    ) -> None:
        if not (
            type(name) is str
            and name.isascii()
            and type(value) is bytes
            and type(type_url) is str
            and "/" in type_url
            and type(version) is str
            and type(origins) is tuple
            and not aliases
            and ttl is None
        ):
            # The full check is rare: for tens of thousands of ordinary resources one comparison is enough.
            _check(type_url, name, value, version, origins, aliases, ttl)
        put = _put
        put(self, "type_url", type_url)
        put(self, "name", name)
        put(self, "_value", value)
        put(self, "version", version or content_version(value, ttl, aliases))
        put(self, "_origins", origins)
        put(self, "ttl", ttl)
        put(self, "aliases", aliases)
        put(self, "children", children)
        put(self, "empty", empty)
        put(self, "again", again)
        put(self, "_fields", None)
        put(self, "_mark", None)

    @classmethod
    def of(
        cls,
        message: Any,
        *,
        name: str | None = None,
        origins: tuple[object, ...] = (),
        ttl: timedelta | None = None,
        aliases: tuple[str, ...] = (),
        again: "Resource | None" = None,
    ) -> "Resource":
        """A resource from a protobuf message, serialised deterministically. The message may be changed
        afterwards.

        `name` defaults to that of the message: `cluster_name` of a ClusterLoadAssignment, `name` of others.

        Raises:
            TypeError: `message` is not a message, or has no name field and no `name` is given.
            ValueError: the message's name is empty and no `name` is given.
        """
        try:
            full_name = message.DESCRIPTOR.full_name
            if name is None:
                name = str(getattr(message, "cluster_name", "") or message.name)
                if not name:
                    raise ValueError(f"a {message.DESCRIPTOR.name} with an empty name; clients ask by name")
        except AttributeError:
            raise _not_a_resource(message) from None
        return cls(
            _TYPE_PREFIX + full_name,
            name,
            message.SerializeToString(deterministic=True),
            origins=origins,
            ttl=ttl,
            aliases=aliases,
            children=references.children(message) if full_name == references.CLUSTER else (),
            empty=full_name == references.LOAD_ASSIGNMENT and references.is_empty(message),
            again=again,
        )

    @classmethod
    def joined(
        cls,
        type_url: str,
        name: str,
        pieces: Iterable[bytes],
        version: str,
        origins: tuple[object, ...] | Callable[[], tuple[object, ...]] = (),
    ) -> "Resource":
        """A resource whose serialised message is the concatenation of these pieces. They are joined anew at
        each use of the message, so that resources can share pieces: each iteration over `pieces` must yield
        the same.

        `version` must change whenever a piece does. `origins` may be a function that finds them, which is
        called when they are first asked for. Type and name are checked as for any resource.
        """
        made = cls(type_url, name, b"", version)
        _put(made, "_value", pieces)
        _put(made, "_origins", origins)
        return made

    @classmethod
    def unresolved(cls, type_url: str, name: str) -> "Resource":
        """The answer to an incremental client for a name that does not exist, for types in
        `type_urls.UNRESOLVED`: a `Resource` with the name, which is also its alias, and no body.
        """
        found = cls(type_url, name, b"", aliases=(name,))
        body = wire.string(wire.RESOURCE_NAME, name) + wire.string(wire.RESOURCE_ALIASES, name)
        _put(found, "_fields", {"delta": wire.length_delimited(wire.RESPONSE_RESOURCES, body)})
        return found

    def __setattr__(self, attribute: str, value: object) -> None:
        raise AttributeError(f"a Resource cannot be changed: {attribute}")

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:
        # So that resources can be pickled (made in another process) and copied.
        for attribute, value in state[1].items():
            _put(self, attribute, value)

    def __repr__(self) -> str:
        # Never the value: it may be a private key.
        return f"<Resource {self.type_url.rpartition('.')[2]} {self.name!r} version {self.version}>"

    @property
    def value(self) -> bytes:
        """The serialised message."""
        value = self._value
        return value if isinstance(value, bytes) else b"".join(value)

    @property
    def pieces(self) -> Iterable[bytes]:
        """What `joined` was given; of any other resource, the serialised message as the only piece."""
        value = self._value
        return (value,) if isinstance(value, bytes) else value

    @property
    def origins(self) -> tuple[object, ...]:
        """What the owner wants back when a client rejects the resource."""
        origins = self._origins
        if callable(origins):
            origins = origins()
            _put(self, "_origins", origins)
        return origins

    @property
    def mark(self) -> int:
        """A number for name and version. The sum of all members' marks identifies a set of resources."""
        mark = self._mark
        if mark is None:
            digest = blake2b(f"{self.name}\0{self.version}".encode(), digest_size=12).digest()
            mark = int.from_bytes(digest, "big")
            _put(self, "_mark", mark)
        return mark

    def sotw_field(self, *, ttl: bool = False) -> bytes:
        """The `resources` field of a DiscoveryResponse with this resource, encoded once.

        With `ttl` (the client has both features) a resource that has a TTL is wrapped in a `Resource`.
        """
        return self._field("wrapped" if ttl and self.ttl else "plain")

    def delta_field(self, *, ttl: bool = False) -> bytes:
        """The `resources` field of a DeltaDiscoveryResponse with this resource, encoded once."""
        return self._field("ttl" if ttl and self.ttl else "delta")

    def heartbeat_field(self, *, wrapped: bool) -> bytes:
        """The field that only renews the TTL: name, version and TTL without a body ("TTL")."""
        return self._field("wrapped heartbeat" if wrapped else "heartbeat")

    def _field(self, form: str) -> bytes:
        encoded = None if self._fields is None else self._fields.get(form)
        if encoded is None:
            encoded = wire.length_delimited(wire.RESPONSE_RESOURCES, self._encode(form))
            if len(encoded) <= _CACHED:  # for a large one the time is in copying, and a cache doubles memory
                if self._fields is None:
                    _put(self, "_fields", {})
                assert self._fields is not None
                self._fields[form] = encoded
        return encoded

    def _encode(self, form: str) -> bytes:
        if form == "plain":
            return wire.any_message(self.type_url, self.value)
        if form.startswith("wrapped"):
            inner = self._encode("heartbeat" if form.endswith("heartbeat") else "ttl")
            return wire.any_message(RESOURCE, inner)
        pieces = [
            wire.string(wire.RESOURCE_VERSION, self.version),
            wire.string(wire.RESOURCE_NAME, self.name),
        ]
        pieces += [wire.string(wire.RESOURCE_ALIASES, alias) for alias in self.aliases]
        if form != "heartbeat":
            pieces.append(wire.length_delimited(wire.RESOURCE_BODY, self._encode("plain")))
        if form != "delta" and self.ttl is not None:
            pieces.append(wire.duration(wire.RESOURCE_TTL, self.ttl))
        return b"".join(pieces)


def content_version(value: bytes, ttl: timedelta | None = None, aliases: tuple[str, ...] = ()) -> str:
    """The version of some content: 24 hexadecimal digits. A changed TTL changes the version, so that the
    resource is sent again. So do changed aliases, because a client may be waiting for the new one.
    """
    digest = blake2b(value, digest_size=12)
    if ttl is None and not aliases:
        return digest.hexdigest()
    if ttl is not None:
        digest.update(str(ttl).encode())
    for alias in aliases:
        digest.update(f"\0{alias}".encode())
    return digest.hexdigest()


def _check(
    type_url: object,
    name: object,
    value: object,
    version: object,
    origins: object,
    aliases: object,
    ttl: object,
) -> None:
    """Raise the errors of `Resource`. Unchecked, a wrong argument would end the streams of clients later."""
    who = f"the resource {name!r}"
    if not isinstance(type_url, str):
        raise TypeError(f"{who}: type_url is a str, such as type_urls.CLUSTER, not {_kind(type_url)}")
    if "/" not in type_url:
        raise ValueError(
            f"{who}: {type_url!r} is not a type URL; one looks like "
            '"type.googleapis.com/envoy.config.cluster.v3.Cluster"'
        )
    if not isinstance(value, bytes):
        better = "Resource.of(message) serialises" if hasattr(value, "SerializeToString") else "encode it"
        raise TypeError(f"{who}: value is the serialised message, bytes, not {_kind(value)}: {better}")
    if not isinstance(version, str):
        raise TypeError(f"{who}: version is a str, not {_kind(version)}")
    for argument, given in ("origins", origins), ("aliases", aliases):
        if not isinstance(given, tuple):
            raise TypeError(f"{who}: {argument} is a tuple, not {_kind(given)}")
    assert isinstance(aliases, tuple)
    for each in (name, *aliases):
        if not isinstance(each, str):
            raise TypeError(f"{who}: a name is a str, not {_kind(each)}")
        try:
            each.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{who}: {each!r} cannot be written as UTF-8: {error.reason}") from None
    if ttl is not None:
        if not isinstance(ttl, timedelta):
            raise TypeError(f"{who}: ttl is a timedelta, not {_kind(ttl)}")
        if ttl <= timedelta(0):
            raise ValueError(f"{who}: a TTL must be positive, not {ttl}")


def _not_a_resource(message: Any) -> TypeError:
    if not hasattr(message, "DESCRIPTOR") or isinstance(message, type):
        what = f"the class {message.__name__}" if isinstance(message, type) else _kind(message)
        return TypeError(f"Resource.of takes a protobuf message, not {what}")
    full_name = message.DESCRIPTOR.full_name
    if full_name == "google.protobuf.Any":
        return TypeError("Resource.of takes the message itself, not the Any around it")
    return TypeError(f"a {full_name} has no name of its own: Resource.of(message, name=...)")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
