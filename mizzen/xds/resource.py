"""A resource: one named piece of configuration, as bytes that all its receivers share."""

from datetime import timedelta
from hashlib import blake2b
from typing import Any

from mizzen.xds import references, wire
from mizzen.xds.type_urls import RESOURCE

_TYPE_PREFIX = "type.googleapis.com/"

_put = object.__setattr__


_KEPT = 4096
"""Bytes of an encoded field that are kept for the next response."""


class Resource:
    """One resource of any type, immutable, compared by identity.

    Attributes:
        type_url: its type.
        name: its name, unique within the type.
        value: the serialised message (bytes). It is not looked into: clients say if it is not of this type.
        version: without one given, a hash of the content, the same in every process, so that a client that
            names the version it holds after a reconnect can be believed ("Incremental xDS",
            initial_resource_versions). One of your own must change whenever the content does.
        origins: whatever the owner wants to find again when a client rejects the resource (mizzen: file
            and line).
        ttl: how long a client may use the resource without hearing of it again ("TTL").
        aliases: other names under which clients may ask for it ("Resource names").
        children: (type, name) of the resources without which a client cannot warm this one, so that they
            are sent again when this one changes ("Resource warming"): a cluster's load assignment.
            `Resource.of` finds them; whoever gives the bytes gives them too.
        again: the same in other bytes, for a client that takes what it refused for taken when it comes again,
            without trying it (Envoy does so with secrets). It is asked again with these bytes and the
            first ones by turns.
        empty: it is a load assignment without endpoints. One that becomes empty together with a change of
            routes or listeners is sent after these. `Resource.of` finds it out.

    Raises:
        TypeError: an argument is not of its type.
        ValueError: the type URL has no "/", the name or an alias cannot be written as UTF-8, or the TTL is
            not positive.
    """

    __slots__ = (
        "_fields",
        "_mark",
        "_value",
        "again",
        "aliases",
        "children",
        "empty",
        "name",
        "origins",
        "ttl",
        "type_url",
        "version",
    )

    type_url: str
    name: str
    version: str
    origins: tuple[object, ...]
    ttl: timedelta | None
    aliases: tuple[str, ...]
    children: tuple[tuple[str, str], ...]
    empty: bool
    again: "Resource | None"
    _fields: dict[str, bytes]
    _mark: int | None
    _value: bytes | tuple[bytes, ...]

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
            # Rarely, so that what tens of thousands of resources have in common costs one comparison each.
            _check(type_url, name, value, version, origins, aliases, ttl)
        put = _put
        put(self, "type_url", type_url)
        put(self, "name", name)
        put(self, "_value", value)
        put(self, "version", version or content_version(value, ttl, aliases))
        put(self, "origins", origins)
        put(self, "ttl", ttl)
        put(self, "aliases", aliases)
        put(self, "children", children)
        put(self, "empty", empty)
        put(self, "again", again)
        put(self, "_fields", {})
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
        """A resource from a protobuf message, serialised deterministically. The message is free to be changed
        afterwards.

        `name` defaults to the message's own: `cluster_name` of a ClusterLoadAssignment, `name` of the others.

        Raises:
            TypeError: it is not a message, or one that has no name of its own and none is given.
            ValueError: its name is empty and none is given.
        """
        try:
            type_url = _TYPE_PREFIX + message.DESCRIPTOR.full_name
            if name is None:
                name = str(getattr(message, "cluster_name", "") or message.name)
                if not name:
                    raise ValueError(f"a {message.DESCRIPTOR.name} with an empty name; clients ask by name")
        except AttributeError:
            raise _not_a_resource(message) from None
        return cls(
            type_url,
            name,
            message.SerializeToString(deterministic=True),
            origins=origins,
            ttl=ttl,
            aliases=aliases,
            children=references.children(message),
            empty=references.is_empty(message),
            again=again,
        )

    @classmethod
    def joined(
        cls,
        type_url: str,
        name: str,
        pieces: tuple[bytes, ...],
        version: str,
        origins: tuple[object, ...] = (),
    ) -> "Resource":
        """A resource whose serialised message is these pieces, one behind the other. They are joined each
        time that somebody asks for the message, so that resources can have pieces in common.

        `version` has to change whenever a piece does. Type and name are checked as those of any resource.
        """
        made = cls(type_url, name, b"", version, origins)
        _put(made, "_value", pieces)
        return made

    @classmethod
    def unresolved(cls, type_url: str, name: str) -> "Resource":
        """What tells an incremental client that there is no resource of this name, for types of which it
        waits for one (`type_urls.UNRESOLVED`): a `Resource` with the name, as an alias too, and no body.
        """
        found = cls(type_url, name, b"", aliases=(name,))
        body = wire.string(wire.RESOURCE_NAME, name) + wire.string(wire.RESOURCE_ALIASES, name)
        found._fields["delta"] = wire.length_delimited(wire.RESPONSE_RESOURCES, body)
        return found

    def __setattr__(self, attribute: str, value: object) -> None:
        raise AttributeError(f"a Resource cannot be changed: {attribute}")

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:
        # So that a resource can be made in another process, or be part of what is copied.
        for attribute, value in state[1].items():
            _put(self, attribute, value)

    def __repr__(self) -> str:
        # Never the value: it may be a private key.
        return f"<Resource {self.type_url.rpartition('.')[2]} {self.name!r} version {self.version}>"

    @property
    def value(self) -> bytes:
        """The serialised message."""
        value = self._value
        return b"".join(value) if isinstance(value, tuple) else value

    @property
    def mark(self) -> int:
        """A number for name and version; the marks of all members, added up, identify a set of resources."""
        if self._mark is None:
            digest = blake2b(f"{self.name}\0{self.version}".encode(), digest_size=12)
            _put(self, "_mark", int.from_bytes(digest.digest(), "big"))
        assert self._mark is not None
        return self._mark

    def sotw_field(self, *, ttl: bool = False) -> bytes:
        """The `resources` field of a DiscoveryResponse that holds this resource, encoded once.

        With `ttl` (the client knows both features) a resource that has a TTL is wrapped in a `Resource`.
        """
        return self._field("wrapped" if ttl and self.ttl else "plain")

    def delta_field(self, *, ttl: bool = False) -> bytes:
        """The `resources` field of a DeltaDiscoveryResponse that holds this resource, encoded once."""
        return self._field("ttl" if ttl and self.ttl else "delta")

    def heartbeat_field(self, *, wrapped: bool) -> bytes:
        """The field that only renews the TTL: name, version and TTL without a body ("TTL")."""
        return self._field("wrapped heartbeat" if wrapped else "heartbeat")

    def _field(self, form: str) -> bytes:
        encoded = self._fields.get(form)
        if encoded is None:
            encoded = wire.length_delimited(wire.RESPONSE_RESOURCES, self._encode(form))
            if len(encoded) <= _KEPT:  # a large one is mostly copied, and keeping it would double the memory
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
    """The version of some content: 24 hexadecimal digits. A changed TTL is a changed version, so that it
    is sent; so are changed aliases, for somebody may be waiting for the new one.
    """
    digest = blake2b(value, digest_size=12)
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
    """Raise what `Resource` says it raises; a wrong argument would else end the streams of its clients."""
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
