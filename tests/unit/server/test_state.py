"""What a server keeps on disk, and what a restart makes of it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mizzen.config import Document, Origin, ParsedFile, group_kinds, parse_documents
from mizzen.config.lines import DocumentLines
from mizzen.config.yaml_documents import unreadable_file
from mizzen.server.configuration import Configuration
from mizzen.server.faults import Faults
from mizzen.server.former import FormerDocuments, ValidDocument
from mizzen.server.state import State, StateError

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: %s}]}\n"
Files = dict[str, ParsedFile | None]


def file(name: str, **ports: object) -> ParsedFile:
    """A file of Services, each with its port."""
    return parse_documents("---\n".join(SERVICE % each for each in ports.items()).encode(), name)


@contextmanager
def state_in(directory: Path) -> Iterator[State]:
    state = State(directory)
    try:
        yield state
    finally:
        state.close()


def run(directory: Path, *batches: Files) -> Configuration:
    """Start a server, let it take the batches, keep what is in force, and end; return what it had."""
    first, *rest = batches
    configuration = Configuration()
    with state_in(directory) as state:
        former = state.read()
        gone: Files = {name: None for name in former.keys if name not in first}
        configuration.begin({**gone, **first}, former)
        state.save(configuration.valid_documents({**gone, **first}))
        for batch in rest:
            configuration.apply(batch)
            state.save(configuration.valid_documents(batch))
        assert not state.error
    return configuration


def ports(configuration: Configuration) -> dict[str, int]:
    return {
        config.name: config.spec.spec.ports[0].port
        for config in configuration.mesh.configs(group_kinds.SERVICE)
    }


def restored(configuration: Configuration) -> list[str]:
    return sorted(key.name for key in configuration.view().restored)


BROKEN = unreadable_file("a.yaml", "cannot be read")


@pytest.mark.parametrize(
    ("now", "in_force", "from_state"),
    [
        ({"a.yaml": file("a.yaml", a=1, b=2)}, {"a": 1, "b": 2}, []),
        ({"a.yaml": BROKEN}, {"a": 1, "b": 2}, ["a", "b"]),
        ({"a.yaml": file("a.yaml", a="many", b=3)}, {"a": 1, "b": 3}, ["a"]),
        ({"a.yaml": file("a.yaml", b=3)}, {"b": 3}, []),
        ({}, {}, []),
        ({"z.yaml": file("z.yaml", a="many")}, {"a": 1}, ["a"]),
        ({"z.yaml": file("z.yaml", c="many")}, {}, []),
        ({"a.yaml": parse_documents(b"kind: Service\n", "a.yaml")}, {"a": 1, "b": 2}, ["a", "b"]),
    ],
    ids=["same", "broken", "refused", "removed", "gone", "moved and refused", "never valid", "unidentified"],
)
def test_a_restart_ends_where_a_server_that_went_on_would_be(
    tmp_path: Path, now: Files, in_force: dict[str, int], from_state: list[str]
) -> None:
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1, b=2)})
    for _ in range(2):  # and one more restart changes nothing
        configuration = run(tmp_path / "s", now)
        assert ports(configuration) == in_force
        assert restored(configuration) == from_state


def test_a_state_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    """Its documents had no groups: that of their apiVersion is theirs."""
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1, b=2)})
    of_first_version(tmp_path / "s" / "documents.sqlite3")
    configuration = run(tmp_path / "s", {"a.yaml": file("a.yaml", a="many", b=3)})
    assert ports(configuration) == {"a": 1, "b": 3}
    assert restored(configuration) == ["a"]
    assert not [*(tmp_path / "s").glob("*corrupt*")]
    with state_in(tmp_path / "s") as state:
        assert len(_all(state.read())) == 2


def of_first_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("""
            ALTER TABLE in_force RENAME TO later;
            CREATE TABLE in_force (
                file TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
                digest BLOB NOT NULL, written_in TEXT NOT NULL, line INTEGER NOT NULL, since REAL NOT NULL,
                PRIMARY KEY (file, kind, namespace, name)
            ) WITHOUT ROWID;
            INSERT INTO in_force
                SELECT file, kind, namespace, name, digest, written_in, line, since FROM later;
            DROP TABLE later;
            CREATE INDEX in_force_digest ON in_force (digest);
            PRAGMA user_version = 1;
        """)


def test_documents_of_one_name_and_two_groups_are_both_kept(tmp_path: Path) -> None:
    def document(group: str, digest: bytes) -> ValidDocument:
        origin = Origin("a.yaml", 1)
        content = {"apiVersion": f"{group}/v1", "kind": "Gateway", "metadata": {"name": "g"}}
        written = Document(f"{group}/v1", "Gateway", "default", "g", content, origin, DocumentLines.single(1))
        return ValidDocument(written.key, digest, origin, written)

    groups = ("gateway.networking.k8s.io", "networking.istio.io")
    kept = tuple(document(group, group.encode()) for group in groups)
    with state_in(tmp_path / "s") as state:
        state.read()
        state.save({"a.yaml": kept})
    with state_in(tmp_path / "s") as state:
        found = sorted(one.document.key.group_kind.group for one in _all(state.read()))
    assert found == sorted(groups)


def test_it_is_told_which_files_the_state_stands_in_for(tmp_path: Path) -> None:
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1)})
    assert run(tmp_path / "s", {"a.yaml": BROKEN}).view().is_whole
    strange = unreadable_file("b.yaml", "cannot be read")
    assert not run(tmp_path / "s", {"a.yaml": BROKEN, "b.yaml": strange}).view().is_whole


def test_what_is_corrected_is_no_longer_from_the_state(tmp_path: Path) -> None:
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1)})
    configuration = run(tmp_path / "s", {"a.yaml": BROKEN}, {"a.yaml": file("a.yaml", a=5)})
    assert (ports(configuration), restored(configuration)) == ({"a": 5}, [])
    assert ports(run(tmp_path / "s", {"a.yaml": BROKEN})) == {"a": 5}


def test_a_change_is_kept_with_the_time_of_its_version(tmp_path: Path) -> None:
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1, b=1)})
    with state_in(tmp_path / "s") as state:
        first = {one.document.name: one.since for one in _all(state.read())}
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1, b=2)})
    with state_in(tmp_path / "s") as state:
        second = {one.document.name: one.since for one in _all(state.read())}
    assert second["a"] == first["a"]
    assert second["b"] > first["b"]


def _all(former: FormerDocuments) -> list:  # type: ignore[type-arg]
    return [one for held in former._by_file.values() for one in held]


def contents(directory: Path) -> list[str]:
    database = sqlite3.connect(directory / "documents.sqlite3")
    try:
        return sorted(content for (content,) in database.execute("SELECT content FROM document"))
    finally:
        database.close()


def test_a_content_goes_with_the_last_file_that_has_it(tmp_path: Path) -> None:
    both: Files = {"a.yaml": file("a.yaml", a=1234), "b.yaml": file("b.yaml", a=1234)}
    run(tmp_path / "s", both)
    assert len(contents(tmp_path / "s")) == 1
    run(tmp_path / "s", both, {"a.yaml": None})
    assert len(contents(tmp_path / "s")) == 1
    run(tmp_path / "s", {"b.yaml": file("b.yaml", a=5678)})
    [left] = contents(tmp_path / "s")
    assert "5678" in left
    assert ports(run(tmp_path / "s", {"b.yaml": unreadable_file("b.yaml", "is gone")})) == {"a": 5678}
    stored = b"".join(each.read_bytes() for each in (tmp_path / "s").iterdir())
    assert b"1234" not in stored, "what was replaced, perhaps a key, is overwritten"


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with state_in(tmp_path / "s" / "t") as state:
            state.read()
            made = {each.name: each.stat().st_mode & 0o777 for each in state.directory.iterdir()}
    finally:
        os.umask(before)
    assert (tmp_path / "s" / "t").stat().st_mode & 0o777 == 0o700
    assert {"documents.sqlite3", "documents.sqlite3-wal", "lock"} <= set(made)
    assert set(made.values()) == {0o600}


@pytest.mark.parametrize("name", ["", "documents.sqlite3"])
def test_a_state_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1)})
    path = tmp_path / "s" / name
    path.chmod(0o755)
    with pytest.raises(StateError, match=rf"others may read {path} \(mode 755\).*; chmod .00 {path}"):
        State(tmp_path / "s")


def test_two_servers_do_not_share_it(tmp_path: Path) -> None:
    with (
        state_in(tmp_path / "s"),
        pytest.raises(StateError, match="another server uses it; give each its own"),
    ):
        State(tmp_path / "s")
    with state_in(tmp_path / "s"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(StateError, match=f"--state {tmp_path / 's'}: "):
        State(tmp_path / "s")


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def lacking(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM document")
    database.close()


def lacking_in_the_first_version(path: Path) -> None:
    of_first_version(path)
    lacking(path)


def nonsense(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE document SET content = '{'")
    database.close()


@pytest.mark.parametrize("damage", [garbage, half, newer, lacking, lacking_in_the_first_version, nonsense])
def test_a_corrupt_state_is_moved_aside_and_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=1)})
    damage(tmp_path / "s" / "documents.sqlite3")
    failures: list[None] = []
    state = State(tmp_path / "s", lambda: failures.append(None))
    with capture_logs() as lines:
        assert not state.read()
    assert len(failures) == 1
    assert lines[0]["log_level"] == "error"
    assert "it was moved to" in state.error
    state.close()
    assert any(".corrupt-" in each.name for each in (tmp_path / "s").iterdir())
    run(tmp_path / "s", {"a.yaml": file("a.yaml", a=2)})
    assert ports(run(tmp_path / "s", {"a.yaml": BROKEN})) == {"a": 2}


def test_a_fault_of_mizzen_in_writing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration, faults = Configuration(), Faults()
    files: Files = {"a.yaml": file("a.yaml", a=1)}
    configuration.apply(files)
    state = State(tmp_path / "s", faults=faults)
    state.read()
    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr(state, "_rows", None)
        state.save(configuration.valid_documents(files))
        state._writer.submit(lambda: None).result()
    assert [each["what"] for each in faults.as_json()] == ["the documents in force could not be saved"]
    assert lines[0]["exc_info"]
    assert "cannot be written" in state.error
    state.close()


def test_what_could_not_be_written_is_written_with_the_next_change(tmp_path: Path) -> None:
    configuration = Configuration()
    failures: list[None] = []
    state = State(tmp_path / "s", lambda: failures.append(None))
    state.read()
    blocking = sqlite3.connect(tmp_path / "s" / "documents.sqlite3", isolation_level=None)
    blocking.execute("PRAGMA busy_timeout = 0")
    blocking.execute("BEGIN IMMEDIATE")
    state._database.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
    files: Files = {"a.yaml": file("a.yaml", a=1)}
    configuration.apply(files)
    with capture_logs() as lines:
        state.save(configuration.valid_documents(files))
        state._writer.submit(lambda: None).result()
    assert "cannot be written (database is locked)" in state.error
    assert [line["log_level"] for line in lines] == ["error"]
    assert len(failures) == 1
    blocking.execute("ROLLBACK")
    blocking.close()
    more: Files = {"b.yaml": file("b.yaml", b=2)}
    configuration.apply(more)
    state.save(configuration.valid_documents(more))
    state.close()
    assert state.error == ""
    broken: Files = {name: unreadable_file(name, "cannot be read") for name in ("a.yaml", "b.yaml")}
    assert ports(run(tmp_path / "s", broken)) == {"a": 1, "b": 2}
