"""Commands that answer and end: no search for garbage meanwhile, and nothing loaded that a server needs."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.sources import mesh_tests
from tests.unit.cli.conftest import Command


def test_the_search_for_garbage_rests_while_it_runs(
    mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def load(paths: object) -> tuple[()]:
        seen.append(gc.isenabled())
        return ()

    monkeypatch.setattr(mesh_tests, "load_mesh_tests", load)
    assert gc.isenabled()
    mizzen("test", tmp_path)
    assert seen == [False]
    assert gc.isenabled()


def test_the_program_searches_for_no_garbage_from_its_start_to_its_end(tmp_path: Path) -> None:
    """A search when the answer is there walks through all that was made for it."""
    (tmp_path / "shop.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {}\n")
    program = (
        "import gc, os, sys\n"
        "from mizzen.cli.main import app\n"
        "searches = []\n"
        "gc.callbacks.append(lambda *_: searches.append(1))\n"
        "end = os._exit\n"
        "def ended(code):\n    print(len(searches), file=sys.stderr, flush=True)\n    end(code)\n"
        "os._exit = ended\n"
        f"sys.argv = ['mizzen', 'analyze', {str(tmp_path)!r}]\n"
        "app()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "0", done.stderr


def test_commands_that_go_on_search_for_garbage(mizzen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr("typer.echo", lambda _: seen.append(gc.isenabled()))
    gc.disable()
    try:
        mizzen("version")
    finally:
        gc.enable()
    assert seen == [True]


def test_reading_files_once_loads_nothing_of_a_server() -> None:
    script = (
        "import sys, mizzen.sources.loading; print(*sorted({'structlog', 'watchfiles'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


@pytest.mark.parametrize(
    ("command", "needless"),
    [
        (("why", "http://shop/", "--from", "shop-1", "--config"), {"mizzen.mesh.analysis"}),
        (("analyze",), {"mizzen.simulate"}),
    ],
    ids=["why", "analyze"],
)
def test_a_command_that_reads_files_loads_no_more_than_it_needs(
    tmp_path: Path, command: tuple[str, ...], needless: set[str]
) -> None:
    """Half of the time that a small mesh takes is loading."""
    (tmp_path / "shop.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  clusterIP: 10.1.0.1\n"
        "  selector:\n    app: shop\n  ports:\n  - name: http\n    port: 80\n---\n"
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata:\n  name: shop-1\nspec:\n"
        "  address: 10.2.0.1\n  labels:\n    app: shop\n"
    )
    program = (
        "import sys\n"
        f"sys.argv = ['mizzen', *{command!r}, {str(tmp_path)!r}]\n"
        "from mizzen.cli.main import command_line\n"
        "try:\n    command_line()\n"
        "except SystemExit as ended:\n    print(ended.code, file=sys.stderr)\n"
        "slow = {'asyncio', 'cryptography', 'grpc', 'httpx', 'jinja2', 'starlette', 'structlog', 'uvicorn', "
        f"'mizzen.server', 'mizzen.xds.server', 'mizzen.xds.events', *{needless!r}}}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-2:] == ["0", "[]"], done.stdout
