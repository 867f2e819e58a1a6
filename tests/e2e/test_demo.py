"""`mizzen demo` as a user meets it: real Envoys, real requests, and nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mizzen.demo.loopback import is_free
from mizzen.demo.options import examples_directory
from mizzen.testing.ports import free_port

pytestmark = pytest.mark.envoy

START_SECONDS = 300.0
"""For what hangs: a tenth of it is usual."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the shop, to be edited; its path also marks the processes of its run."""
    return Path(shutil.copytree(examples_directory() / "bookinfo", tmp_path / "shop"))


@pytest.fixture
def port() -> int:
    """A port for the ingress."""
    return free_port()


def _take_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Demo:
    """A running `mizzen demo`, its words read line by line."""

    def __init__(
        self, shop: Path | None, port: int | None, temporary: Path, *, terminal: int | None = None
    ) -> None:
        """Start it, its own files in `temporary`, with the open `terminal` as standard input if given."""
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mizzen", "demo"]
        if shop is not None:
            command += ["--shop", str(shop)]
        if port is not None:
            command += ["--port", str(port)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "160"},
            # As a shell does it: a session of its own, with the terminal.
            start_new_session=terminal is not None,
            preexec_fn=None if terminal is None else _take_the_terminal,
        )

    def wait_for(self, *words: str) -> str:
        """Read on until a line with all these words, and return it."""
        assert self.process.stdout is not None
        heard = []
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and (line := self.process.stdout.readline()):
            heard.append(line)
            if all(each in line for each in words):
                return line
        pytest.fail(f"never said {words!r}, but:\n{''.join(heard)}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        self.process.communicate(timeout=120)
        return self.process.returncode

    def close(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def start(shop: Path, port: int) -> Iterator[Callable[[], Demo]]:
    """Starts demonstrations of the copied shop, and ends those that a failed test left running."""
    started: list[Demo] = []

    def start() -> Demo:
        started.append(Demo(shop, port, shop.parent))
        return started[-1]

    yield start
    for demo in started:
        demo.close()


def _command_of(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has ended
        return ""


def _processes_of(directory: Path) -> list[str]:
    """Return the command lines of the processes that name a directory."""
    commands = (_command_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [command for command in commands if str(directory) in command]


def _are_gone(directory: Path, seconds: float = 60.0) -> list[str]:
    """Wait until no process names the directory; return those that still do."""
    deadline = time.monotonic() + seconds
    while (left := _processes_of(directory)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _versions(url: str, requests: int) -> Counter[str]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        answers = (client.get(f"{url}/api/v1/products/0/reviews") for _ in range(requests))
        return Counter(str(answer.json().get("version", answer.status_code)) for answer in answers)


@dataclass
class Shared:
    """One demonstration at a terminal, whose tests leave it as it was."""

    demo: Demo
    shop: Path
    keyboard: int
    """Where a test types."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Runs after another in the same folder, until its tests are done; then Ctrl-C ends all of it."""
    shop = Path(shutil.copytree(examples_directory() / "bookinfo", tmp_path_factory.mktemp("demo") / "shop"))
    port = free_port()
    keyboard, terminal = os.openpty()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, keyboard)
        stack.callback(os.close, terminal)
        before = termios.tcgetattr(terminal)
        former = stack.enter_context(contextlib.closing(Demo(shop, port, shop.parent)))
        former.wait_for("programs of the shop")
        assert former.end(signal.SIGTERM) == 0
        assert _processes_of(shop.parent) == []
        demo = stack.enter_context(contextlib.closing(Demo(shop, port, shop.parent, terminal=terminal)))
        demo.wait_for("the shop answers")
        yield Shared(demo, shop, keyboard)
        assert demo.end(signal.SIGINT) == 0
        assert termios.tcgetattr(terminal) == before
    assert _processes_of(shop.parent) == []
    assert is_free("127.0.0.1", port)


def test_the_check_sees_every_feature(shop: Path, port: int) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "mizzen", "demo", "--check", "--shop", str(shop), "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=START_SECONDS + 60,
        env={**os.environ, "TMPDIR": str(shop.parent), "COLUMNS": "200"},
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(r"^(\d+) of \1 as expected$", finished.stdout, re.MULTILINE)
    assert re.search(r"5 served, usually after \d+\.\d+ s", finished.stdout)
    for tried in ("weighted split", "mirroring", "REGISTRY_ONLY", "ServiceEntry", "fault delay", "retries"):
        assert tried in finished.stdout
    assert _processes_of(shop.parent) == []
    assert is_free("127.0.0.1", port)
    assert [path.name for path in shop.parent.iterdir()] == ["shop"]  # its own files are gone too


def test_an_edited_yaml_shifts_the_traffic(shared: Shared) -> None:
    demo = shared.demo
    assert len(_versions(demo.url, 120)) == 3

    rules = shared.shop / "virtual-services.yaml"
    original = text = rules.read_text(encoding="utf-8")
    for old, new in ((50, 0), (30, 0), (20, 100)):
        assert f"weight: {old}\n" in text
        text = text.replace(f"weight: {old}\n", f"weight: {new}\n")
    rules.write_text(text, encoding="utf-8")
    deadline = time.monotonic() + 60.0
    while (seen := _versions(demo.url, 20)) != {"v3": 20} and time.monotonic() < deadline:
        assert set(seen) <= {"v1", "v2", "v3"}  # no request fails meanwhile
    assert seen == {"v3": 20}

    # The picture shows it, and every proxy has accepted it.
    demo.wait_for("LAST 2 SECONDS")
    demo.wait_for("ACKED")

    rules.write_text(original, encoding="utf-8")
    while len(_versions(demo.url, 60)) < 3:
        assert time.monotonic() < deadline + 60.0


def test_a_killed_demonstration_takes_its_processes_along(start: Callable[[], Demo], shop: Path) -> None:
    demo = start()
    demo.wait_for("programs of the shop")  # in the midst of starting
    demo.end(signal.SIGKILL)
    assert _are_gone(shop.parent) == []


def test_a_taken_port_is_told(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        finished = subprocess.run(
            [sys.executable, "-m", "mizzen", "demo", "--shop", str(shop), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
    assert finished.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken: choose another with --port" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_usual_port_gives_way_when_it_is_taken(shop: Path) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # whoever has it already serves the purpose
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        demo = stack.enter_context(contextlib.closing(Demo(shop, None, shop.parent)))
        demo.wait_for("port 8080 is taken, so the shop gets port 80")
        assert demo.end(signal.SIGINT) == 0
    assert _processes_of(shop.parent) == []


def test_a_program_that_ends_is_told_with_its_last_words(start: Callable[[], Demo], shop: Path) -> None:
    (shop / "apps" / "ratings.py").write_text("raise SystemExit('no ratings today')\n", encoding="utf-8")
    demo = start()
    output, _ = demo.process.communicate(timeout=START_SECONDS)
    assert demo.process.returncode == 1
    assert "ratings-v1-program ended by itself (exit code 1)" in output
    assert "no ratings today" in output
    assert "Traceback" not in output
    assert _processes_of(shop.parent) == []


def _pid_of(directory: Path, words: str) -> int:
    """Return the process that names the directory and `words` in its command line."""
    pids = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(directory) in (command := _command_of(entry)) and words in command
    ]
    (pid,) = pids
    return pid


RATINGS_FAIL = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings-fail}
spec:
  hosts: [ratings]
  http:
  - directResponse: {status: 503}
"""


def test_a_killed_envoy_is_started_again(shared: Shared) -> None:
    shared.demo.wait_for("pages asked for")
    os.kill(_pid_of(shared.shop.parent, "details-v1-envoy.yaml"), signal.SIGKILL)
    shared.demo.wait_for("details-v1-envoy ended by itself (signal 9), and runs again")
    assert _pid_of(shared.shop.parent, "details-v1-envoy.yaml")
    _is_whole_again(shared.demo)


def test_pages_with_a_part_missing_are_counted(shared: Shared) -> None:
    broken = shared.shop / "ratings-fail.yaml"
    broken.write_text(RATINGS_FAIL)
    shared.demo.wait_for("answered 200 with a part missing: ", "stars ")
    broken.unlink()
    _is_whole_again(shared.demo)


def _is_whole_again(demo: Demo) -> None:
    """Wait until no part of any page is missing."""
    deadline = time.monotonic() + 60.0
    whole = 0
    with httpx.Client(trust_env=False, timeout=60) as client:
        while whole < 20:
            page = client.get(f"{demo.url}/productpage")
            whole = 0 if "x-shop-missing" in page.headers else whole + 1
            assert time.monotonic() < deadline


def test_a_key_kills_the_control_plane_and_starts_it_again(shared: Shared) -> None:
    demo = shared.demo
    demo.wait_for("kills the control plane, and starts it again")
    os.write(shared.keyboard, b"k")
    demo.wait_for("control plane killed (k starts it)")
    assert not [each for each in _processes_of(shared.shop.parent) if " serve " in each]
    assert set(_versions(demo.url, 60)) == {"v1", "v2", "v3"}
    os.write(shared.keyboard, b"k")
    line = demo.wait_for("control plane killed, serves again")
    assert re.search(r"[1-9]\d* pages meanwhile, 0 failed, 0 in part", line)


def test_a_user_edits_a_copy(tmp_path: Path, port: int) -> None:
    own = tmp_path / "temporary"
    own.mkdir()
    demo = Demo(None, port, own)
    with contextlib.closing(demo):
        line = demo.wait_for("Edit ")
        rules = Path(line.split()[1])
        assert rules.is_relative_to(own)
        written = rules.read_text(encoding="utf-8")
        assert written == (examples_directory() / "bookinfo/virtual-services.yaml").read_text(
            encoding="utf-8"
        )
        assert demo.end(signal.SIGTERM) == 0
    assert list(own.iterdir()) == []  # the copy is gone too
