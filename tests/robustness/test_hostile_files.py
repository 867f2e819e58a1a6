"""Files that are big, deep or odd: refused with a reason, at a bounded cost in time and memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mizzen.cli.main import app
from mizzen.config import parse_documents
from mizzen.config.diagnostics import MAX_DIAGNOSTICS
from mizzen.config.store import ConfigStore
from tests.forked_mizzen import run
from tests.robustness.breakable import SERVICE

ROUTE = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
MEGABYTE = 1024 * 1024
BOUND = 8.0
"""Seconds of a processor, for a slow and busy one: the worst of these takes one."""


def words(text: str | bytes) -> str:
    """Return what is said of a file, and check that it was found out in time."""
    begun = time.process_time()
    store = ConfigStore()
    data = text.encode() if isinstance(text, str) else text
    store.apply({"x.yaml": parse_documents(data, "x.yaml")})
    assert time.process_time() - begun < BOUND
    found = store.diagnostics()
    assert len(found) <= MAX_DIAGNOSTICS + 1
    return "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [x]\n" + "".join(f"{n}: &{n} [*a,*a]\n" for n in "bcd"), "apiVersion: is missing"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n},' * 9}]\n" for n in range(9)),
            "aliases expand to more than",
        ),
        ("a: " + "[" * 100_000 + "]" * 100_000, "x.yaml:1: nests deeper than 100 levels"),
        ("a: " + "[" * 100_000, "x.yaml:1: nests deeper than 100 levels"),
        ("a: " + "{a: " * 100_000 + "}" * 100_000, "nests deeper than 100 levels"),
        ("- " * 100_000, "nests deeper than 100 levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nests deeper than 100 levels"),
        ("".join(" " * n + "a:\n" for n in range(1000)), "nests deeper than 100 levels"),
        ("a: " + "x" * 11 * MEGABYTE, "more than the limit of 10485760; split it"),
        ("<<<<<<< HEAD\n" + SERVICE % "a" + "=======\n>>>>>>> b\n", "a merge conflict is left here"),
        (SERVICE % "a" + "=======\n" + SERVICE % "b", "a merge conflict is left here"),
        ("apiVersion: v1\nmetadata:\n\tname: a\n", "x.yaml:3: a tab indents this line"),
        ((SERVICE % "a").encode("utf-16-le"), "is a binary file"),
        ("a: !!python/object/apply:os.system ['true']\n", "apiVersion: is missing"),
        ("--- '\n" * 100_000, "close the quote"),
        (ROUTE + " k: 1\n" * 100_000, "more than 1000 keys and values of this document are wrong"),
        (ROUTE + "".join(f" k{n}: 1\n" for n in range(20_000)), "more diagnostics like this are not shown"),
        ((SERVICE % "a" + "---\n") * 5_000, "more diagnostics like this are not shown"),
        (ROUTE + " " + "k" * 1000 + ": 1\n", "unknown field"),
    ],
    ids=range(19),
)
def test_it_is_said_what_is_wrong(text: str | bytes, said: str) -> None:
    assert said in words(text)


def _with_bounded_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2048 * MEGABYTE, 2048 * MEGABYTE))
    app()


def test_one_long_text_aliased_often_costs_no_memory(tmp_path: Path) -> None:
    """Quadratic blow-up: 1 MB, meant 90,000 times, once filled 16 GB."""
    (tmp_path / "x.yaml").write_text(
        ROUTE + " hosts: [&a '" + "x" * MEGABYTE + "'," + "*a," * 90_000 + "]\n" + "---\n" + SERVICE % "good"
    )

    ended = run("analyze", tmp_path, main=_with_bounded_memory)
    assert ended.returncode == 1
    assert f"{tmp_path}/x.yaml:5: error MZ0011 aliases expand to more than" in ended.stdout


def test_ten_thousand_routes_and_hosts_are_checked_in_time() -> None:
    routes = "".join(
        f"  - {{match: [{{uri: {{prefix: /p{n}/}}}}], route: [{{destination: {{host: a}}}}]}}\n"
        for n in range(10_000)
    )
    hosts = ", ".join(f"h{n}.com" for n in range(10_000))
    text = ROUTE + f"  hosts: [{hosts}]\n  http:\n{routes}"
    assert words(text + "  - {match: [{uri: {prefix: /p77/a}}], route: [{destination: {host: a}}]}\n") == (
        'x.yaml:10007: spec.http[10000].match[0]: this match has no effect: the prefix "/p77/" of route #77 '
        'takes all that starts with "/p77/a"; move this match before it'
    )
    assert '"h3.com" is given twice; leave one out' in words(text.replace("h4.com", "h3.com"))


def test_a_wildcard_after_what_it_covers_is_still_found() -> None:
    text = (
        ROUTE
        + "  hosts: [a.x.com, b.com, '*.x.com', c.x.com]\n  http: [{route: [{destination: {host: a}}]}]\n"
    )
    said = words(text)
    assert '"*.x.com" and "a.x.com" cover the same hosts' in said
    assert '"c.x.com" and "*.x.com" cover the same hosts' in said


def test_links_among_folders_are_no_maze(tmp_path: Path) -> None:
    names = [f"d{n}" for n in range(9)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.yaml").write_text(SERVICE % name)
        for other in names:
            if other != name:
                (tmp_path / name / f"to-{other}").symlink_to(f"../{other}")
    ended = run("analyze", tmp_path)
    assert ended.returncode == 0
    assert all("MZ0212" in line for line in ended.stdout.splitlines()), (
        "services without endpoints, that is all"
    )
    assert "9 documents checked" in ended.stderr


def test_folders_deeper_than_any_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(sys.getrecursionlimit() + 200):
        Path("d").mkdir()
        monkeypatch.chdir("d")
    Path("x.yaml").write_text(SERVICE % "deep")
    try:
        ended = run("analyze", tmp_path)
        assert "1 document checked" in ended.stderr
    finally:
        # Not left to pytest, which removes folders by recursion.
        monkeypatch.chdir(tmp_path)
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
