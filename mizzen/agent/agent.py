"""The agent: has a certificate signed, serves it over a Unix socket, and renews it and the token in time."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from mizzen import xds
from mizzen.agent import forwarding
from mizzen.agent.secrets import snapshot_of
from mizzen.agent.signing import AgentCertificate, AgentError, authorization, signed
from mizzen.agent.token_file import HeldToken, NoTokensError, TokenFile, renewed, unreadable

EARLIEST: Final = 0.5
LATEST: Final = 0.8
"""Between these parts of its lifetime a certificate or a token is renewed."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
_LOOK_AGAIN: Final = 60.0
"""Seconds until a token file that holds no token to be renewed is read again."""
_LONGEST_SLEEP: Final = 30.0
"""Seconds until the clock is looked at again: while a machine is suspended, its timers stand still."""
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
        self._token_file = TokenFile(options.token_file)
        self._secrets = xds.Server(lambda node, peer: _GROUP, identifier="mizzen/agent")
        self._channel: Any = None
        self._mutual: Any = None
        self.held: AgentCertificate | None = None

    async def start(self) -> None:
        """Have the first certificate signed, and listen. Raises AgentError if the socket cannot be used.

        A control plane that is not there is waited for; the log says so.
        """
        self._channel = self._token_channel(self._roots)
        await self._until_done(self._renew, "the first certificate is not signed yet")
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
        """Renew the certificate and the token for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_certificate())
            tasks.create_task(self._keep_token())

    async def _keep_certificate(self) -> None:
        while True:
            assert self.held is not None
            await self._sleep_through(self._clock(), self.held.not_after)
            await self._until_done(self._renew, "the certificate is not renewed yet")

    async def _keep_token(self) -> None:
        """Renew the token in its file, so that the agent can start again by it."""
        while True:
            held = self._token_file.renewable()
            if held is None:
                await asyncio.sleep(_LOOK_AGAIN)  # somebody may put one there
                continue
            await self._sleep_through(held.not_before, held.not_after)
            if self._token_file.renewable() != held:  # somebody else has renewed it
                continue
            try:
                await self._until_done(partial(self._renew_token, held), "the token is not renewed yet")
            except NoTokensError:
                self._log.info("the control plane signs no tokens: somebody else has to renew it")
                return

    async def _sleep_through(self, begin: datetime, end: datetime) -> None:
        """Sleep until the moment at which something that holds from `begin` to `end` is renewed."""
        part = EARLIEST + (LATEST - EARLIEST) * self._random_part()
        moment = max(begin + (end - begin) * part, self._clock() + timedelta(seconds=FIRST_PAUSE))
        while (left := (moment - self._clock()).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))

    async def stop(self) -> None:
        """End the streams and leave nothing behind."""
        await self._secrets.stop(0)
        await self._server.stop(0.2)
        for channel in (self._channel, self._mutual):
            if channel is not None:
                await channel.close()
        self._options.socket.unlink(missing_ok=True)

    async def _until_done(self, renew: Callable[[], Awaitable[None]], what: str) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await renew()
                return
            except NoTokensError:
                raise
            except AgentError as error:
                self._log.warning(what, error=str(error), again_in=pause)
            except Exception:  # a fault must not end the renewals: certificates would expire unseen
                self._log.exception(f"{what}: a fault of Mizzen", again_in=pause)
            await asyncio.sleep(pause * (0.5 + self._random_part() / 2))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _renew(self) -> None:
        """By the certificate if it holds, else by the token."""
        made = None
        if self._mutual is not None and self._is_certified():
            try:
                made = await signed(self._mutual, "")
            except AgentError as error:
                if self._token_file.path is None:
                    raise
                self._log.warning("the certificate is not taken, the token is tried", error=str(error))
        if made is None:
            made = await signed(self._channel, self._token_file.read())
        self.held = made
        # Streams that are open keep the channel of before, until the control plane ends them.
        if made.roots != self._roots:
            self._roots = made.roots
            self._channel = self._token_channel(made.roots)
        self._mutual = grpc.aio.secure_channel(
            self._options.mutual_address,
            grpc.ssl_channel_credentials(made.roots, made.private_key, made.chain),
            _OPTIONS,
        )
        self._secrets.set_snapshot(_GROUP, snapshot_of(made))
        self._log.info("a certificate was signed", until=made.not_after.isoformat())

    def _token_channel(self, roots: bytes) -> Any:
        return grpc.aio.secure_channel(self._options.address, grpc.ssl_channel_credentials(roots), _OPTIONS)

    async def _renew_token(self, held: HeldToken) -> None:
        if self._mutual is None or not self._is_certified():
            raise AgentError("there is no certificate that holds")
        self._token_file.write(await renewed(self._mutual, held.lifetime))
        self._log.info("the token was renewed", file=str(self._token_file.path))

    def _is_certified(self) -> bool:
        return self.held is not None and self._clock() < self.held.not_after

    def _upstream(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        if self._mutual is not None and self._is_certified():
            return self._mutual, ()
        try:
            return self._channel, authorization(self._token_file.read())
        except AgentError:
            return self._channel, ()  # the control plane says what is missing


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AgentError(unreadable(path, error)) from error
