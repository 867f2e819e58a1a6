"""Reading a file: from its bytes to raw documents of known kinds, each with its lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mizzen.config.codes import (
    AMBIGUOUS_KEY,
    NOT_A_DOCUMENT,
    SCHEMA,
    SKIPPED_KIND,
    SYNTAX,
    UNFILLED,
    UNREADABLE,
    UNSERVED_KIND,
)
from mizzen.config.composed_yaml import trees
from mizzen.config.diagnostics import MAX_DIAGNOSTICS, Diagnostic, Origin, Severity, bounded
from mizzen.config.document import ConfigKey, Document, FieldPath, GroupKind, content_digest, group_kind_of
from mizzen.config.file_pieces import Piece, Pieces, recalled
from mizzen.config.file_text import NotText, file_text, text_pieces
from mizzen.config.group_kinds import CONFIG_MAP, SERVICE
from mizzen.config.kinds import KINDS, KINDS_BY_NAME, UNSERVED, Kind
from mizzen.config.lines import DocumentLines
from mizzen.config.mesh_config_text import is_mesh_config_map, looks_like_mesh_config
from mizzen.config.names import namespace_error, object_name_error
from mizzen.config.placeholders import (
    OPENING,
    masked,
    unfilled_lines,
    unfilled_message,
    unfilled_values,
)
from mizzen.config.refused import hosts_written
from mizzen.config.scalars import describe, shortened
from mizzen.config.schema_errors import place
from mizzen.config.schema_fields import nearest
from mizzen.config.snake_case import may_be_snake_case, with_json_names
from mizzen.config.yaml_tree import Problem, YamlError

MAX_FILE_BYTES: Final = 10 * 1024 * 1024
"""The default limit of a file: some 20,000 documents."""


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    """A document whose key is known, but whose content cannot be trusted. `hosts`: as in `Refusal`."""

    key: ConfigKey
    origin: Origin
    diagnostics: tuple[Diagnostic, ...]
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The content of a file.

    `documents` are the documents of kinds that a mesh reads, in the order of the file, not yet typed.
    `refused` are those whose key is known, but whose content cannot be trusted. `diagnostics` are the
    diagnostics about the rest of the file. `broken`: the file as a whole cannot be trusted (it was not read,
    or is not YAML); its documents only serve to find more mistakes. `unidentified`: a document does not say
    what it is, so the absence of a document from the file proves nothing.
    """

    file: str
    documents: tuple[Document, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: bool = False
    refused: tuple[RefusedDocument, ...] = ()
    unidentified: bool = False
    pieces: Pieces = field(default_factory=dict, repr=False, compare=False)


def unreadable_file(file: str, message: str) -> ParsedFile:
    """Return a file that cannot be read: it has only the reason."""
    return ParsedFile(file, diagnostics=(_error(UNREADABLE, message, Origin(file)),), broken=True)


def too_big(file: str, size: int, limit: int = MAX_FILE_BYTES) -> ParsedFile:
    """Return a file that is too big to be read."""
    return unreadable_file(
        file, f"has {size} bytes, more than the limit of {limit}; split it, or raise the limit"
    )


def empty_file(file: str) -> ParsedFile:
    """Return a file without a single byte where documents are expected."""
    return unreadable_file(
        file,
        "is empty, as if it were still being written; write it, remove it, or put a comment into it",
    )


def parse_documents(
    data: bytes,
    file: str,
    *,
    default_namespace: str = "default",
    max_bytes: int = MAX_FILE_BYTES,
    known: Pieces | None = None,
    once: bool = False,
) -> ParsedFile:
    """Read the documents of a file's bytes: YAML or JSON, several documents, Kubernetes `List`s.

    `file` is the name under which diagnostics show the file. A document without a namespace belongs to
    `default_namespace`. `known` are the `pieces` of an earlier version of the file, read with the same
    options: a piece with the same text is not read again. `once`: there will be no later version, so nothing
    is kept for it. The content of the bytes never raises: everything wrong becomes a diagnostic.
    """
    if len(data) > max_bytes:
        return too_big(file, len(data), max_bytes)
    text = file_text(data)
    if isinstance(text, NotText):
        origin = Origin(file, text.line) if text.line else Origin(file)
        return ParsedFile(file, diagnostics=(_error(UNREADABLE, text.message, origin),), broken=True)
    reader = _Reader(file, default_namespace)
    pieces: dict[bytes, Piece] = {}
    chunks = list(text_pieces(text))
    for chunk, first_line in chunks:
        if reader.broken and len(reader.diagnostics) > MAX_DIAGNOSTICS:
            break  # Nothing of a broken file comes into force, so the rest of it need not be known.
        if once or len(chunks) < _MANY:
            reader.read(chunk, first_line)
        else:
            digest, piece = reader.read_piece(chunk, first_line, known or {})
            if piece is not None:
                pieces[digest] = piece
    return ParsedFile(
        file,
        tuple(reader.documents),
        bounded(reader.diagnostics),
        reader.broken,
        tuple(reader.refused),
        reader.unidentified,
        pieces,
    )


_MANY: Final = 16
"""From this number of documents on, knowing which are unchanged in the next version is worth the memory."""


_STATED: Final = {
    "apiVersion": "apiVersion: networking.istio.io/v1",
    "kind": "kind: VirtualService",
}
"""The fields that every document must have, with an example."""

_OF_OBJECTS: Final = ("apiVersion", "kind", "metadata", "spec")
"""Fields of Kubernetes objects: even an incomplete one has at least one of these."""


@dataclass(slots=True)
class _Reader:
    """Collects the documents of one file."""

    file: str
    default_namespace: str
    digests: bool = False
    documents: list[Document] = field(default_factory=list)
    refused: list[RefusedDocument] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: bool = False
    unidentified: bool = False
    templated: bool = False
    snake_case: bool = False

    def read(self, text: str, first_line: int) -> None:
        self.templated, self.snake_case = OPENING in text, may_be_snake_case(text)
        try:
            # A template is read to its end first: if it is not YAML, only its placeholders are reported.
            found = trees(text, first_line)
            for tree in list(found) if self.templated else found:
                self._add(tree.value, tree.lines, tree.problems)
        except YamlError as error:
            if not (self.templated and self._template(text, first_line, error)):
                self.broken = True
                self.diagnostics.append(_error(SYNTAX, error.message, Origin(self.file, error.line)))

    def read_piece(self, text: str, first_line: int, known: Pieces) -> tuple[bytes, Piece | None]:
        """Like `read`, but take the documents from `known` if it has the text. Return the text's digest, and
        its documents for the next version of the file; None if there are diagnostics about them."""
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        piece = known.get(digest)
        if piece is not None:
            self.documents.extend(
                recalled(piece, self.file, first_line, lambda: self._read_again(text, first_line))
            )
            return digest, piece
        alone = _Reader(self.file, self.default_namespace, digests=True)
        alone.read(text, first_line)
        self.documents.extend(alone.documents)
        self.refused.extend(alone.refused)
        self.diagnostics.extend(alone.diagnostics)
        self.broken = self.broken or alone.broken
        self.unidentified = self.unidentified or alone.unidentified
        if alone.diagnostics or alone.refused or alone.broken or alone.unidentified:
            return digest, None
        return digest, Piece.of(alone.documents, first_line)

    def _read_again(self, text: str, first_line: int) -> list[Document]:
        reader = _Reader(self.file, self.default_namespace)
        reader.read(text, first_line)
        return reader.documents

    def _template(self, text: str, first_line: int, error: YamlError) -> bool:
        """Report the placeholders of a text that is not YAML; return False if they are not the cause."""
        unfilled = unfilled_lines(text, first_line)
        try:
            written = list(trees(masked(text), first_line))
        except YamlError as other:
            written = []
            if other.line == error.line and error.line not in dict(unfilled):
                return False
        named = [
            _error(UNFILLED, unfilled_message(action), Origin(self.file, line)) for line, action in unfilled
        ]
        if not named:
            return False
        keys = [self._key(tree.value) for tree in written if tree.value is not None]
        if len(keys) == 1 and keys[0] is not None:
            origin = Origin(self.file, written[0].lines.line_of(()), keys[0])
            self.refused.append(RefusedDocument(keys[0], origin, bounded(named)))
        else:
            self.diagnostics.extend(named)
            self.unidentified = True
        return True

    def _key(self, content: Any) -> ConfigKey | None:
        """Return the key of the masked text of a template; None if it has none."""
        if not isinstance(content, dict) or not isinstance(content.get("apiVersion"), str):
            return None
        kind = KINDS.get(group_kind_of(content["apiVersion"], str(content.get("kind"))))
        if kind is None:
            return None
        named = self._named(kind, content, DocumentLines.single(0))
        return None if isinstance(named, Diagnostic) else kind.of.key(*named)

    def _unfilled(self, content: dict[str, Any], lines: DocumentLines) -> list[Diagnostic]:
        """Return the placeholders in a document that is YAML: in its name, and in
        the fields that a mesh reads."""
        if not self.templated:
            return []
        kind = KINDS.get(group_kind_of(content["apiVersion"], content["kind"]))
        whole = kind is None or kind.has_spec or kind.of == SERVICE
        read = content if whole else {"metadata": content.get("metadata")}
        return [
            _error(UNFILLED, unfilled_message(text), Origin(self.file, lines.line_of(path)), place(path))
            for path, text in unfilled_values(read)
        ]

    def _add(self, content: Any, lines: DocumentLines, problems: Sequence[Problem]) -> None:
        if content is None:
            return
        diagnostics = [_diagnostic(problem, self.file) for problem in problems]
        if not isinstance(content, dict):
            # Without the text itself: in a file that is not a document, it may be a key or a password.
            given = "a text" if isinstance(content, str) else describe(content)
            message = f"a document must be a mapping with apiVersion, kind and metadata; not {given}"
            self._unidentified(diagnostics, message, lines)
            return
        for name, right in _STATED.items():
            value = content.get(name)
            if not isinstance(value, str) or not value:
                wrong = "is missing" if not value else f"must be a string; not {describe(value)}"
                cure = f"write for example `{right}`"
                if not value and looks_like_mesh_config(content):
                    cure = "if this is the MeshConfig, keep it elsewhere and give it by --mesh-config"
                elif not value and not any(key in content for key in _OF_OBJECTS):
                    cure += ", or keep files that are no documents of a mesh elsewhere"
                self._unidentified(diagnostics, f"{wrong}; {cure}", lines, (name,))
                return
        kind: str = content["kind"]
        if kind.endswith("List") and isinstance(content.get("items"), list):
            self._add_items(content["items"], lines, diagnostics, problems)
            return
        if kind == "List" and content.get("items") is not None:
            message = f"must be a list of documents; not {describe(content['items'])}"
            self._unidentified(diagnostics, message, lines, ("items",))
            return
        self._add_object(content, lines, diagnostics)

    def _add_items(
        self,
        items: list[Any],
        lines: DocumentLines,
        diagnostics: list[Diagnostic],
        problems: Sequence[Problem],
    ) -> None:
        """Add the items of a Kubernetes List, each as a document of its own."""
        for index, item in enumerate(items):
            path: FieldPath = ("items", index)
            inside = [
                Problem(problem.path[2:], problem.line, problem.message, problem.fatal)
                for problem in problems
                if problem.path[:2] == path
            ]
            if item is not None:
                self._add(item, lines.subtree(path), inside)
        outside = [
            diagnostic
            for diagnostic, problem in zip(diagnostics, problems, strict=True)
            if problem.path[:1] != ("items",) or len(problem.path) < 2
        ]
        self.diagnostics.extend(outside)
        if any(each.severity is Severity.ERROR for each in outside):
            self.unidentified = True

    def _unidentified(
        self, diagnostics: list[Diagnostic], message: str, lines: DocumentLines, path: FieldPath = ()
    ) -> None:
        origin = Origin(self.file, lines.line_of(path))
        self.diagnostics.extend(diagnostics)
        self.diagnostics.append(_error(NOT_A_DOCUMENT, message, origin, place(path)))
        self.unidentified = True

    def _add_object(
        self, content: dict[str, Any], lines: DocumentLines, diagnostics: list[Diagnostic]
    ) -> None:
        api_version, name_of_kind = content["apiVersion"], content["kind"]
        group, _, _ = api_version.rpartition("/")
        kind = KINDS.get(GroupKind(name_of_kind, group))
        unfilled = self._unfilled(content, lines)
        if OPENING in api_version or OPENING in name_of_kind:
            self.diagnostics.extend(unfilled)
            self.unidentified = True
            return
        if kind is None:
            self._skip(group, content, lines)
            return
        diagnostics = [*diagnostics, *unfilled]
        named = self._named(kind, content, lines)
        if isinstance(named, Diagnostic):
            self.diagnostics.extend(diagnostics if unfilled else (*diagnostics, named))
            self.unidentified = True
            return
        namespace, name = named
        if kind.of == CONFIG_MAP and not is_mesh_config_map(name, content):
            self._skip(group, content, lines)
            return
        if self.snake_case and kind.has_spec:
            spec, lines, spelt = with_json_names(
                kind.model, content.get("spec"), lines, self.file, prefix=("spec",)
            )
            content = {**content, "spec": spec} if spelt else content
            diagnostics.extend(spelt)
        key = kind.of.key(namespace, name)
        origin = Origin(self.file, lines.line_of(()), key)
        if api_version not in kind.api_versions:
            served = " or ".join(kind.api_versions)
            where = Origin(self.file, lines.line_of(("apiVersion",)))
            message = f"{shortened(api_version)} is not a version of {kind.name}; write {served}"
            diagnostics.append(_error(SCHEMA, message, where, "apiVersion"))
        if any(each.severity is Severity.ERROR for each in diagnostics):
            self.refused.append(RefusedDocument(key, origin, tuple(diagnostics), hosts_written(key, content)))
            return
        self.diagnostics.extend(diagnostics)
        digest = content_digest(api_version, namespace, content) if self.digests else b""
        self.documents.append(
            Document(api_version, kind.name, namespace, name, content, origin, lines, digest)
        )

    def _named(
        self, kind: Kind, content: dict[str, Any], lines: DocumentLines
    ) -> tuple[str, str] | Diagnostic:
        """Return the namespace and name of a document, or what is wrong with them."""
        metadata = content.get("metadata")
        if not isinstance(metadata, dict):
            message = "is missing" if metadata is None else f"must be a mapping; not {describe(metadata)}"
            where = Origin(self.file, lines.line_of(("metadata",)))
            return _error(NOT_A_DOCUMENT, f"{message}; write `metadata:` with a `name`", where, "metadata")
        name, namespace = metadata.get("name"), metadata.get("namespace")
        if namespace is None or namespace == "":
            namespace = self.default_namespace
        checks = [("name", name, object_name_error)]
        if not kind.cluster_scoped:
            checks.append(("namespace", namespace, namespace_error))
        for part, value, rule in checks:
            if value is None:
                wrong: str | None = f"is missing; give the {kind.name} a name"
            elif not isinstance(value, str):
                wrong = f"must be a string; not {describe(value)}; quote it"
            else:
                wrong = rule(value)
            if wrong is not None:
                path: FieldPath = ("metadata", part)
                where = Origin(self.file, lines.line_of(path))
                return _error(NOT_A_DOCUMENT, wrong, where, place(path))
        return ("" if kind.cluster_scoped else str(namespace)), str(name)

    def _skip(self, group: str, content: dict[str, Any], lines: DocumentLines) -> None:
        """Report why a document of an unread kind has no effect; a misspelt Istio kind is an error."""
        kind = content["kind"]
        reason = UNSERVED.get(GroupKind(kind, group))
        origin = Origin(self.file, lines.line_of(("kind",)))
        if reason is not None:
            message = f"{kind} has no effect: {reason}"
            if "; " not in reason:
                message += "; remove it to silence this warning"
            self.diagnostics.append(Diagnostic(Severity.WARNING, UNSERVED_KIND, message, origin, "kind"))
            return
        istio = sorted({each.kind for each in UNSERVED if each.group in _ISTIO_GROUPS} | _ISTIO_KINDS)
        named = KINDS_BY_NAME.get(kind, ())
        served = " or ".join(version for each in named for version in each.api_versions)
        given = shortened(str(content["apiVersion"]))
        if kind in istio and not named and not group.endswith(".istio.io"):
            groups = " or ".join(sorted({each.group for each in UNSERVED if each.kind == kind}))
            self._misnamed(
                f"{shortened(group) or 'no group'} has no {kind}; write {groups}/v1", lines, "apiVersion"
            )
        elif kind in _ISTIO_KINDS and group not in _FOREIGN_GROUPS:
            self._misnamed(f"{given} has no {kind}; write {served}", lines, "apiVersion")
        elif group in _ISTIO_GROUPS:
            close = nearest(kind, istio)
            hint = f"did you mean {close}?" if close else f"known are {', '.join(istio)}"
            self._misnamed(f"{shortened(kind)} is not a kind of Istio; {hint}", lines, "kind")
        elif named and group not in (each.group for each in named) and _is_kubernetes(group):
            self._misnamed(f"{given} has no {kind}; write {served}", lines, "apiVersion")
        elif not named and (close := nearest(kind, _kinds_of(group))) is not None:
            self._misnamed(f"{given} has no {shortened(kind)}; did you mean {close}?", lines, "kind")
        else:
            message = f"{shortened(kind)} is skipped; a mesh does not read this kind"
            self.diagnostics.append(Diagnostic(Severity.INFO, SKIPPED_KIND, message, origin, "kind"))

    def _misnamed(self, message: str, lines: DocumentLines, name: str) -> None:
        where = Origin(self.file, lines.line_of((name,)))
        self.diagnostics.append(_error(NOT_A_DOCUMENT, message, where, name))
        self.unidentified = True


_ISTIO_KINDS: Final = frozenset(kind.name for kind in KINDS.values() if kind.group.endswith(".istio.io"))
_ISTIO_GROUPS: Final = frozenset(group for _, group in (*UNSERVED, *KINDS) if group.endswith(".istio.io"))
_FOREIGN_GROUPS: Final = frozenset(
    {"gateway.networking.k8s.io", "networking.k8s.io", "gateway.envoyproxy.io"}
)
"""Groups with kinds that have the same names as Istio's."""


def _is_kubernetes(group: str) -> bool:
    """Tell whether a group is Kubernetes' own, so that its kinds are known."""
    return group in ("", "apps", "autoscaling", "batch", "policy") or group.endswith(".k8s.io")


def _kinds_of(group: str) -> list[str]:
    return [kind.name for kind in KINDS.values() if kind.group == group]


def _diagnostic(problem: Problem, file: str) -> Diagnostic:
    severity = Severity.ERROR if problem.fatal else Severity.WARNING
    code = SCHEMA if problem.fatal else AMBIGUOUS_KEY
    return Diagnostic(severity, code, problem.message, Origin(file, problem.line), place(problem.path))


def _error(code: str, message: str, origin: Origin, path: str = "") -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, origin, path)
