"""The agent: has a certificate signed, serves it over a Unix socket, and renews it in time."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from mizzen import xds
from mizzen.agent import forwarding
from mizzen.agent.secrets import snapshot_of
from mizzen.agent.signing import AgentCertificate, AgentError, authorization, signed

EARLIEST: Final = 0.5
LATEST: Final = 0.8
"""Between these parts of its lifetime the certificate is renewed."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
_GROUP: Final = "envoy"
_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.keepalive_time_ms", 30_000))


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What the user chose. `address` takes tokens, `mutual_address` certificates; both are HOST:PORT.
    `socket` is where the Envoy connects; its folder is for this user alone."""

    address: str
    mutual_address: str
    ca_cert: Path
    token_file: Path | None
    socket: Path


class Agent:
    """Serves one Envoy. `random_part` draws a number from 0 to 1."""

    def __init__(
        self,
        options: AgentOptions,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random_part: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._clock = clock
        self._random_part = random_part
        self._log = structlog.get_logger("mizzen.agent")
        self._roots = _read(options.ca_cert)
        self._secrets = xds.Server(lambda node, peer: _GROUP, identifier="mizzen/agent")
        self._channel: Any = None
        self._mutual: Any = None
        self.held: AgentCertificate | None = None

    async def start(self) -> None:
        """Have the first certificate signed, and listen. Raises AgentError if the socket cannot be used.

        A control plane that is not there is waited for; the log says so.
        """
        self._channel = grpc.aio.secure_channel(
            self._options.address, grpc.ssl_channel_credentials(self._roots), _OPTIONS
        )
        await self._renew_until_done()
        folder = self._options.socket.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat()
            if found.st_mode & 0o077:
                raise AgentError(
                    f"{folder}: others may enter it, and the socket gives keys; chmod 700 {folder}"
                )
            if found.st_uid != os.geteuid():
                raise AgentError(
                    f"{folder}: belongs to another user, and the socket gives keys; name one of this user"
                )
            self._options.socket.unlink(missing_ok=True)
        except OSError as error:
            raise AgentError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
        self._server = grpc.aio.server(options=xds.Limits().channel_options())
        forwarding.attach(self._server, self._upstream)
        self._secrets.attach(self._server)
        self._server.add_insecure_port(f"unix:{self._options.socket.absolute()}")
        await self._server.start()
        self._log.info("serving", socket=str(self._options.socket))

    async def keep(self) -> None:
        """Renew the certificate for ever."""
        while True:
            held = self.held
            assert held is not None
            now = self._clock()
            part = EARLIEST + (LATEST - EARLIEST) * self._random_part()
            await asyncio.sleep(max(0.0, (held.not_after - now).total_seconds() * part))
            await self._renew_until_done()

    async def stop(self) -> None:
        """End the streams and leave nothing behind."""
        await self._secrets.stop(0)
        await self._server.stop(0.2)
        for channel in (self._channel, self._mutual):
            if channel is not None:
                await channel.close()
        self._options.socket.unlink(missing_ok=True)

    async def _renew_until_done(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._renew()
                return
            except AgentError as error:
                self._log.warning("the certificate is not renewed yet", error=str(error), again_in=pause)
            await asyncio.sleep(pause * (0.5 + self._random_part() / 2))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _renew(self) -> None:
        """By the certificate if it holds, else by the token."""
        made = None
        if self._mutual is not None and self.held is not None and self._clock() < self.held.not_after:
            try:
                made = await signed(self._mutual, "")
            except AgentError as error:
                if self._options.token_file is None:
                    raise
                self._log.warning("the certificate is not taken, the token is tried", error=str(error))
        if made is None:
            made = await signed(self._channel, self._token())
        self.held = made
        # Streams that are open keep the channel of before, until the control plane ends them.
        self._mutual = grpc.aio.secure_channel(
            self._options.mutual_address,
            grpc.ssl_channel_credentials(made.roots, made.private_key, made.chain),
            _OPTIONS,
        )
        self._secrets.set_snapshot(_GROUP, snapshot_of(made))
        self._log.info("a certificate was signed", until=made.not_after.isoformat())

    def _upstream(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        held = self.held
        if self._mutual is not None and held is not None and self._clock() < held.not_after:
            return self._mutual, ()
        return self._channel, authorization(self._token_or_none())

    def _token_or_none(self) -> str:
        try:
            return self._token()
        except AgentError:
            return ""  # the control plane says what is missing

    def _token(self) -> str:
        """Read the token, which somebody else renews."""
        if self._options.token_file is None:
            raise AgentError("the certificate has expired, and there is no --token-file")
        token = _read(self._options.token_file).decode(errors="replace").strip()
        if not token.isascii() or not token.isprintable() or not token:
            raise AgentError(f"{self._options.token_file}: holds no token")
        return token


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AgentError(f"{path}: cannot be read ({reason}); give a readable file") from error
