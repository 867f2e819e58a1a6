"""What gRPC's core says on standard error: kept from the terminal, its failed TLS handshakes made log lines.

gRPC for Python reports a failed handshake nowhere: no call has begun, and no callback is told. Only its core
(C++) writes about it, to the file descriptor 2, and with the peer's address only if it traces handshakes. So
that descriptor is a pipe while the TLS address is served; `sys.stderr` stays what it was. Why so, and what it
costs: docs/decisions/0055.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import io
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

_HEAD: Final = re.compile(rb"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\] (.*)")
"""The beginning of an entry: severity, time, thread, file and line, text. Some have more lines."""

_OF_HANDSHAKES: Final = (b"handshaker.cc", b"channel_trace.h")
"""Where entries come from whose errors have several lines, the last of which ends in a brace or is empty."""

_FAILED: Final = re.compile(
    r"CallNextHandshakerLocked: error=\w+: (Ssl handshake failed|Handshake read failed)(.*)"
)
_PEER: Final = re.compile(r"grpc\.internal\.endpoint_peer_address=([^,}\s]+)")
_OPENSSL: Final = re.compile(r"OPENSSL_internal:(\w+)(?:: ([\w -]+))?")
_REASONS: Final = {
    "WRONG_VERSION_NUMBER": "it speaks no TLS",
    "HTTP_REQUEST": "it speaks plain HTTP",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "NO_SHARED_CIPHER": "it offers no cipher suite that is taken here",
    "UNSUPPORTED_PROTOCOL": "it offers no version of TLS that is taken here",
}
_NO_ERRORS: Final = ("No match found for server name",)
"""What the core calls errors and are none: a client that asks for another name is shown the certificate."""
_LONGEST_ENTRY: Final = 64 * 1024
_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class FailedHandshake:
    """A client that could not connect by TLS. `gone`: it went before the handshake ended, as probes do."""

    peer: str
    reason: str
    gone: bool = False


class ConnectionLog:
    """Says in the log which connections came to nothing: the first time for each host and reason.

    An Envoy whose certificate is refused comes again every few seconds.
    """

    def __init__(self, on_failed: Callable[[], None]) -> None:
        """Call `on_failed` for each failed handshake, told or not."""
        self._on_failed = on_failed
        self._log = structlog.get_logger("mizzen.server")
        self._said: dict[tuple[str, str], None] = {}

    def failed(self, handshake: FailedHandshake) -> None:
        """Say that a handshake failed."""
        self._on_failed()
        if handshake.gone:
            self._log.debug("a TLS handshake was not ended", peer=handshake.peer, reason=handshake.reason)
        elif self._is_new(handshake.peer.rpartition(":")[0], handshake.reason):
            self._log.warning("a TLS handshake failed", peer=handshake.peer, reason=handshake.reason)

    def error(self, text: str) -> None:
        """Say what gRPC's core calls an error."""
        if self._is_new("gRPC", text):
            self._log.error("gRPC reports an error", text=text)

    def _is_new(self, host: str, reason: str) -> bool:
        if (host, reason) in self._said:
            return False
        self._said[host, reason] = None
        while len(self._said) > _REMEMBERED:
            del self._said[next(iter(self._said))]
        return True


def quieten(*, traces_handshakes: bool) -> bool:
    """Choose what gRPC's core writes, by its environment variables; return whether that was possible.

    It has to be done before `grpc` is imported the first time, as the core looks at them once. Whoever has
    set one of them wants to see what the core says: then nothing is changed.
    """
    if "grpc" in sys.modules or "GRPC_VERBOSITY" in os.environ or "GRPC_TRACE" in os.environ:
        return False
    if traces_handshakes:
        os.environ["GRPC_TRACE"] = "handshaker"
    else:
        os.environ["GRPC_VERBOSITY"] = "NONE"
    return True


@contextlib.contextmanager
def captured(on_failed: Callable[[FailedHandshake], None], on_error: Callable[[str], None]) -> Iterator[None]:
    """Read what comes to file descriptor 2 while the context lasts; `sys.stderr` stays where it was.

    `on_failed` is called for each failed handshake, `on_error` with each error of the core, both in a thread
    of their own. What the core did not write goes where it was going.
    """
    try:
        real = os.dup(2)
    except OSError:  # The process was started with it closed: nobody reads.
        yield
        return
    reading, writing = os.pipe()
    # The core writes with locks held, maybe Python's among them: it must never wait for the reader.
    os.set_blocking(writing, False)
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1024 * 1024)
    stderr = sys.stderr
    if stderr is not None:
        stderr.flush()
    sys.stderr = io.TextIOWrapper(
        os.fdopen(os.dup(real), "wb"), "utf-8", "backslashreplace", line_buffering=True
    )
    # Of a crash the pipe would swallow what is said last.
    tells_crashes = not faulthandler.is_enabled()
    if tells_crashes:
        faulthandler.enable(file=real)
    os.dup2(writing, 2)
    os.close(writing)
    reader = threading.Thread(
        target=_read, args=(reading, real, Entries(on_failed, on_error)), name="grpc-log", daemon=True
    )
    reader.start()
    try:
        yield
    finally:
        # The pipe ends as its last writer goes, and the reader with it.
        os.dup2(real, 2)
        reader.join(1)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        sys.stderr = stderr
        if tells_crashes:
            faulthandler.disable()
        os.close(real)


def _read(reading: int, real: int, entries: Entries) -> None:
    with os.fdopen(reading, "rb") as pipe:
        while line := pipe.readline(_LONGEST_ENTRY):
            try:
                foreign = entries.take(line)
            except Exception:
                logging.getLogger("mizzen.server").exception(
                    "a line of gRPC was not understood: a fault of Mizzen"
                )
                continue
            if foreign:
                with contextlib.suppress(OSError):
                    os.write(real, line)


class Entries:
    """Finds failed handshakes and errors among the lines of the core."""

    def __init__(self, on_failed: Callable[[FailedHandshake], None], on_error: Callable[[str], None]) -> None:
        self._on_failed = on_failed
        self._on_error = on_error
        self._within = False
        self._failure: tuple[str, str] | None = None

    def take(self, line: bytes) -> bool:
        """Take the next line; return whether it is none of the core's."""
        head = _HEAD.match(line)
        text = (head[3] if head else line).decode(errors="replace").rstrip("\n")
        if head is not None:
            self._within = "rror" in text and head[2] in _OF_HANDSHAKES
            failed = _FAILED.match(text)
            self._failure = (failed[1], failed[2]) if failed else None
            if head[1] in b"EF" and not text.startswith(_NO_ERRORS):
                self._on_error(f"{head[2].decode()}: {text}")
        elif not self._within:
            return True
        if text.endswith("}") or not text:
            self._within = False
        if self._failure is not None and (peer := _PEER.search(text)):
            what, details = self._failure
            self._failure = None
            gone = what == "Handshake read failed"
            reason = _unended(details) if gone else _reason(details)
            self._on_failed(FailedHandshake(_address(peer[1]), reason, gone))
        return False


def _address(uri: str) -> str:
    """Return an address as logs have it: gRPC writes `ipv4:10.0.0.7:4711`, and `ipv6:%5B::1%5D:4711`."""
    return uri.removeprefix("ipv4:").removeprefix("ipv6:").replace("%5B", "[").replace("%5D", "]")


def _unended(details: str) -> str:
    return "it closed the connection" if "closed" in details else details.strip(" ():") or "unknown"


def _reason(details: str) -> str:
    found = _OPENSSL.search(details)
    if found is None:
        return details.strip(" :") or "unknown"
    name, more = found[1], found[2]
    if name == "CERTIFICATE_VERIFY_FAILED":
        return f"its certificate is not accepted: {more or 'unknown'}"
    if "_ALERT_" in name:
        return f"it refused: {name.partition('_ALERT_')[2].replace('_', ' ').lower()}"
    return _REASONS.get(name, name.replace("_", " ").lower())
