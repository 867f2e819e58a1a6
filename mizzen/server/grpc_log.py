"""Reads what gRPC's core writes to standard error, and logs failed TLS handshakes.

gRPC for Python has no callback for a failed handshake, because no call has begun. Only its core (C++) writes
about it, to file descriptor 2, and with the peer's address only if it traces handshakes. So that descriptor
is a pipe while the TLS address is served; `sys.stderr` still writes to the original file. Reasons and costs:
docs/decisions/0055.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from mizzen.server.faults import Faults

_HEAD: Final = re.compile(rb"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\] (.*)")
"""The first line of an entry: severity, time, thread, file and line, text. Some entries have more lines."""

_OF_HANDSHAKES: Final = (b"handshaker.cc", b"channel_trace.h")
"""Source files whose errors may have several lines; the last line ends in a brace or is empty."""

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
"""Entries of severity error that are harmless: a client that asks for an unknown name still gets the
certificate."""
_LONGEST_ENTRY: Final = 64 * 1024
_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class FailedHandshake:
    """A client that could not connect by TLS. `gone`: it left before the end of the handshake, as probes
    do."""

    peer: str
    reason: str
    gone: bool = False


class ConnectionLog:
    """Logs failed connections, once for each host and reason: an Envoy whose certificate is refused comes
    again every few seconds.
    """

    def __init__(self, on_failed: Callable[[], None]) -> None:
        """Call `on_failed` for each failed handshake, logged or not."""
        self._on_failed = on_failed
        self._log = structlog.get_logger("mizzen.server")
        self._said: dict[tuple[str, str], None] = {}

    def failed(self, handshake: FailedHandshake) -> None:
        """Log a failed handshake."""
        self._on_failed()
        if handshake.gone:
            self._log.debug("a TLS handshake was not ended", peer=handshake.peer, reason=handshake.reason)
        elif self._is_new(handshake.peer.rpartition(":")[0], handshake.reason):
            self._log.warning("a TLS handshake failed", peer=handshake.peer, reason=handshake.reason)

    def error(self, text: str) -> None:
        """Log an error of gRPC's core."""
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
    """Choose what gRPC's core writes, by its environment variables; return True if that was possible.

    Call this before the first import of `grpc`, because the core reads the variables once. If the user has
    set one of them, nothing is changed: the user wants to see the core's output.
    """
    if "grpc" in sys.modules or "GRPC_VERBOSITY" in os.environ or "GRPC_TRACE" in os.environ:
        return False
    if traces_handshakes:
        os.environ["GRPC_TRACE"] = "handshaker"
    else:
        os.environ["GRPC_VERBOSITY"] = "NONE"
    return True


@contextlib.contextmanager
def captured(
    on_failed: Callable[[FailedHandshake], None], on_error: Callable[[str], None], faults: Faults
) -> Iterator[None]:
    """Read the output to file descriptor 2 during the context; `sys.stderr` still writes to the original
    file.

    `on_failed` is called for each failed handshake, `on_error` with each error of the core, both in a
    separate thread; `faults` notes a line with which they fail. Output that is not from the core goes to the
    original file.
    """
    try:
        real = os.dup(2)
    except OSError:  # the process was started with the descriptor closed
        yield
        return
    reading, writing = os.pipe()
    # The core holds locks while it writes, perhaps Python's too, so it must never wait for the reader.
    os.set_blocking(writing, False)
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1024 * 1024)
    stderr = sys.stderr
    if stderr is not None:
        stderr.flush()
    sys.stderr = io.TextIOWrapper(
        os.fdopen(os.dup(real), "wb"), "utf-8", "backslashreplace", line_buffering=True
    )
    # In a crash, the last output would be lost in the pipe.
    tells_crashes = not faulthandler.is_enabled()
    if tells_crashes:
        faulthandler.enable(file=real)
    os.dup2(writing, 2)
    os.close(writing)
    reader = threading.Thread(
        target=_read, args=(reading, real, Entries(on_failed, on_error), faults), name="grpc-log", daemon=True
    )
    reader.start()
    try:
        yield
    finally:
        # This closes the pipe's last writer, so the reader ends.
        os.dup2(real, 2)
        reader.join(1)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        sys.stderr = stderr
        if tells_crashes:
            faulthandler.disable()
        os.close(real)


def _read(reading: int, real: int, entries: Entries, faults: Faults) -> None:
    with os.fdopen(reading, "rb") as pipe:
        while line := pipe.readline(_LONGEST_ENTRY):
            try:
                foreign = entries.take(line)
            except Exception:
                faults.note("a line of gRPC was not understood", exc_info=True)
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
        """Handle the next line; return True if the core did not write it."""
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
    """Return an address in the usual form: gRPC writes `ipv4:10.0.0.7:4711` and `ipv6:%5B::1%5D:4711`."""
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
