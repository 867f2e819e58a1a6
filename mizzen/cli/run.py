"""`mizzen run`: starts an Envoy in one step; several can run on one machine."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from mizzen.cli.bootstrap import DEFAULT_ADMIN_ADDRESS, bootstrap, bootstrap_yaml
from mizzen.cli.failure import Failure

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""SIGUSR1 makes an Envoy open its access logs anew."""


@functools.wraps(bootstrap, assigned=("__annotations__",))  # the options are the same
def run(**options: Any) -> None:
    """Write the bootstrap of an Envoy and start it, beside others; it ends with the Envoy's exit code."""
    from mizzen.demo.loopback import reserved_port

    with contextlib.ExitStack() as until_the_end:
        if not options["admin_port"] and options["admin_address"] == DEFAULT_ADMIN_ADDRESS:
            host, _, port = DEFAULT_ADMIN_ADDRESS.rpartition(":")
            # This Envoy does not listen yet: until it does, no second `mizzen run` may choose the port.
            options["admin_port"] = until_the_end.enter_context(reserved_port(host, int(port)))
        code = _run_envoy(options)
    raise typer.Exit(code)


def _run_envoy(options: Mapping[str, Any]) -> int:
    """Run an Envoy with the bootstrap that the options describe; return its exit code."""
    from mizzen.demo import DemoError
    from mizzen.demo.envoy_process import envoy_command, find_envoy

    text = bootstrap_yaml(**options)
    try:
        binary = find_envoy()
    except DemoError as error:
        raise Failure(str(error)) from error
    if options["admin_port"]:
        admin = f"127.0.0.1:{options['admin_port']}"
    else:
        admin = options["admin_address"]
    # `tempfile` makes a folder that only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="mizzen-run-") as directory:
        file = Path(directory) / "bootstrap.yaml"
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        typer.echo(f"Envoy {binary}, its admin interface at {admin}", err=True)
        return _run(envoy_command(binary, file))


def _run(command: Sequence[str | Path]) -> int:
    """Run `command` until it ends, forward our signals to it, and return its exit code as a shell would."""
    from mizzen.demo.child_process import die_with

    bound = die_with(os.getpid())

    def before_exec() -> None:
        bound()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # No signal may come between the start of the child and the handlers that know it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    try:
        # In its own process group the child gets a Ctrl-C once, from us, and not from the terminal too.
        child = subprocess.Popen(
            command,
            process_group=0,
            preexec_fn=before_exec,
        )
        handlers = {
            number: signal.signal(number, lambda received, _: child.send_signal(received))
            for number in HANDED_ON
        }
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        code = child.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
