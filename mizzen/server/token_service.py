"""New tokens for agents: an agent that proves its identity by a certificate gets a token for that identity.

The token with which an agent starts may be valid for an hour; without a new one it could not start again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from mizzen import xds
from mizzen.identity.spiffe_id import SpiffeId
from mizzen.identity.token import issue_token
from mizzen.server.one_request import RequestRefused, handler, read_request
from mizzen.signing import CREATE_TOKEN, TOKEN_SERVICE, Lifetime, Token
from mizzen.xds.refusal_log import RefusalLog


@dataclass(frozen=True)
class TokenService:
    """Answers CreateToken.

    `key` signs. `caller` returns the identity that a peer has proved, or raises RequestRefused. `longest` is
    the longest lifetime of a token. It is that of a workload certificate, so that a token gives no more than
    a certificate does. `signed` and `refused` are called for each answer.
    """

    key: ec.EllipticCurvePrivateKey
    caller: Callable[[xds.Peer], SpiffeId]
    longest: timedelta
    clock: Callable[[], datetime]
    signed: Callable[[], None]
    refused: Callable[[], None]
    _refusals: RefusalLog = field(default_factory=RefusalLog, init=False, repr=False)

    def attach(self, grpc_server: Any) -> None:
        """Add the service to a `grpc.aio.Server`."""
        method = handler(self._serve, Token.SerializeToString)
        grpc_server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(TOKEN_SERVICE, {CREATE_TOKEN: method}),)
        )

    async def _serve(self, context: Any) -> Any:
        peer = xds.peer_of(context)
        try:
            identity = self.caller(peer)
            wanted: Any = await read_request(context, Lifetime.FromString)
            token = self.create(peer, identity, wanted.seconds)
        except RequestRefused as refusal:
            self.refused()
            self._refusals.say(time.monotonic(), peer.address, CREATE_TOKEN, str(refusal))
            await context.abort(refusal.code, str(refusal))
        self.signed()
        log = structlog.get_logger("mizzen.certificates")
        log.info("a token was renewed", identity=str(identity))
        return Token(value=token)

    def create(self, peer: xds.Peer, identity: SpiffeId, seconds: int) -> str:
        """Return a token for `identity`, which `peer` has proved. Raises RequestRefused if the proof was not
        a certificate (a stolen token must not renew itself), or if the lifetime is less than a second."""
        if not peer.certified:
            raise RequestRefused(
                grpc.StatusCode.UNAUTHENTICATED,
                "a token is renewed by a certificate; come to the port for those",
            )
        if seconds < 1:
            raise RequestRefused(grpc.StatusCode.INVALID_ARGUMENT, "the lifetime is less than a second")
        lifetime = min(self.longest, timedelta(seconds=min(seconds, 2**31)))
        return issue_token(self.key, identity.namespace, identity.service_account, self.clock(), lifetime)
