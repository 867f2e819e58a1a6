"""New tokens for whoever has a certificate: for itself, and for no longer than the certificate holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from structlog.testing import capture_logs

from mizzen.identity import SpiffeId
from mizzen.identity.token import TokenVerifier, open_or_create_key, own_keys
from mizzen.signing import CREATE_TOKEN, TOKEN_SERVICE, Lifetime, Token
from tests.unit.server.test_channel import Channel, channel

REVIEWS = SpiffeId("cluster.local", "shop", "reviews")


async def asked(connection: grpc.aio.Channel, seconds: int = 3600, token: str = "") -> Any:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with connection:
        call = connection.unary_unary(
            f"/{TOKEN_SERVICE}/{CREATE_TOKEN}", Lifetime.SerializeToString, Token.FromString
        )
        return (await call(Lifetime(seconds=seconds), metadata=metadata, timeout=30)).value


async def refused(control: Channel, *arguments: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await asked(*arguments)
    return refusal.value.code().name, refusal.value.details() or ""


async def test_a_certificate_is_worth_a_token_for_the_same_identity(tmp_path: Path) -> None:
    async with channel(tmp_path, workload_certificate_ttl=timedelta(minutes=5)) as control:
        with capture_logs() as lines:
            token = await asked(control.connect(REVIEWS))
        verifier = TokenVerifier(own_keys(open_or_create_key(control.state)).get)
        said = verifier.verify(token, datetime.now(UTC))
        assert (said.namespace, said.service_account) == ("shop", "reviews")
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 300, "no longer than a certificate"
        assert token not in str(lines)
        assert {"event": "a token was renewed", "identity": str(REVIEWS), "log_level": "info"} in lines
        short = jwt.decode(await asked(control.connect(REVIEWS), 60), options={"verify_signature": False})
        assert short["exp"] - short["iat"] == 60
        assert "mizzen_tokens_signed_total 2.0" in (await control.running.get("/metrics")).text


async def test_no_token_for_whoever_has_no_certificate(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        by_token = await refused(control, control.connect(), 3600, control.token())
        assert by_token == (
            "UNAUTHENTICATED",
            "a token is renewed by a certificate; come to the port for those",
        )
        assert (await refused(control, control.connect()))[0] == "UNAUTHENTICATED"
        plain = grpc.aio.insecure_channel(control.plain)
        assert (await refused(control, plain, 3600, control.token()))[0] == "UNAUTHENTICATED"
        assert (await refused(control, control.connect(REVIEWS), 0))[0] == "INVALID_ARGUMENT"
        stranger = SpiffeId("elsewhere.example", "shop", "reviews")
        assert (await refused(control, control.connect(stranger)))[0] == "PERMISSION_DENIED"
        assert "mizzen_signings_refused_total 5.0" in (await control.running.get("/metrics")).text
