"""From YAML text to plain values, with a line for every field and bounds against hostile input.

The parser's events are composed here, without recursion, and not by PyYAML's own composer: so the depth and
the expansion of aliases are bounded before anything is built, repeated keys are seen, and values are those
that Kubernetes reads (see scalars.py).
"""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from mizzen.config.lines import DocumentLines
from mizzen.config.placeholders import unfilled_message
from mizzen.config.scalars import Scalar, as_key, resolve_plain
from mizzen.config.yaml_events import events

MAX_DEPTH: Final = 100
"""Deeper than any Istio document (about 20); shallow enough for every recursive reader of the result."""

_TOO_DEEP: Final = f"nests deeper than {MAX_DEPTH} levels; no document of a mesh does"

MAX_ALIASED_NODES: Final = 100_000
"""Fields that one document may gain through aliases; long texts count as several."""

_CHARACTERS_OF_A_NODE: Final = 64
"""So many characters of text count as one more field where aliases expand, lest one long text, meant by many
aliases, fill the memory of whoever writes the document down."""

MAX_REMARKS: Final = 1000
"""Fields of one document that are told of one by one; a document with more was never meant as one."""

_TAG: Final = "tag:yaml.org,2002:"


class YamlError(Exception):
    """The text is not YAML that can be read. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one field that the text alone shows; `fatal` if the document cannot be believed."""

    path: tuple[str | int, ...]
    line: int
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """One YAML document as plain values. `value` may share parts with itself where the text has aliases."""

    value: Any
    lines: DocumentLines
    remarks: tuple[Remark, ...]


@dataclass(slots=True)
class _Anchor:
    value: Any
    nodes: int
    height: int


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence that is being read."""

    container: dict[str, Any] | list[Any]
    node: int
    anchor: str | None
    wants_key: bool
    key: str | None = None
    merging: bool = False
    merged: list[dict[str, Any]] | None = None
    nodes: int = 1
    height: int = 1


def trees(text: str, first_line: int = 1) -> Iterator[Tree]:
    """Yield the documents of `text`, whose first line is line `first_line` of its file.

    Raises YamlError at the first place that is not YAML, nests deeper than MAX_DEPTH, or expands too far.
    """
    composer = _Composer(first_line)
    try:
        for event in events(text):
            tree = composer.feed(event)
            if tree is not None:
                yield tree
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, first_line) from None
    except yaml.reader.ReaderError as error:
        line = first_line + text.encode()[: error.position].count(b"\n")
        raise YamlError(
            line, f"the character U+{ord_of(error.character):04X} is not allowed in YAML; remove it"
        ) from None


def ord_of(character: object) -> int:
    """Return the code point that a reader error names, which it gives as a number or as a character."""
    return character if isinstance(character, int) else ord(str(character)[:1] or "\0")


class _Composer:
    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._reset()

    def _reset(self) -> None:
        self._keys: list[str | None] = []
        self._lines = array("I")
        self._extents = array("I")
        self._stack: list[_Frame] = []
        self._frame: _Frame | None = None  # the top of the stack
        self._anchors: dict[str, _Anchor] = {}
        self._aliased = 0
        self._remarks: list[Remark] = []
        self._root: Any = None
        self._brace = -2

    def feed(self, event: Any) -> Tree | None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._open(event, {})
        elif kind is yaml.SequenceStartEvent:
            self._open(event, [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentEndEvent:
            tree = Tree(
                self._root,
                DocumentLines(tuple(self._keys), self._lines, self._extents),
                tuple(self._remarks),
            )
            self._reset()
            return tree
        return None

    def _line(self, event: Any) -> int:
        line: int = event.start_mark.line
        return line + self._first_line

    def _add_node(self, line: int) -> None:
        """Record a node where a value begins; a mapping's value was recorded with its key."""
        frame = self._frame
        if frame is None or type(frame.container) is list:
            self._record(None, line)

    def _record(self, key: str | None, line: int) -> None:
        self._keys.append(key)
        self._lines.append(line)
        self._extents.append(1)

    def _scalar(self, event: Any) -> None:
        line: int = event.start_mark.line + self._first_line
        frame = self._frame
        if frame is not None and frame.wants_key:
            self._key(event, frame, line)
            return
        self._add_node(line)
        text: str = event.value
        value = self._scalar_value(event, line)
        nodes = 1 + len(text) // _CHARACTERS_OF_A_NODE
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(value, nodes, 0)
        self._put(value, nodes, 0, line)

    def _scalar_value(self, event: Any, line: int) -> Scalar:
        if event.implicit[0] and event.tag != "!":
            value = resolve_plain(event.value)
            if isinstance(value, float) and not math.isfinite(value):
                self._remark(line, f"{event.value} is no number that JSON has; give a finite number")
            return value
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

    def _key(self, event: Any, frame: _Frame, line: int) -> None:
        plain = event.implicit[0]
        frame.wants_key = False
        if plain and event.value == "<<":
            frame.merging = True
            self._record("<<", line)
            return
        key: str | None = event.value
        if plain:
            value = resolve_plain(event.value)
            key = value if isinstance(value, str) else as_key(value)
            if key is None:
                raise YamlError(line, "a key is missing before the colon; write a name, or quote it")
            if isinstance(value, bool) and key != event.value.lower():
                message = (
                    f"YAML reads the unquoted key `{event.value}` as a boolean, so that it is named "
                    f'"{key}"; quote it: "{event.value}"'
                )
                self._remark(line, message, fatal=False, key=key)
        assert key is not None
        if key in frame.container:
            self._remark(
                line,
                f"the key is there twice, first on line {self._line_of_key(frame, key)}; keep one",
                key=key,
            )
        frame.key = key = sys.intern(key)
        frame.nodes += len(key) // _CHARACTERS_OF_A_NODE
        self._record(key, line)

    def _line_of_key(self, frame: _Frame, key: str) -> int:
        child = frame.node + 1
        while child < len(self._keys) and self._keys[child] != key:
            child += self._extents[child]
        return self._lines[child]

    def _open(self, event: Any, container: dict[str, Any] | list[Any]) -> None:
        line = self._line(event)
        frame = self._frame
        mapping = type(container) is dict
        if frame is not None and frame.wants_key:
            if event.start_mark.index == self._brace + 1 and mapping:
                raise YamlError(line, unfilled_message())
            raise YamlError(
                line,
                "a key must be a string; quote a value that begins with a brace or bracket, and fill in "
                "`{{ }}` of a template first",
            )
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(line, _TOO_DEEP)
        self._add_node(line)
        self._brace = event.start_mark.index
        self._frame = _Frame(container, len(self._keys) - 1, event.anchor, mapping)
        self._stack.append(self._frame)

    def _close(self) -> None:
        frame = self._stack.pop()
        self._frame = self._stack[-1] if self._stack else None
        self._extents[frame.node] = len(self._keys) - frame.node
        container = frame.container
        if frame.merged is not None and isinstance(container, dict):
            for merged in frame.merged:
                for key, value in merged.items():
                    container.setdefault(key, value)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = _Anchor(container, frame.nodes, frame.height)
        self._put(container, frame.nodes, frame.height, self._lines[frame.node])

    def _alias(self, event: Any) -> None:
        line = self._line(event)
        anchor = self._anchors.get(event.anchor)
        if self._frame is not None and self._frame.wants_key:
            raise YamlError(line, "an alias stands where a key must be; write the key")
        if anchor is None:
            # Without the name: it may be a password that begins with *, as the document may be a Secret.
            raise YamlError(
                line, "an alias here names no finished anchor above it; quote a value that begins with *"
            )
        self._aliased += anchor.nodes
        if self._aliased > MAX_ALIASED_NODES:
            raise YamlError(
                line,
                f"aliases expand to more than {MAX_ALIASED_NODES} fields or long texts; write fewer",
            )
        if len(self._stack) + anchor.height > MAX_DEPTH:
            raise YamlError(line, f"nests deeper than {MAX_DEPTH} levels through the alias *{event.anchor}")
        self._add_node(line)
        self._put(anchor.value, anchor.nodes, anchor.height, line)

    def _put(self, value: Any, nodes: int, height: int, line: int) -> None:
        """Give a finished value to the container that it stands in."""
        frame = self._frame
        if frame is None:
            self._root = value
            return
        frame.nodes += nodes
        if height >= frame.height:
            frame.height = height + 1
        container = frame.container
        if isinstance(container, list):
            container.append(value)
            return
        if frame.merging:
            frame.merging = False
            frame.merged = [*(frame.merged or ()), *_merge_sources(value, line)]
        else:
            assert frame.key is not None
            container[frame.key] = value
            frame.key = None
        frame.wants_key = True

    def _remark(self, line: int, message: str, *, fatal: bool = True, key: str | None = None) -> None:
        if len(self._remarks) >= MAX_REMARKS:
            raise YamlError(
                line, f"more than {MAX_REMARKS} keys and values of this document are wrong; is it a mesh's?"
            )
        path: list[str | int] = []
        for frame in self._stack:
            if isinstance(frame.container, list):
                path.append(len(frame.container))
            elif frame.key is not None:
                path.append(frame.key)
        if key is not None:
            path.append(key)
        self._remarks.append(Remark(tuple(path), line, message, fatal))


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
_PARSERS_DEPTH: Final = "maximum nesting depth"
"""The parser's own limit, in its own words; newer versions meet it before the first event of the text."""

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
    "did not find expected node content": 'write a value; quote one that begins with a colon, as in "::1"',
    "found unknown escape character": "write \\\\ for a backslash, or use single quotes",
    "did not find expected <document start>": "put `---` between documents, or correct the indentation",
}


def _syntax_error(error: yaml.MarkedYAMLError, text: str, first_line: int) -> YamlError:
    """Say what the parser found in words that name the cause."""
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
    begun = error.context_mark
    context = f", {error.context}" if error.context else ""
    if error.context and begun is not None and begun.line != mark.line:
        context += f" on line {begun.line + first_line}"
    hint = next((hint for start, hint in _HINTS.items() if problem.startswith(start)), "")
    return YamlError(mark.line + first_line, f"{problem}{context}" + (f"; {hint}" if hint else ""))
