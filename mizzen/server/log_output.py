"""The destination and the form of log lines.

A log that cannot be written (a full disk, a closed pipe) must not end the service: such a line is counted and
dropped.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from typing import IO, Any, Final, Literal

import structlog

from mizzen.config.faults import place

LogFormat = Literal["text", "json"]


class ResilientStream:
    """A text stream that never raises: for each text that cannot be written it calls `on_lost`."""

    def __init__(self, stream: IO[str], on_lost: Callable[[], None]) -> None:
        self._stream = stream
        self._on_lost = on_lost

    def write(self, text: str) -> int:
        """Write `text`; on failure drop it and count it."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._on_lost()
            return 0

    def flush(self) -> None:
        """Flush what was written; on failure count it as lost."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._on_lost()

    def isatty(self) -> bool:
        """Return True if the stream is a terminal."""
        try:
            return self._stream.isatty()
        except ValueError:
            return False


class CountedErrors(logging.Filter):
    """Passes all records, and calls `on_fault` with `event` for each error."""

    def __init__(self, on_fault: Callable[[str], None], event: str) -> None:
        super().__init__()
        self._on_fault = on_fault
        self._event = event

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True."""
        if record.levelno >= logging.ERROR:
            self._on_fault(self._event)
        return True


class FirstOfItsKind(logging.Filter):
    """Passes a record only the first time.

    An Envoy whose node is refused comes again every few seconds, each time from a different port. Two records
    count as equal if their format and last argument are equal: the peer comes first in these messages. Of
    exceptions, the place where they were raised counts too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str, str], None] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if no equal record came before."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        raised = record.exc_info[2] if record.exc_info else None
        key = (str(record.msg), str(arguments[-1]) if arguments else "", place(raised) if raised else "")
        if key in self._said:
            return False
        self._said[key] = None
        while len(self._said) > _COMPLAINTS_REMEMBERED:
            del self._said[next(iter(self._said))]
        return True


_COMPLAINTS_REMEMBERED = 1000


_CALLERS: Final = {
    "mizzen.xds": "a part of the discovery server failed",
    "uvicorn.error": "a request to the admin address failed",
    "grpc._cython.cygrpc": "a request for a certificate or token failed",
}
"""Loggers of what calls Mizzen for a client and logs what Mizzen raises, each with what failed then. They log
mistakes of clients as warnings."""


def _in_one_line(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Replace control characters by escapes, in the message and in each value."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(each if each.isprintable() else repr(each)[1:-1] for each in value)
    return event


def configure_logging(
    log_format: LogFormat = "text",
    level: str = "info",
    *,
    stream: IO[str] | None = None,
    on_lost: Callable[[], None] = lambda: None,
    on_fault: Callable[[str], None] = lambda event: None,
) -> None:
    """Send structlog's and the standard library's records to `stream` (standard error), one line each.

    `on_lost` is called for every line that could not be written; `on_fault` for every error of a library that
    calls Mizzen (`_CALLERS`), with what failed, also if an equal one was logged before.
    """
    # Standard error is None if the process was started with it closed.
    output = ResilientStream(stream or sys.stderr or io.StringIO(), on_lost)
    threshold = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: Any
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # Plain tracebacks: the pretty ones print local variables, which may be private keys.
        # Some text comes from clients: a node id must not look like a second line, or control a terminal.
        shared.append(_in_one_line)
        renderer = structlog.dev.ConsoleRenderer(
            colors=output.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=output),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    # Log messages of libraries only from WARNING on.
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.raiseExceptions = False
    for name, event in _CALLERS.items():
        logging.getLogger(name).filters = [CountedErrors(on_fault, event)]
    logging.getLogger("mizzen.xds").addFilter(FirstOfItsKind())
