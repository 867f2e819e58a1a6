"""The entry point: the commands by name, and one place where every mistake becomes one clear line."""

from __future__ import annotations

import os
import sys

import typer

from mizzen.cli import analyze, bootstrap, demo, serve, status, translate
from mizzen.cli.failure import Failure

commands = typer.Typer(
    name="mizzen",
    help="A control plane for plain Envoy that speaks Istio's configuration, without Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.command("demo")(demo.demo)
commands.command("serve")(serve.serve)
commands.command("status")(status.status)
commands.command("translate")(translate.translate)
commands.command("analyze")(analyze.analyze)
commands.command("bootstrap")(bootstrap.bootstrap)


@commands.command()
def version() -> None:
    """Print the version of Mizzen."""
    import mizzen

    typer.echo(f"mizzen {mizzen.__version__}")


def app() -> None:
    """Run the command line and exit: 0 done, 1 it failed, 2 the command line is wrong, 130 interrupted."""
    try:
        commands()
    except Failure as failure:
        print(f"mizzen: {failure}", file=sys.stderr)
        sys.exit(failure.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`mizzen analyze | head`). Python would complain once more when it flushes
        # standard output at exit: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        print(f"mizzen: {error}", file=sys.stderr)
        sys.exit(1)
