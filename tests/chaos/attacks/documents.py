"""Documents that once hurt an Envoy or every other document, and documents of chance."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from pathlib import Path

from mizzen.testing.waiting import eventually
from tests.chaos import mesh
from tests.chaos.attack import Attack
from tests.chaos.field import BOUND, Field

DOCUMENTS = Path(__file__).parents[1] / "documents"
CORPUS = Path(__file__).parents[1] / "corpus.yaml"
_FILES = 10
_ORDERS = {
    "hosts": ["orders.internal"],
    "ports": [{"number": mesh.PORT, "name": "http", "protocol": "HTTP"}],
    "resolution": "STATIC",
    "endpoints": [{"address": mesh.SERVERS["green"]}],
}


async def serve_hostile_documents(field: Field) -> None:
    """Save each hostile document, one over the other: Envoys live, refuse nothing, and other files go on."""
    field.write("orders.yaml", mesh.text(mesh.document("ServiceEntry", "orders", _ORDERS)))
    await field.start_envoy("captured")
    turn = 0
    while field.goes_on():
        for path in sorted(DOCUMENTS.glob("*.yaml")):
            # The file says how often it was saved by how many namespaces it has.
            turn += 1
            spaces = turn % 5 + 1
            field.write("hostile.yaml", path.read_text(encoding="utf-8") + _namespaces(spaces))
            field.record.did("document")
            await _read(field, spaces)
            await _answered(field, path.name)
            await field.change()
            await _nothing_rejected(field, path.name)
        (field.config / "hostile.yaml").unlink()
        await field.change()


def _namespaces(count: int) -> str:
    return "".join(
        f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: space-{number}}}\n"
        for number in range(count)
    )


async def _read(field: Field, namespaces: int) -> None:
    async def there() -> bool:
        documents = (await field.status())["configuration"]["documents"]
        return bool(documents.get("Namespace") == namespaces)

    await eventually(there, "the document is read", BOUND)


async def _answered(field: Field, what: str) -> None:
    async def synced() -> bool:
        proxies = (await field.status())["proxies"]
        return len(proxies) == len(field.envoys) and all(proxy["synced"] for proxy in proxies)

    try:
        await eventually(synced, f"every Envoy has answered {what}", BOUND)
    except AssertionError:
        field.note_who_ended()
        raise


async def _nothing_rejected(field: Field, what: str) -> None:
    for rejection in (await field.status())["rejections"]:
        field.record.fault(f"{what}: an Envoy refuses it: {rejection['message'][:300]}")


async def save_fuzzed_files(field: Field) -> None:
    """Save files of chance: no traceback, no refusal by an Envoy, and other files go on."""
    chance = random.Random(9)
    while field.goes_on():
        for number in range(_FILES):
            new = field.config / ".fuzzed.new"
            new.write_bytes(fuzzed(chance, f"fuzz{number}"))
            new.replace(field.config / f"fuzzed-{number}.yaml")
        field.record.did("fuzzed file", _FILES)
        await field.change()
        await asyncio.sleep(chance.uniform(0, 0.3))  # so that some of them come into force
        await _nothing_rejected(field, "a fuzzed file that passed as valid")


def fuzzed(chance: random.Random, name: str) -> bytes:
    """Return a file with some documents of the corpus, all of them about `name`, and one to six mistakes."""
    documents = CORPUS.read_text(encoding="utf-8").replace("fuzz", name).split("---\n")
    text = "---\n".join(each for each in documents if chance.random() < 0.7)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        text = chance.choice(_MISTAKES)(chance, text)
    # Half of a pair of UTF-16 cannot be written; it becomes bytes that are no UTF-8.
    return text.encode("utf-8", "surrogatepass")


_NASTY = (
    *(
        "",
        "null",
        "~",
        "true",
        "-1",
        "0",
        "1",
        "65535",
        "65536",
        "4294967296",
        "-9223372036854775809",
        "1e999",
    ),
    *(".nan", "0x1F", "0o17", "2020-01-01", "[]", "{}", "[[]]", "*a", "&a", "!!binary aGk=", "!!set {a}"),
    *('"*"', '"*."', '"."', '"/"', '"a/b/c"', '"%"', '"%CEL(%"', '"%REQ("', "'{}'", '"\\0"', '"\\n"'),
    *('"\\ud800"', '"é"', '"ﬀ.internal"', '"::1"', '"0.0.0.0/0"', '"256.1.1.1"', '"1.2.3.4/33"', '"(((("'),
    *('"[z-a]"', "0s", "-1s", "1ns", "9999999h", "1d", "unix:///x", "x" * 5_000, '"' + "a." * 130 + '"'),
)


def _scalar(chance: random.Random, text: str) -> str:
    """Another value after a colon or in a list."""
    places = list(re.finditer(r"(?<=: )[^\s\[\]{},][^\n\[\]{},]*|(?<=- )[^\s\[\]{}:,]+", text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(_NASTY) + text[place.end() :]


def _letter(chance: random.Random, text: str) -> str:
    """A letter goes, comes or is another."""
    at = chance.randrange(len(text) + 1)
    letter = chance.choice(("", chr(chance.randrange(32, 127)), chr(chance.randrange(0x2FFF)), "\t", "\0"))
    return text[:at] + letter + text[at + chance.randrange(2) :]


def _line(chance: random.Random, text: str) -> str:
    """A line goes, is there twice, moves, or is indented."""
    lines = text.split("\n")
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines.insert(to, lines.pop(at))
        case _:
            lines[at] = "  " + lines[at]
    return "\n".join(lines)


def _cut(chance: random.Random, text: str) -> str:
    """The end is gone."""
    return text[: chance.randrange(len(text) + 1)]


_MISTAKES: tuple[Callable[[random.Random, str], str], ...] = (_scalar, _scalar, _scalar, _letter, _line, _cut)


ATTACKS = (
    Attack("hostile-documents", serve_hostile_documents),
    Attack("fuzzed-files", save_fuzzed_files),
)
