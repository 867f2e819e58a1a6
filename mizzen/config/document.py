"""Documents: raw as a file gives them, and configurations as they are once typed and valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from mizzen.config.diagnostics import Origin

Spec = TypeVar("Spec", covariant=True)

FieldPath = tuple[str | int, ...]
"""A path into a document: `("spec", "http", 0, "route")`."""


class Lines(Protocol):
    """Tells the line of a field of one document."""

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line (from 1) of the field at `path`, or of its nearest ancestor that has one."""


class ConfigKey(NamedTuple):
    """The name under which a configuration is known: at most one valid version is in force for each key."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One YAML document of a supported kind, not yet typed. `content` is what the YAML says, whole;
    it is in no repr, as the document may be a Secret.
    """

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
        return ConfigKey(self.kind, self.namespace, self.name)

    @property
    def digest(self) -> bytes:
        """A digest of what the document says; comments, order of keys and layout are no part of it."""
        return self.known_digest or content_digest(self.api_version, self.namespace, self.content)


def content_digest(api_version: str, namespace: str, content: Mapping[str, Any]) -> bytes:
    """Return the digest of a document that says this."""
    text = json.dumps([api_version, namespace, dict(content)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, eq=False)
class Config(Generic[Spec]):
    """A typed and valid configuration: Istio's `config.Config`.

    Compared and hashed by identity: an unchanged document keeps its object over a reload, and everything
    computed from it is remembered by that identity. A document that only moved within its file has a new
    object, as its lines changed, and keeps its `spec` object.

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
        return ConfigKey(self.kind, self.namespace, self.name)

    def origin_of(self, *path: str | int) -> Origin:
        """Return the file and line of the field at `path`, for example `origin_of("spec", "http", 0)`."""
        return Origin(self.origin.file, self.lines.line_of(path), self.origin.document or self.key, path)
