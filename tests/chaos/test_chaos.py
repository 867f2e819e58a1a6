"""The parts of `make chaos`, so that they do not rot: one short attack, the judge, the sandbox's end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.config import ConfigStore, Severity, parse_documents
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import eventually
from tests.chaos import sandbox
from tests.chaos.__main__ import ATTACKS
from tests.chaos.attack import Attack, Clock
from tests.chaos.attacks.documents import CORPUS, DOCUMENTS, fuzzed
from tests.chaos.load import Load, Target, serve_name
from tests.chaos.record import Outcome, Record

_REASON = sandbox.why_not()
in_sandbox = pytest.mark.skipif(bool(_REASON), reason=_REASON)


def _networks_and_mounts() -> tuple[str, str]:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = [line.split(": ")[1] for line in links.splitlines()]
    return "\n".join(names), Path("/proc/self/mounts").read_text(encoding="utf-8")


def _processes_of(mark: str) -> list[str]:
    """Return the commands that run with this mark in their environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            command = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (each / "environ").read_bytes()
        except OSError:
            continue
        if f"CHAOS_TEST={mark}".encode() in environment:
            found.append(command)
    return found


def _heeds_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.root
@pytest.mark.envoy
@in_sandbox
def test_a_short_attack_holds_and_leaves_nothing_behind() -> None:
    before = _networks_and_mounts()
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seconds", "1", "stop-control-plane"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 hold, 0 broken, 0 not done" in run.stdout
    assert "SIGSTOP" in run.stdout
    assert _networks_and_mounts() == before


@pytest.mark.root
@pytest.mark.envoy
@in_sandbox
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_ended_early_it_leaves_nothing_behind(how: signal.Signals) -> None:
    before = _networks_and_mounts()
    mark = f"{os.getpid()}-{how}"
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", "stop-control-plane"),
        stdout=subprocess.PIPE,
        env={**os.environ, "CHAOS_TEST": mark},
        process_group=0,
        preexec_fn=_heeds_interrupts,
    )
    assert run.stdout is not None
    assert b"1/1 stop-control-plane" in await run.stdout.readline()
    # Ctrl-C reaches all processes of the terminal's group, the others the first one.
    (os.killpg if how is signal.SIGINT else os.kill)(run.pid, how)
    assert await asyncio.wait_for(run.wait(), 60) != 0

    async def gone() -> bool:
        return not _processes_of(mark)

    await eventually(gone, "all processes have ended")
    assert _networks_and_mounts() == before


def test_who_is_not_root_is_told() -> None:
    if os.geteuid() != 0:
        assert "needs root" in sandbox.why_not()
        return
    out = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", _ASK],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ).stdout
    assert "needs root" in out


_ASK = "from tests.chaos import sandbox; print(sandbox.why_not())"


async def test_the_load_counts_what_fails() -> None:
    port = free_port()
    load = Load((Target("sidecar", "127.0.0.1", port, "reviews"),))
    async with load.running():

        async def failed() -> bool:
            return load.sent > 5

        await eventually(failed, "requests are sent")
    assert load.sent == len(load.failures)
    assert {reason.partition(" ")[0] for reason in load.reasons()} == {"sidecar:"}
    start, end = load.failures[0][0], load.failures[-1][0]
    assert not load.reasons([(start, end)])
    server = await serve_name("blue", "127.0.0.1", port)
    failures = len(load.failures)
    async with load.running():

        async def answered() -> bool:
            return load.answered["blue"] > 5

        await eventually(answered, "requests are answered")
    server.close()
    assert len(load.failures) == failures


def test_a_fault_is_shown() -> None:
    record = Record()
    record.fault("2 × sidecar: 503")
    record.fault("2 × sidecar: 503")
    outcome = Outcome("bursts", "rename 3×", 1000, 2, (0.5, "rename"), tuple(record.faults))
    assert outcome.verdict == "BROKEN"
    assert outcome.line().splitlines() == [
        "rename 3×; 1,000 requests, 2 failed, worst wait 0.50 s (after: rename): BROKEN",
        "    2 × sidecar: 503",
    ]


def test_every_attack_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "chaos.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert listed == list(ATTACKS)


def test_the_time_is_shared_by_weight() -> None:
    heavy, light = (Attack(name, _nothing, weight=weight) for name, weight in (("a", 3.0), ("b", 1.0)))
    clock = Clock(112)
    assert clock.share([heavy, light]) == pytest.approx(75, abs=1)
    assert clock.share([light]) == pytest.approx(106, abs=1)


async def _nothing(field: object) -> None: ...


def test_what_files_of_chance_are_made_of_is_valid() -> None:
    store = ConfigStore()
    store.apply({"corpus.yaml": parse_documents(CORPUS.read_bytes(), "corpus.yaml")})
    assert [each for each in store.diagnostics() if each.severity is Severity.ERROR] == []
    drawn = [fuzzed(random.Random(1), "fuzz") for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != fuzzed(random.Random(2), "fuzz")


def test_hostile_documents_can_be_read() -> None:
    for path in DOCUMENTS.glob("*.yaml"):
        assert not parse_documents(path.read_bytes(), path.name).broken, path
