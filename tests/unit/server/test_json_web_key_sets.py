"""Fetching keys: from a server that is good, slow, huge, wrong, or leads elsewhere."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.json_web_keys import public_key_set
from mizzen.identity.token import parse_key_set
from mizzen.server.json_web_key_sets import LARGEST, KeySetError, fetch_key_set, is_allowed
from tests.authority import Authority

EC = {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "one"}
SECRET = {"kty": "oct", "k": "c2VjcmV0"}
GOOD = json.dumps({"keys": [{**EC, "d": "cHJpdmF0ZQ", "x5c": ["..."]}, SECRET, {"kty": "new"}, 7]})
Handle = Callable[[str], bytes]


def answer(body: str | bytes, status: str = "200 OK", headers: str = "") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data


@asynccontextmanager
async def server(
    pages: dict[str, bytes],
    *,
    first: Callable[[], Awaitable[None]] | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve the pages as they stand; yield the address and what was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked.append(head)
            if first is not None:
                await first()
            writer.write(pages.get(head.split()[1], answer("", "404 Not Found")))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{port}", asked
    finally:
        listening.close()


async def test_the_public_keys_are_returned_and_nothing_else() -> None:
    async with server({"/keys": answer(GOOD)}) as (at, asked):
        keys = json.loads(await fetch_key_set(f"{at}/keys"))
    assert keys == {"keys": [EC]}
    assert asked[0].startswith("GET /keys HTTP/1.1\r\n")
    assert f"host: {at.removeprefix('http://')}" in asked[0].lower()


async def test_names_that_hang_keep_no_other_work_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    hanging: list[object] = []

    def hang(host: object, *_: object, **__: object) -> list[object]:
        hanging.append(host)
        may_end.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    try:
        asked = [asyncio.create_task(fetch_key_set("https://a.example/k", seconds=60)) for _ in range(4)]
        async with asyncio.timeout(30):
            while len(hanging) < 2:
                await asyncio.sleep(0.01)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 30) == "done"
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    finally:
        may_end.set()


async def test_the_issuers_configuration_says_where_the_keys_are() -> None:
    pages = {"/keys": answer(GOOD)}
    async with server(pages) as (at, _):
        pages["/.well-known/openid-configuration"] = answer(json.dumps({"jwks_uri": f"{at}/keys"}))
        keys = await fetch_key_set(f"{at}/.well-known/openid-configuration", discovered=True)
    assert json.loads(keys) == {"keys": [EC]}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (answer("<html>token=SECRET</html>"), "the answer is not JSON"),
        (answer(b"\xff\xfe"), "the answer is not JSON"),
        (answer("[" * 100_000), "the answer is not JSON"),
        (answer("[]"), "no list of keys"),
        (answer('{"keys": []}'), "no public key"),
        (answer(json.dumps({"keys": [SECRET]})), "no public key"),
        (answer("SECRET", "500 Internal Server Error"), "status 500"),
        (answer("", "302 Found", "Location: ftp://127.0.0.1/keys\r\n"), "redirects to a target that is not"),
        (answer("", "302 Found", "Location: file:///etc/passwd\r\n"), "redirects to a target that is not"),
        (answer("", "302 Found", "Location: /keys\r\n"), "more than 3 redirects"),
        (answer("", "302 Found", "Location: http://169.254.169.254/latest\r\n"), "address of the local link"),
        (answer(" " * (LARGEST + 1)), "more than 256 KiB"),
        (answer(GOOD, headers="Content-Encoding: gzip\r\n"), "compressed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "the connection broke"),
    ],
)
async def test_a_wrong_answer_is_named_in_no_words_of_its_own(page: bytes, words: str) -> None:
    async with server({"/keys": page}) as (at, _):
        with pytest.raises(KeySetError, match=words) as caught:
            await fetch_key_set(f"{at}/keys")
    assert "SECRET" not in str(caught.value)


async def test_a_huge_answer_without_end_is_cut_off() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (LARGEST + 70_000)
    async with server({"/keys": endless}) as (at, _):
        with pytest.raises(KeySetError, match="more than 256 KiB"):
            await fetch_key_set(f"{at}/keys")


async def test_a_slow_answer_is_not_waited_for() -> None:
    async with server({}, first=asyncio.Event().wait) as (at, _):  # type: ignore[arg-type]
        with pytest.raises(KeySetError, match=r"no whole answer within 0\.1 s"):
            await fetch_key_set(f"{at}/keys", seconds=0.1)


async def test_https_leads_to_no_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on the way could change the keys."""
    authority = Authority()
    (tmp_path / "roots.pem").write_bytes(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost").write(tmp_path, "issuer"))
    pages = {"/keys": answer(GOOD)}
    async with server(pages) as (plain, asked), server(pages, context=context) as (at, _):
        pages["/moved"] = answer("", "302 Found", f"Location: {plain}/keys\r\n")
        pages["/told"] = answer(json.dumps({"jwks_uri": f"{plain}/keys"}))
        at = at.replace("127.0.0.1", "localhost")
        assert json.loads(await fetch_key_set(f"{at}/keys", seconds=30)) == {"keys": [EC]}
        for page, discovered in (("moved", False), ("told", True)):
            with pytest.raises(KeySetError, match="leads from https to http"):
                await fetch_key_set(f"{at}/{page}", discovered=discovered, seconds=30)
    assert asked == []


async def test_nobody_there() -> None:
    async with server({}) as (at, _):
        pass
    with pytest.raises(KeySetError, match="nothing can be connected to"):
        await fetch_key_set(f"{at}/keys")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.0.0.1", True),
        ("127.0.0.1", True),
        ("2001:db8::1", True),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("fd00:ec2::23", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("::ffff:100.100.100.200", False),
        ("fd00:ec3::1", True),
        ("100.100.100.200", False),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.1", False),
    ],
)
def test_where_keys_may_come_from(address: str, allowed: bool) -> None:
    assert is_allowed(address) is allowed


fields = st.sampled_from(["keys", "kty", "crv", "x", "y", "n", "e", "d", "k", "use", "alg", "kid"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=8),
    max_leaves=20,
)
key_sets = st.fixed_dictionaries({"keys": st.lists(json_values, max_size=3)})


@given(st.text(max_size=60) | st.one_of(json_values, key_sets).map(json.dumps))
def test_of_any_answer_public_keys_or_a_reason_are_left(text: str) -> None:
    keys, problem = public_key_set(text)
    assert (keys == "") == (problem is not None)
    if keys:
        assert not any({"d", "k"} & key.keys() for key in json.loads(keys)["keys"])
        parse_key_set(keys)
    parse_key_set(text)
