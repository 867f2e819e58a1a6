"""Documents in force as plain values for JSON, and back.

A typed document has the same content as its YAML, so `from_plain` makes an equal document of it. For a Secret
only the names of its values are given, and a digest of each that is a certificate or its key, so that an
owner of the same values can compare them. For tokens only public keys are given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, ConfigKey, Document, group_kind_of
from mizzen.config.group_kinds import REQUEST_AUTHENTICATION, SECRET
from mizzen.config.json_web_keys import public_key_set, tells_secrets
from mizzen.config.kinds import KINDS
from mizzen.config.lines import DocumentLines
from mizzen.config.typed_documents import to_config

_DIGESTED: Final = ("tls.crt", "tls.key", "ca.crt", "cert", "key", "cacert", "crl")
"""Values that are public, or so random that a digest does not reveal them."""


def plain(config: Config[Any]) -> dict[str, Any]:
    """Return the content of a document in the form of its YAML, without its origin."""
    metadata: dict[str, Any] = {"name": config.name, "namespace": config.namespace}
    for field, values in (("labels", config.labels), ("annotations", config.annotations)):
        if values:
            metadata[field] = dict(values)
    if config.creation_timestamp is not None:
        metadata["creationTimestamp"] = config.creation_timestamp.isoformat()
    head = {"apiVersion": config.api_version, "kind": config.kind, "metadata": metadata}
    if config.group_kind == SECRET:
        return {**head, "type": config.spec.type, "digests": secret_digests(config)}
    spec = config.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if config.group_kind == REQUEST_AUTHENTICATION:
        for rule in spec.get("jwtRules") or ():
            if tells_secrets(rule.get("jwks") or ""):
                rule["jwks"] = public_key_set(rule["jwks"])[0]
    return {**head, "spec": spec} if KINDS[config.group_kind].has_spec else {**head, **spec}


def plain_origin(config: Config[Any]) -> dict[str, Any]:
    """Return where a document stands: its file, its line, and the lines of its fields."""
    lines = config.lines.as_lists() if isinstance(config.lines, DocumentLines) else None
    return {"file": config.origin.file, "line": config.origin.line, "lines": lines}


def from_plain(content: Mapping[str, Any], origin: Mapping[str, Any]) -> Config[Any] | None:
    """Return the document made from `plain` and `plain_origin`; None if this version of Mizzen refuses it."""
    key = plain_key(content)
    document = Document(
        content["apiVersion"],
        key.group_kind.kind,
        key.namespace,
        key.name,
        content,
        origin_from_plain(origin, key),
        lines_from_plain(origin),
    )
    return to_config(document)[0]


def plain_key(content: Mapping[str, Any]) -> ConfigKey:
    """Return the key of a document made by `plain`."""
    group_kind = group_kind_of(content["apiVersion"], content["kind"])
    return group_kind.key(content["metadata"]["namespace"], content["metadata"]["name"])


def origin_from_plain(origin: Mapping[str, Any], document: ConfigKey) -> Origin:
    """Return the origin of a document from its `plain_origin`."""
    return Origin(origin["file"], origin["line"], document)


def lines_from_plain(origin: Mapping[str, Any]) -> DocumentLines:
    """Return the lines of a document from its `plain_origin`."""
    if origin["lines"] is None:
        return DocumentLines.single(origin["line"])
    return DocumentLines.from_lists(*origin["lines"])


def secret_digests(config: Config[Any]) -> dict[str, str]:
    """Return a digest for each value of a Secret that is a certificate or its key,
    and "" for each other value."""
    return {
        name: hashlib.sha256(value).hexdigest() if name in _DIGESTED else ""
        for name, value in sorted(config.spec.data.items())
    }
