"""Commands of the program: their help, and how a command that only reads files and answers is run."""

from __future__ import annotations

import gc
from typing import Any, ClassVar

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command of the program. Its help shows no Python types and no hidden arguments, as Typer's would."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command with garbage collection on; the program starts with it off."""
        gc.enable()
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces of the usage line."""
        pieces = [self.options_metavar] if self.options_metavar else []
        for parameter in self.get_params(ctx):
            if not getattr(parameter, "hidden", False):
                pieces.extend(parameter.get_usage_pieces(ctx))
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what the arguments and options mean."""
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            name, text = record
            if parameter.param_type_name == "argument":
                arguments.append((parameter.metavar or name, text))
            else:
                options.append((name, text))
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class OneAnswer(Command):
    """A command that reads files, answers and ends.

    Its objects live as long as the process, so garbage collection would find nothing: with it off, such a
    command takes a fifth less time, and no more memory. The objects are not freed at the end either, which
    saves a further tenth.
    """

    answered: ClassVar[bool] = False
    """True if this process ran such a command."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        searches = gc.isenabled()
        gc.disable()
        OneAnswer.answered = True
        try:
            return TyperCommand.invoke(self, ctx)
        finally:
            if searches:
                gc.enable()
