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
from mizzen.agent.token_file import NoTokensError, RenewableToken, TokenFile, renewed, unreadable

EARLIEST: Final = 0.5
LATEST: Final = 0.8
"""A certificate or a token is renewed between these parts of its lifetime."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
_LOOK_AGAIN: Final = 60.0
"""Seconds until a token file without a renewable token is read again."""
_LONGEST_SLEEP: Final = 30.0
"""Maximum seconds until the clock is read again: timers stand still while a machine is suspended."""
_GROUP: Final = "envoy"
_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.keepalive_time_ms", 30_000))


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """The user's options. `address` accepts tokens, `mutual_address` certificates; both are HOST:PORT.
    `socket` is where the Envoy connects; only this user may enter its folder."""

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
        self.certificate: AgentCertificate | None = None

    async def start(self) -> None:
        """Have the first certificate signed, and listen. Raises AgentError if the socket cannot be used.

        Waits until the control plane can be reached; the log says so.
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
        """Renew the certificate and the token until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_certificate())
            tasks.create_task(self._keep_token())

    async def _keep_certificate(self) -> None:
        while True:
            assert self.certificate is not None
            await self._sleep_through(self._clock(), self.certificate.not_after)
            await self._until_done(self._renew, "the certificate is not renewed yet")

    async def _keep_token(self) -> None:
        """Renew the token in its file, so that the agent can use it after a restart."""
        while True:
            token = self._token_file.renewable()
            if token is None:
                await asyncio.sleep(_LOOK_AGAIN)  # a token may be put there later
                continue
            await self._sleep_through(token.not_before, token.not_after)
            if self._token_file.renewable() != token:  # it was renewed from outside
                continue
            try:
                await self._until_done(partial(self._renew_token, token), "the token is not renewed yet")
            except NoTokensError:
                self._log.info("the control plane signs no tokens: somebody else has to renew it")
                return

    async def _sleep_through(self, begin: datetime, end: datetime) -> None:
        """Sleep until it is time to renew something that is valid from `begin` to `end`."""
        part = EARLIEST + (LATEST - EARLIEST) * self._random_part()
        moment = max(begin + (end - begin) * part, self._clock() + timedelta(seconds=FIRST_PAUSE))
        while (left := (moment - self._clock()).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))

    async def stop(self) -> None:
        """Stop the streams and close all that was opened."""
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
            except Exception:  # a fault must not stop the renewals: certificates would expire unnoticed
                self._log.exception(f"{what}: a fault of Mizzen", again_in=pause)
            await asyncio.sleep(pause * (0.5 + self._random_part() / 2))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _renew(self) -> None:
        """Have a new certificate signed, by the certificate while it is valid, else by the token."""
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
        self.certificate = made
        # Open streams keep their old channel until the control plane closes them.
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

    async def _renew_token(self, token: RenewableToken) -> None:
        if self._mutual is None or not self._is_certified():
            raise AgentError("there is no certificate that holds")
        self._token_file.write(await renewed(self._mutual, token.lifetime))
        self._log.info("the token was renewed", file=str(self._token_file.path))

    def _is_certified(self) -> bool:
        return self.certificate is not None and self._clock() < self.certificate.not_after

    def _upstream(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        if self._mutual is not None and self._is_certified():
            return self._mutual, ()
        try:
            return self._channel, authorization(self._token_file.read())
        except AgentError:
            return self._channel, ()  # the control plane reports what is missing


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AgentError(unreadable(path, error)) from error
