"""Documents that are in force, as plain values for JSON, and back.

A typed document says the same as the YAML that it came from, so `from_plain` makes an equal one of it.
Of a Secret it is told which values it has, and of those that are certificates or their keys a digest: whoever
has the same values can see that they are the same. Of keys of tokens only the public ones are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, ConfigKey, Document
from mizzen.config.json_web_keys import public_key_set, tells_secrets
from mizzen.config.kinds import KINDS
from mizzen.config.lines import DocumentLines
from mizzen.config.typed_documents import to_config

_DIGESTED: Final = ("tls.crt", "tls.key", "ca.crt", "cert", "key", "cacert", "crl")
"""Values with so much chance in them that nobody finds them by their digest, or that are public anyway."""


def plain(config: Config[Any]) -> dict[str, Any]:
    """Return what a document says, in the form of its YAML; without its place."""
    metadata: dict[str, Any] = {"name": config.name, "namespace": config.namespace}
    for field, values in (("labels", config.labels), ("annotations", config.annotations)):
        if values:
            metadata[field] = dict(values)
    if config.creation_timestamp is not None:
        metadata["creationTimestamp"] = config.creation_timestamp.isoformat()
    head = {"apiVersion": config.api_version, "kind": config.kind, "metadata": metadata}
    if config.kind == "Secret":
        return {**head, "type": config.spec.type, "digests": secret_digests(config)}
    spec = config.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if config.kind == "RequestAuthentication":
        for rule in spec.get("jwtRules") or ():
            if tells_secrets(rule.get("jwks") or ""):
                rule["jwks"] = public_key_set(rule["jwks"])[0]
    return {**head, "spec": spec} if KINDS[config.kind].has_spec else {**head, **spec}


def plain_place(config: Config[Any]) -> dict[str, Any]:
    """Return where a document stands: its file, its line, and the lines of its fields."""
    lines = config.lines.as_lists() if isinstance(config.lines, DocumentLines) else None
    return {"file": config.origin.file, "line": config.origin.line, "lines": lines}


def from_plain(content: Mapping[str, Any], place: Mapping[str, Any]) -> Config[Any] | None:
    """Return the document that `plain` and `plain_place` told, None if this version of Mizzen refuses it."""
    key = plain_key(content)
    document = Document(
        content["apiVersion"],
        key.kind,
        key.namespace,
        key.name,
        content,
        origin_of_place(place, key),
        lines_of_place(place),
    )
    return to_config(document)[0]


def plain_key(content: Mapping[str, Any]) -> ConfigKey:
    """Return the key of a document that `plain` told."""
    return ConfigKey(content["kind"], content["metadata"]["namespace"], content["metadata"]["name"])


def origin_of_place(place: Mapping[str, Any], document: ConfigKey) -> Origin:
    """Return the origin of a document that stands there."""
    return Origin(place["file"], place["line"], document)


def lines_of_place(place: Mapping[str, Any]) -> DocumentLines:
    """Return the lines of a document that stands there."""
    if place["lines"] is None:
        return DocumentLines.single(place["line"])
    return DocumentLines.from_lists(*place["lines"])


def secret_digests(config: Config[Any]) -> dict[str, str]:
    """Return a digest for each value of a Secret that is a certificate or its key, and empty texts for the
    others."""
    return {
        name: hashlib.sha256(value).hexdigest() if name in _DIGESTED else ""
        for name, value in sorted(config.spec.data.items())
    }
