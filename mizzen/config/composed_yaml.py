"""Composing documents from the events of libyaml, with bounds against hostile input.

The parser's events are composed here, without recursion, and not by PyYAML's own composer. So the depth and
the expansion of aliases are bounded before anything is built, repeated keys are noticed, and values are those
that Kubernetes reads (see scalars.py).
"""

from __future__ import annotations

import base64
import binascii
import math
import sys
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from mizzen.config.lines import DocumentLines
from mizzen.config.placeholders import unfilled_message
from mizzen.config.scalars import Scalar, as_key, resolve_plain
from mizzen.config.yaml_events import events
from mizzen.config.yaml_tree import Problem, Tree, YamlError

MAX_DEPTH: Final = 100
"""Deeper than any Istio document (about 20); shallow enough for every recursive reader of the result."""

_TOO_DEEP: Final = f"nests deeper than {MAX_DEPTH} levels; no document of a mesh does"

MAX_ALIASED_NODES: Final = 100_000
"""Fields that one document may gain through aliases; long texts count as several."""

_CHARACTERS_OF_A_NODE: Final = 64
"""Where aliases expand, this many characters of text count as one more field: otherwise one long text with
many aliases could fill the memory when the document is written out."""

MAX_PROBLEMS: Final = 1000
"""How many problems of one document are listed one by one; a document with more is not meant for a mesh."""

_TAG: Final = "tag:yaml.org,2002:"


class _MergeKey(str):
    __slots__ = ()


_MERGE: Final = _MergeKey("<<")
"""The key `<<` unless it is quoted: the mapping takes over the entries of its value.
Recognised by identity."""


def trees(text: str, first_line: int = 1) -> Iterator[Tree]:
    """Yield the documents of `text`, whose first line is line `first_line` of its file.

    Raises YamlError at the first error: the text is not YAML, nests deeper than MAX_DEPTH, or expands too
    far.
    """
    found = events(text)
    try:
        for event in found:
            if type(event) is DocumentStartEvent:
                yield _Document(first_line).composed(found)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, first_line) from None
    except yaml.reader.ReaderError as error:
        line = first_line + text.encode()[: error.position].count(b"\n")
        raise YamlError(
            line, f"the character U+{ord_of(error.character):04X} is not allowed in YAML; remove it"
        ) from None


def ord_of(character: object) -> int:
    """Return the code point in a reader error, which has it as a number or as a character."""
    return character if isinstance(character, int) else ord(str(character)[:1] or "\0")


class _Document:
    """One document while it is composed."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._keys: list[str | None] = []
        self._lines: list[int] = []
        self._extents: dict[int, int] = {}  # of finished containers
        self._around: list[tuple[Any, int, str | None]] = []  # around the innermost: container, node, key
        self._last_opened: Any = None  # the event that opened a container last
        self._extra_nodes = 0  # what long texts and aliases count for beyond their own node
        self._aliased = 0
        self._anchors: dict[str, tuple[Any, int]] = {}  # finished values, and the nodes each counts for
        self._anchored: dict[int, tuple[str, int]] = {}  # open containers: anchor, extra nodes before it
        self._merged: dict[int, list[dict[str, Any]]] = {}  # what open mappings merge
        self._problems: list[Problem] = []

    def composed(self, found: Iterator[Any]) -> Tree:
        """Take the events up to the end of the document; return it. Most of the time of reading goes here."""
        first_line, around, keys, lines = self._first_line, self._around, self._keys, self._lines
        container: Any = None  # the innermost; None at the root
        node, key, wants_key, value = -1, None, False, None
        for event in found:
            kind = type(event)
            line = event.start_mark.line + first_line
            if kind is ScalarEvent:
                value, plain = event.value, event.implicit[0]
                if wants_key:
                    key = value
                    usual = not plain or (resolve_plain(key) is key and key != "<<")
                    if not usual or key in container or len(key) >= _CHARACTERS_OF_A_NODE:
                        key = self._unusual_key(event, container, node, line)
                    else:
                        key = sys.intern(key)
                    keys.append(key)
                    lines.append(line)
                    wants_key = False
                    continue
                if event.tag is not None or event.anchor is not None or len(value) >= _CHARACTERS_OF_A_NODE:
                    value = self._unusual_scalar(event, line)
                elif plain:
                    value = resolve_plain(value)
                if type(value) is float and not math.isfinite(value):
                    self._note_number(event, container, key, line)
                if key is None:
                    keys.append(None)
                    lines.append(line)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._extents[node] = len(keys) - node
                if node in self._merged or node in self._anchored:
                    self._finish(container, node)
                value, line, wants_key = container, lines[node], False
                container, node, key = around.pop()
            elif kind is DocumentEndEvent:
                break
            else:
                if wants_key:
                    raise self._no_key(event, line)
                if key is None:
                    keys.append(None)
                    lines.append(line)
                if kind is not AliasEvent:
                    around.append((container, node, key))
                    node, key, wants_key = len(keys) - 1, None, kind is MappingStartEvent
                    container = {} if wants_key else []
                    self._begin(event, node, line)
                    continue
                value = self._alias(event, line)
            if key is _MERGE:
                self._merged.setdefault(node, []).extend(_merge_sources(value, line))
                key, wants_key = None, True
            elif key is not None:
                container[key] = value
                key, wants_key = None, True
            elif container is not None:
                container.append(value)
        return self._tree(value)

    def _tree(self, root: Any) -> Tree:
        lines = DocumentLines.of(self._keys, self._lines, self._extents)
        return Tree(root, lines, tuple(self._problems))

    def _unusual_scalar(self, event: Any, line: int) -> Scalar:
        """Return the value of a scalar that has a tag or an anchor, or is long."""
        more = len(event.value) // _CHARACTERS_OF_A_NODE
        self._extra_nodes += more
        if event.tag is not None:
            value = self._tagged(event, line)
        else:
            value = resolve_plain(event.value) if event.implicit[0] else event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = value, 1 + more
        return value

    def _note_number(self, event: Any, container: Any, key: str | None, line: int) -> None:
        message = f"{event.value} is not a number that JSON has; give a finite number"
        self._note(line, message, self._path(container, key))

    def _tagged(self, event: Any, line: int) -> Scalar:
        text: str = event.value
        tag: str | None = event.tag
        if event.implicit[1] or tag in (None, "!", _TAG + "str"):
            return text
        if tag == _TAG + "binary":
            try:
                return base64.b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise YamlError(line, "the !!binary value is not the base64 form of UTF-8 text") from None
        value = resolve_plain(text)
        names = {"null": type(None), "bool": bool, "int": int, "float": (int, float)}
        wanted = names.get((tag or "").removeprefix(_TAG))
        if wanted is None:
            # Without the tag: it may be a password that begins with !, as the document may be a Secret.
            raise YamlError(line, "a tag here is not known; remove it, or quote a value that begins with !")
        if not isinstance(value, wanted):  # type: ignore[arg-type]
            raise YamlError(line, f"the value is not what its tag {_short(tag)} says; correct either")
        return float(value) if tag == _TAG + "float" and isinstance(value, int) else value

    def _unusual_key(self, event: Any, container: Any, node: int, line: int) -> str:
        """Return a key whose text may have a different meaning, is long, or is repeated."""
        text, plain = event.value, event.implicit[0]
        self._extra_nodes += len(text) // _CHARACTERS_OF_A_NODE
        if plain and text == "<<":
            return _MERGE
        key: str | None = text
        if plain:
            value = resolve_plain(text)
            key = as_key(value)
            if key is None:
                raise YamlError(line, "a key is missing before the colon; write a name, or quote it")
            if isinstance(value, bool) and key != text.lower():
                message = (
                    f"YAML reads the unquoted key `{text}` as a boolean, so that it is named "
                    f'"{key}"; quote it: "{text}"'
                )
                self._note(line, message, (*self._path(container), key), fatal=False)
        assert key is not None
        if key in container:
            message = f"the key is there twice, first on line {self._line_of_key(node, key)}; keep one"
            self._note(line, message, (*self._path(container), key))
        return sys.intern(key)

    def _line_of_key(self, node: int, key: str) -> int:
        child = node + 1
        while child < len(self._keys) and self._keys[child] != key:
            child += self._extents.get(child, 1)
        return self._lines[child]

    def _begin(self, event: Any, node: int, line: int) -> None:
        """Record the beginning of a container; raise YamlError if it is too deep."""
        if len(self._around) > MAX_DEPTH:
            raise YamlError(line, _TOO_DEEP)
        self._last_opened = event
        if event.anchor is not None:
            self._anchored[node] = event.anchor, self._extra_nodes

    def _no_key(self, event: Any, line: int) -> YamlError:
        """Return the error for an event that cannot be a key."""
        if type(event) is AliasEvent:
            return YamlError(line, "an alias stands where a key must be; write the key")
        inside = event.start_mark.index == self._last_opened.start_mark.index + 1
        if inside and type(event) is MappingStartEvent:
            return YamlError(line, unfilled_message())
        return YamlError(
            line,
            "a key must be a string; quote a value that begins with a brace or bracket, and fill in "
            "`{{ }}` of a template first",
        )

    def _finish(self, container: Any, node: int) -> None:
        """Merge into a finished container what it merges, and give its anchor the value."""
        for merged in self._merged.pop(node, ()):
            for key, value in merged.items():
                container.setdefault(key, value)
        if node in self._anchored:
            anchor, extra_before = self._anchored.pop(node)
            self._anchors[anchor] = container, self._extents[node] + self._extra_nodes - extra_before

    def _alias(self, event: Any, line: int) -> Any:
        """Return the value of an alias."""
        if event.anchor not in self._anchors:
            # Without the name: it may be a password that begins with *, as the document may be a Secret.
            raise YamlError(
                line, "an alias here names no finished anchor above it; quote a value that begins with *"
            )
        value, nodes = self._anchors[event.anchor]
        self._aliased += nodes
        self._extra_nodes += nodes - 1
        if self._aliased > MAX_ALIASED_NODES:
            raise YamlError(
                line,
                f"aliases expand to more than {MAX_ALIASED_NODES} fields or long texts; write fewer",
            )
        if len(self._around) + _height(value) > MAX_DEPTH:
            raise YamlError(line, f"nests deeper than {MAX_DEPTH} levels through the alias *{event.anchor}")
        return value

    def _path(self, container: Any, key: str | None = None) -> tuple[str | int, ...]:
        """Return the path of what is being read in the innermost container, under `key` if that is known."""
        path: list[str | int] = []
        for each, _, name in (*self._around, (container, -1, key)):
            if isinstance(each, list):
                path.append(len(each))
            elif name is not None and name is not _MERGE:
                path.append(name)
        return tuple(path)

    def _note(self, line: int, message: str, path: tuple[str | int, ...], *, fatal: bool = True) -> None:
        if len(self._problems) >= MAX_PROBLEMS:
            raise YamlError(
                line, f"more than {MAX_PROBLEMS} keys and values of this document are wrong; is it a mesh's?"
            )
        self._problems.append(Problem(path, line, message, fatal))


def _height(value: Any) -> int:
    """Return the maximum nesting of containers in a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(_height, inside), default=0)


def _short(tag: str | None) -> str:
    """Return a tag as it is written: `!!int`."""
    return (tag or "!").replace(_TAG, "!!")


def _merge_sources(value: Any, line: int) -> list[dict[str, Any]]:
    """Return the mappings that a merge key `<<` names (https://yaml.org/type/merge.html)."""
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise YamlError(line, "`<<` merges mappings only; give it an alias of a mapping")
    return list(sources)


_CONFLICT: Final = ("<<<<<<< ", "=======", ">>>>>>> ")
"""What git leaves in a file that it cannot merge."""

_STRAY: Final = "found character that cannot start any token"
_NO_CONTENT: Final = "did not find expected node content"
_PARSERS_DEPTH: Final = "maximum nesting depth"
"""The parser's own limit, in its words; newer versions reach it before the first event of the text."""

_HINTS: Final = {
    "did not find expected alphabetic or numeric": 'quote a value that begins with * or &, such as "*.com"',
    "mapping values are not allowed": "quote a value that holds `: `, or correct the indentation",
    "did not find expected key": "correct the indentation or the quotes here or just above",
    "did not find expected '-' indicator": "indent the items of the list alike",
    "did not find expected ',' or '": "close the bracket or brace, or separate its items by commas",
    "could not find expected ':'": "write `key: value`, or indent a text that spans lines",
    "found unexpected end of stream": "close the quote, bracket or brace that is opened here",
    "found unexpected document indicator": "close the quote that is opened here",
    _STRAY: "quote a value that begins with @, ` or %",
    "found unexpected ':'": "put a space behind the colon, or quote the text",
    _NO_CONTENT: 'write a value; quote one that begins with a colon, as in "::1"',
    "found unknown escape character": "write \\\\ for a backslash, or use single quotes",
    "did not find expected <document start>": "put `---` between documents, or correct the indentation",
}


def _syntax_error(error: yaml.MarkedYAMLError, text: str, first_line: int) -> YamlError:
    """Return the parser's error in words that name the cause."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "is not YAML"
    if mark is None:
        return YamlError(first_line, problem)
    if _PARSERS_DEPTH in problem:
        return YamlError(mark.line + first_line, _TOO_DEEP)
    rows = text.split("\n")
    row = rows[mark.line] if mark.line < len(rows) else ""
    for line in (mark.line, mark.line - 1):
        if 0 <= line < len(rows) and rows[line].startswith(_CONFLICT):
            return YamlError(line + first_line, "a merge conflict is left here; resolve it")
    if problem.startswith(_STRAY) and "\t" in row[: len(row) - len(row.lstrip())]:
        return YamlError(
            mark.line + first_line, "a tab indents this line; indent by spaces, YAML knows no tabs"
        )
    if problem.startswith(_NO_CONTENT) and not "".join(rows[mark.line :])[mark.column :].strip():
        last = max((number for number, each in enumerate(rows[: mark.line + 1]) if each.strip()), default=0)
        return YamlError(last + first_line, "the document ends in an open bracket or brace; close it")
    begun = error.context_mark
    context = f", {error.context}" if error.context else ""
    if error.context and begun is not None and begun.line != mark.line:
        context += f" on line {begun.line + first_line}"
    hint = next((hint for start, hint in _HINTS.items() if problem.startswith(start)), "")
    return YamlError(mark.line + first_line, f"{problem}{context}" + (f"; {hint}" if hint else ""))
