"""The entry point: the commands by name, and the function that turns every mistake into one clear line."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from copy import copy
from pathlib import Path
from typing import Annotated

import typer

from mizzen.cli import (
    agent,
    analyze,
    bootstrap,
    ca,
    demo,
    describe,
    plan,
    run,
    serve,
    status,
    tables,
    test,
    token,
    translate,
    why,
)
from mizzen.cli.command import Command, OneAnswer
from mizzen.cli.error_lines import print_error_line
from mizzen.cli.failure import Failure

commands = typer.Typer(
    name="mizzen",
    no_args_is_help=True,
    # Help is plain text: rich's markup would swallow `[redacted]` and other words in brackets.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _examples(*lines: str) -> str:
    """Return the end of a help text. Its first character stops click from joining the lines."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


commands.command(
    "demo",
    cls=Command,
    short_help="Run a whole mesh on this machine.",
    epilog=_examples("mizzen demo", "mizzen demo --check"),
)(demo.demo)
commands.command(
    "serve",
    cls=Command,
    short_help="Serve a configuration to Envoys.",
    epilog=_examples(
        "mizzen serve --config examples/first-service",
        "mizzen serve --config mesh/ --state /var/lib/mizzen --log-format json",
    ),
)(serve.serve)
commands.command(
    "status",
    cls=Command,
    short_help="Show how the proxies stand.",
    epilog=_examples("mizzen status", "mizzen status --fail-on-rejected -o json"),
)(status.status)
commands.command(
    "translate",
    cls=OneAnswer,
    short_help="Print what one proxy would be sent.",
    epilog=_examples("mizzen translate --config mesh/ --node node.yaml --type listeners -o yaml"),
)(translate.translate)
commands.command(
    "analyze",
    cls=OneAnswer,
    short_help="Check files before anyone serves them.",
    epilog=_examples("mizzen analyze mesh/", "mizzen analyze mesh/ -o json"),
)(analyze.analyze)
commands.command(
    "why",
    cls=OneAnswer,
    short_help="Tell where a call goes, and which lines say so.",
    epilog=_examples(
        "mizzen why GET http://reviews:9080/api -H 'end-user: jason' --from productpage-v1 --config mesh/",
        "mizzen why GET https://shop.example/ --gateway edge --config mesh/",
        "mizzen why --tcp mysql:3306 --from orders-v1 --config mesh/ -o json",
    ),
)(why.why)
for _kind, _example in {
    "routes": "--host reviews",
    "clusters": "--fqdn reviews.default",
    "listeners": "--port 9080",
    "endpoints": "--fqdn reviews --subset v2",
    "secrets": "-o yaml",
}.items():
    commands.command(
        _kind,
        cls=Command,
        short_help=f"Show the {_kind} of a proxy as a table.",
        epilog=_examples(
            f"mizzen {_kind} reviews-v1.default {_example}",
            f"mizzen {_kind} reviews-v1.default --config mesh/",
        ),
    )(tables.table_command(_kind))
commands.command(
    "describe",
    cls=OneAnswer,
    short_help="Tell all about a service or workload.",
    epilog=_examples(
        "mizzen describe reviews.default",
        "mizzen describe reviews-v2 --config mesh/",
    ),
)(describe.describe)
commands.command(
    "plan",
    cls=OneAnswer,
    short_help="Tell what a change would change for each proxy.",
    epilog=_examples(
        "mizzen plan mesh-of-today/ mesh/",
        "mizzen plan --git HEAD~1 mesh/",
        "mizzen plan --git main mesh/ -o markdown",
    ),
)(plan.plan)
commands.command(
    "diff",
    cls=Command,
    short_help="Show what a proxy has not accepted.",
    epilog=_examples("mizzen diff reviews-v1.default"),
)(tables.diff)
commands.command(
    "test",
    cls=OneAnswer,
    short_help="Run the tests that stand beside a configuration.",
    epilog=_examples("mizzen test mesh/", "mizzen test mesh/shop.mesh-test.yaml --config rendered/"),
)(test.run_tests)
commands.command(
    "bootstrap",
    cls=Command,
    short_help="Print what an Envoy is started with.",
    epilog=_examples(
        "mizzen bootstrap sidecar --name reviews-v1 --ip 10.0.0.7 --label app=reviews > envoy.yaml",
        "mizzen bootstrap --node node.yaml > envoy.yaml",
    ),
)(bootstrap.bootstrap)
commands.command(
    "run",
    cls=Command,
    short_help="Start an Envoy in one step.",
    epilog=_examples("mizzen run gateway --name ingress --ip 127.0.0.1 --label istio=ingressgateway"),
)(run.run)


commands.command(
    "ca",
    cls=Command,
    short_help="Show the certificate authority, or change its root.",
    epilog=_examples(
        "mizzen ca --state /var/lib/mizzen",
        "mizzen ca rotate --state /var/lib/mizzen",
        "mizzen ca finish --state /var/lib/mizzen",
    ),
)(ca.ca)
commands.command(
    "agent",
    cls=Command,
    short_help="Keep the key of an Envoy on its machine.",
    epilog=_examples(
        "mizzen agent --ca-cert root-cert.pem --token-file token --socket /run/mizzen/agent.sock",
    ),
)(agent.agent)
commands.command(
    "token",
    cls=Command,
    short_help="Print a token by which a proxy says who it is.",
    epilog=_examples(
        "mizzen token --state /var/lib/mizzen --namespace default --service-account reviews --ttl 1h > token"
    ),
)(token.token)


@commands.command(cls=Command, epilog=_examples("mizzen version"))
def version() -> None:
    """Print the version of Mizzen."""
    import mizzen

    typer.echo(f"mizzen {mizzen.__version__}")


def _version_and_exit(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@commands.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version of Mizzen.", callback=_version_and_exit, is_eager=True
        ),
    ] = False,
) -> None:
    """A control plane for plain Envoy that speaks Istio's configuration, without Kubernetes."""


def app() -> None:
    """The program: run the command line and end the process."""
    gc.disable()  # loaded modules are never freed; long-running commands enable it again
    # To look for plugins, pydantic would read the metadata of every installed package. Mizzen uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    try:
        command_line()
    except SystemExit as ended:
        if OneAnswer.answered and isinstance(ended.code, int):
            os._exit(ended.code)  # freeing the objects one by one would take time for nothing
        raise


def _program() -> typer.Typer:
    """Return the program with only the command that is asked for, or with all if none is: preparing all takes
    longer than loading this module."""
    asked = [each for each in commands.registered_commands if [each.name] == sys.argv[1:2]]
    if not asked:
        return commands
    program = copy(commands)
    program.registered_commands = asked
    return program


def command_line() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong command line, 130 interrupted."""
    _open_closed_streams()
    if not sys.warnoptions:
        # Python's warnings are for programmers: `cryptography` would warn of users' unusual certificates.
        warnings.simplefilter("ignore")
    try:
        try:
            _program()()
        finally:
            _flush()
    except Failure as failure:
        print_error_line(f"mizzen: {failure}")
        sys.exit(failure.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader closed the pipe (`mizzen analyze | head`). Python would complain again when it flushes
        # standard output at exit: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        print_error_line(f"mizzen: {error}")
        sys.exit(1)


def _open_closed_streams() -> None:
    """Open /dev/null for standard streams that were closed before the program began (`>&-`). Else a file that
    is opened later would get their descriptor, and everything that is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 (it stays open)
            setattr(sys, name, stream)


def _flush() -> None:
    """Flush standard output, so that a full disk or a closed pipe raises its error here."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
