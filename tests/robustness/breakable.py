"""A control plane that runs as its users run it, to be broken."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mizzen.testing.ports import free_port
from tests.forked_mizzen import start

DEADLINE = 60.0
"""For what hangs: nothing that works takes so long, on the busiest machine."""


def until(what: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Ask again until the answer is true; an assertion fails if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


class Serving:
    """A running `mizzen serve`. `wait`: until it is ready, and not only until it answers."""

    def __init__(self, folder: Path, *arguments: str, log: Path, wait: bool = True) -> None:
        self.folder, self.log_file = folder, log
        self.grpc, self.admin = free_port(), free_port()
        self.process = start(
            [
                *("serve", "--config", folder, "--grpc-address", f"127.0.0.1:{self.grpc}"),
                *("--admin-address", f"127.0.0.1:{self.admin}", *arguments),
            ],
            log,
        )
        try:
            until(self.is_ready if wait else self.answers)
        except BaseException:
            self.process.kill()
            raise

    def answers(self) -> bool:
        assert self.process.exitcode is None, self.log()
        return self.get("/version")[0] == 200

    def is_ready(self) -> bool:
        assert self.process.exitcode is None, self.log()
        return self.get("/ready")[0] == 200

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask the admin address; a status of 0 means no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=DEADLINE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError as error:
            return 0, str(error).encode()

    def configuration(self) -> dict[str, Any]:
        code, body = self.get("/status")
        assert code == 200, body
        found: dict[str, Any] = json.loads(body)["configuration"]
        return found

    def diagnostics(self) -> str:
        """What is wrong, but that the services of these tests have no endpoints."""
        found = [each for each in self.configuration()["diagnostics"] if each["code"] != "MZ0212"]
        return "\n".join(f"{each['file']}: {each['message']}" for each in found)

    def services(self) -> int:
        return int(self.configuration()["documents"].get("Service", 0))

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def megabytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) // 1024

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, how)
        self.process.join(DEADLINE)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError("it does not stop")
        return self.process.exitcode


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: 80}]}\n"
