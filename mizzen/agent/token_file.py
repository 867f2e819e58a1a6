"""The file with the agent's token: read whenever the token is needed, and rewritten before it expires."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt

from mizzen.agent.signing import AgentError
from mizzen.identity.private_file import write_private
from mizzen.identity.token import ISSUER
from mizzen.signing import CREATE_TOKEN, TOKEN_SERVICE, Lifetime, Token

_TIMEOUT_SECONDS = 15


class NoTokensError(AgentError):
    """The control plane has no key to sign tokens."""


@dataclass(frozen=True, slots=True)
class RenewableToken:
    """A token signed by the control plane, which the agent may renew, and its period of validity."""

    text: str = field(repr=False)
    not_before: datetime
    not_after: datetime

    @property
    def lifetime(self) -> timedelta:
        """The time from its beginning to its end."""
        return self.not_after - self.not_before


class TokenFile:
    """The file of `--token-file`; None for an agent without one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def read(self) -> str:
        """Return the token. Raises AgentError if there is none."""
        if self.path is None:
            raise AgentError("the certificate has expired, and there is no --token-file")
        try:
            token = self.path.read_bytes().decode(errors="replace").strip()
        except OSError as error:
            raise AgentError(unreadable(self.path, error)) from error
        if not token.isascii() or not token.isprintable() or not token:
            raise AgentError(f"{self.path}: holds no token")
        return token

    def renewable(self) -> RenewableToken | None:
        """Return the token if the agent may renew it: the control plane signed it, and this user may write
        the file. Tokens of other issuers, such as Kubernetes, are renewed by their owners."""
        if self.path is None or not os.access(self.path.parent, os.W_OK) or self.path.is_symlink():
            return None
        try:
            text = self.read()
            claims = jwt.decode(text, options={"verify_signature": False})
            begin, end = (datetime.fromtimestamp(claims[name], UTC) for name in ("nbf", "exp"))
        except (AgentError, jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError):
            return None
        return RenewableToken(text, begin, end) if claims.get("iss") == ISSUER and begin < end else None

    def write(self, token: str) -> None:
        """Replace the token in the file, readable by this user alone. Raises AgentError."""
        assert self.path is not None
        try:
            write_private(self.path, f"{token}\n".encode())
        except OSError as error:
            raise AgentError(f"{self.path}: {(error.strerror or str(error)).lower()}") from error


async def renewed(channel: Any, lifetime: timedelta) -> str:
    """Ask for a new token over a channel that has a certificate. Raises AgentError if none is given,
    NoTokensError if the control plane never signs tokens."""
    call = channel.unary_unary(
        f"/{TOKEN_SERVICE}/{CREATE_TOKEN}", Lifetime.SerializeToString, Token.FromString
    )
    try:
        answer = await call(Lifetime(seconds=int(lifetime.total_seconds())), timeout=_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise NoTokensError from None
        raise AgentError(f"no token was given: {error.code().name}: {error.details()}") from None
    return str(answer.value)


def unreadable(path: Path, error: OSError) -> str:
    """Return the message that says why a file cannot be read."""
    reason = (error.strerror or str(error)).lower()
    return f"{path}: cannot be read ({reason}); give a readable file"
