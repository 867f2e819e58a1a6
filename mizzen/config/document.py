"""Documents: raw as read from a file, and configurations, which are typed and valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from mizzen.config.diagnostics import Origin

Spec = TypeVar("Spec", covariant=True)

FieldPath = tuple[str | int, ...]
"""A path into a document: `("spec", "http", 0, "route")`."""


class Lines(Protocol):
    """Finds the lines of the fields of one document."""

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line (from 1) of the field at `path`, or of its nearest ancestor that has one."""


class GroupKind(NamedTuple):
    """A kind of document: its name, and the API group that defines it ("": Kubernetes' core group). Two
    groups may have a kind of one name, as Gateway, so kinds are compared with their groups.

    The text is for people: `Gateway`, or `Gateway.networking.istio.io` if a kind of a different group has
    that name. Two kinds never have one text.
    """

    kind: str
    group: str

    def __str__(self) -> str:
        return _text(self)

    def key(self, namespace: str, name: str) -> ConfigKey:
        """Return the key of a configuration of this kind."""
        return ConfigKey(self, namespace, name)


class ConfigKey(NamedTuple):
    """The key of a configuration: at most one valid version is in force for each key."""

    group_kind: GroupKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.group_kind}/{self.namespace}/{self.name}"


@cache
def _text(kind: GroupKind) -> str:
    from mizzen.config.kinds import KINDS_BY_NAME  # imported here, because kinds are made of what is above

    only = [each.of for each in KINDS_BY_NAME.get(kind.kind, ())] == [kind]
    return kind.kind if only or not kind.group else f"{kind.kind}.{kind.group}"


@cache
def group_kind_of(api_version: str, kind: str) -> GroupKind:
    """Return the kind that a document states: `networking.istio.io/v1` and `Gateway`; `v1` and `Service`."""
    return GroupKind(kind, api_version.rpartition("/")[0])


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One YAML document of a supported kind, not yet typed. `content` is the whole document. The repr leaves
    it out, as it may be a Secret."""

    api_version: str
    kind: str
    namespace: str
    name: str
    content: Mapping[str, Any] = field(repr=False)
    origin: Origin
    lines: Lines = field(repr=False)
    known_digest: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> ConfigKey:
        """The key of the configuration that this document describes."""
        return ConfigKey(self.group_kind, self.namespace, self.name)

    @property
    def group_kind(self) -> GroupKind:
        """The kind of the document, with its group."""
        return group_kind_of(self.api_version, self.kind)

    @property
    def digest(self) -> bytes:
        """A digest of the document's content; comments, order of keys and layout do not change it."""
        return self.known_digest or content_digest(self.api_version, self.namespace, self.content)


def content_digest(api_version: str, namespace: str, content: Mapping[str, Any]) -> bytes:
    """Return the digest of a document with this content."""
    text = json.dumps([api_version, namespace, dict(content)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, eq=False)
class Config(Generic[Spec]):
    """A typed and valid configuration: Istio's `config.Config`.

    Compared and hashed by identity: an unchanged document keeps its object over a reload, and everything
    computed from it is remembered by that identity. A document that only moved within its file gets a new
    object, as its lines changed, with the same `spec` object.

    `spec` is the typed `spec` of an Istio kind; for a Kubernetes kind it is the typed document without
    apiVersion, kind and metadata.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    spec: Spec
    origin: Origin
    lines: Lines = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    creation_timestamp: datetime | None = None

    @property
    def key(self) -> ConfigKey:
        """The key under which this configuration is in force."""
        return ConfigKey(self.group_kind, self.namespace, self.name)

    @property
    def group_kind(self) -> GroupKind:
        """The kind of the configuration, with its group."""
        return group_kind_of(self.api_version, self.kind)

    def origin_of(self, *path: str | int) -> Origin:
        """Return the file and line of the field at `path`, for example `origin_of("spec", "http", 0)`."""
        return Origin(self.origin.file, self.lines.line_of(path), self.origin.document or self.key, path)
