"""Tokens of further issuers: their keys from a file, or from a URI; both change while the server runs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from structlog.testing import capture_logs

from mizzen.mesh.rules.token_keys import KeySource
from tests.unit.server.test_channel import ask, channel, identities, turned_away
from tests.unit.server.test_json_web_key_sets import answer, server

ISSUER = "https://issuer.example"


class Issuer:
    """Signs tokens for the reviews of the shop."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def key_set(self) -> str:
        return json.dumps({"keys": [ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)]})

    def token(self, **changes: Any) -> str:
        claims = {
            "iss": ISSUER,
            "aud": "istio-ca",
            "sub": "system:serviceaccount:shop:reviews",
            "exp": datetime.now(UTC) + timedelta(hours=1),
            **changes,
        }
        return jwt.encode(claims, self._key, "ES256")


async def test_the_keys_in_a_file_are_read_again_when_it_changes(tmp_path: Path) -> None:
    first, second = Issuer(), Issuer()
    file = tmp_path / "keys.json"
    file.write_text(first.key_set)
    async with channel(tmp_path, token_issuers=((ISSUER, file),)) as control:
        assert identities(await ask(control.connect(), first.token()))
        new = tmp_path / "new.json"
        new.write_text(second.key_set)
        os.utime(new, (0, 0))
        new.replace(file)
        assert identities(await ask(control.connect(), second.token()))
        assert (await turned_away(control.connect(), first.token()))[0] == "UNAUTHENTICATED"
        with capture_logs() as lines:
            file.write_text("nonsense")
            assert identities(await ask(control.connect(), second.token()))
        assert [line["event"] for line in lines if line["log_level"] == "error"] == [
            "the keys of an issuer of tokens stay as they were"
        ]


async def test_the_keys_at_a_uri_let_in_and_are_kept_for_the_next_start(tmp_path: Path) -> None:
    issuer = Issuer()
    async with server({"/keys": answer(issuer.key_set)}) as (at, asked):
        issuers = ((ISSUER, KeySource(f"{at}/keys")),)
        async with channel(tmp_path, token_issuers=issuers) as control:
            assert identities(await ask(control.connect(), issuer.token())) == [
                "spiffe://cluster.local/ns/shop/sa/reviews"
            ]
            for token, said in (
                (Issuer().token(), "no key of its issuer"),
                (issuer.token(aud="somebody-else"), "audience"),
                (issuer.token(exp=0), "expired"),
                (issuer.token(iss="https://another.example"), "not trusted"),
                (issuer.token(iss="mizzen"), "no key of its issuer"),
            ):
                code, details = await turned_away(control.connect(), token)
                assert (code, said in details) == ("UNAUTHENTICATED", True), details
        assert len(asked) == 1
    # The issuer is away now.
    (tmp_path / "mesh").rmdir()
    async with channel(tmp_path, token_issuers=issuers) as control:
        assert identities(await ask(control.connect(), issuer.token()))
        [told] = (await control.running.get("/status")).json()["configuration"]["token_keys"]
        assert (told["uri"], told["fetched"] is None) == (f"{at}/keys", False)


async def test_without_keys_the_issuer_is_closed_alone_and_that_is_said(tmp_path: Path) -> None:
    async with server({}) as (at, _):
        issuers = ((ISSUER, KeySource(f"{at}/keys?secret=s3cr3t")),)
        with capture_logs() as lines:
            async with channel(tmp_path, token_issuers=issuers) as control:
                code, details = await turned_away(control.connect(), Issuer().token())
                assert (code, "are not known" in details) == ("UNAUTHENTICATED", True), details
                assert identities(await ask(control.connect(), control.token()))
                status = (await control.running.get("/status")).text
                metrics = (await control.running.get("/metrics")).text
        [told] = json.loads(status)["configuration"]["token_keys"]
        assert told["problem"] == "the answer has status 404"
        assert 'mizzen_token_key_sets{state="missing"} 1.0' in metrics
        assert "s3cr3t" not in f"{status}{metrics}{lines}{details}"
