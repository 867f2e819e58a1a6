"""Commands of the program: their help, and how those run that read files, answer and end."""

from __future__ import annotations

import gc
from typing import Any, ClassVar

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command of the program. Typer itself shows Python's types of arguments, and hidden ones as usage."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and search for garbage meanwhile; the program starts without."""
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

    What it makes of the files lives as long as the process, so the search for garbage finds none: without
    it, such a command takes a fifth less time, and no more memory. Nor is it taken down at the end, which
    would take another tenth.
    """

    answered: ClassVar[bool] = False
    """Whether this process ran such a command."""

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
