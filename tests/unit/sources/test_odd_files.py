"""What is no ordinary file: named, never waited for, and the rest is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mizzen.sources import loading, read_mesh_config
from mizzen.sources.listing import list_files, read_file, why_unreadable
from tests.unit.sources.config_folder import Folder


def test_names_that_no_log_can_show_are_refused_and_said_in_a_form_that_it_can(folder: Folder) -> None:
    folder.write("good.yaml", "a")
    for name in ("two\nlines.yaml", "bell\x07.json", "README\n"):
        folder.write(name)
    bad = os.fsencode(folder.path) + b"/latin-\xe9.yaml"
    Path(os.fsdecode(bad)).write_bytes(b"")
    told = folder.told(folder.source().scan())
    words = "has a name with control characters or bytes that are not UTF-8; rename it"
    assert told == {
        "good.yaml": ["a"],
        "two\\nlines.yaml": words,
        "bell\\x07.json": words,
        "latin-\\udce9.yaml": words,
    }


def test_links_to_nothing_are_named_if_they_are_meant_as_files(folder: Folder) -> None:
    (folder.path / "a.yaml").symlink_to("nowhere")
    (folder.path / "notes").symlink_to("nowhere")
    told = folder.told(folder.source().scan())
    assert told == {"a.yaml": "is a symbolic link to nothing; correct or remove it"}


def test_a_folder_with_nothing_but_problems_is_not_called_empty(folder: Folder) -> None:
    os.mkfifo(folder.path / "a.yaml")
    told = folder.told(folder.source().scan())
    assert told == {"a.yaml": "is neither a file nor a folder; give one of them"}
    (folder.path / "a.yaml").unlink()
    assert list(folder.told(folder.source().scan())) == ["."]


def test_what_links_mean_is_known_so_that_it_can_be_watched(folder: Folder, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_text(folder.document("a"))
    (folder.path / "a.yaml").symlink_to(target)
    root = tmp_path / "root.yaml"
    root.symlink_to(target)
    assert list_files([str(folder.path)]).targets == {str(target)}
    assert list_files([str(root)]).targets == {str(target)}
    assert list_files([str(target)]).targets == set()


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        ("a.yaml", False),
        ("new.json", False),
        (".hidden.yaml", True),
        ("#a.yaml", True),
        ("a.yaml~", True),
        ("4913", True),
        ("..data", False),
        ("inner", False),
        ("mesh.conf", False),
        ("target.txt", False),
        ("pipe", False),
    ],
)
def test_what_editors_write_beside_a_file_is_passed_over(
    folder: Folder, tmp_path: Path, name: str, passed: bool
) -> None:
    folder.write("a.yaml", "a")
    folder.write("inner/b.yaml", "b")
    conf = folder.write("mesh.conf", "c")
    (folder.path / "l.yaml").symlink_to(folder.write("target.txt", "d"))
    os.mkfifo(folder.path / "pipe")
    listing = list_files([str(folder.path), str(conf), str(folder.path / "pipe")])
    assert listing.ignores(str(folder.path / name)) is passed


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "a.yaml"
    os.mkfifo(pipe)
    assert read_file(str(pipe), 10) == b"", "nobody writes"
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        with pytest.raises(BlockingIOError) as refused:
            read_file(str(pipe), 10)
    finally:
        os.close(writer)
    assert why_unreadable(refused.value) == (
        "cannot be read: nothing to read; it is not an ordinary file; give a YAML file"
    )


def test_no_more_of_a_file_is_read_than_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"abcdef")
    assert read_file(str(file), 3) == b"abc"
    file.write_bytes(bytes(range(256)) * 2_000)
    for limit in (65_536, 65_537, 400_000, 511_999, 512_000, 512_001):
        assert read_file(str(file), limit) == file.read_bytes()[:limit]


def test_an_error_without_words_is_said_as_it_is() -> None:
    assert why_unreadable(OSError("Odd")) == "cannot be read: odd; make it readable"


def test_settings_that_are_too_big_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("rootNamespace: a\n")
    monkeypatch.setattr(loading, "MAX_FILE_BYTES", file.stat().st_size)
    settings, diagnostics = read_mesh_config(file)
    assert settings is not None
    assert settings.root_namespace == "a"
    assert diagnostics == ()
    file.write_text("rootNamespace: ab\n")
    settings, [diagnostic] = read_mesh_config(file)
    assert settings is None
    assert str(diagnostic) == f"{file}: the mesh configuration has more than 17 bytes; give a smaller file"
