"""Whatever is asked of the admin address: an answer, no fault; under a strange name nothing but that."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mizzen
from mizzen.server.address import Address
from mizzen.server.admin import application
from mizzen.server.admin_hosts import Hosts
from tests.unit.explain.test_mesh_graph import MESH
from tests.unit.server.shown_mesh import ShownMesh

words = st.text(max_size=30) | st.sampled_from(
    [
        "app-1.default",
        "shop.default.svc.cluster.local",
        "http://shop/",
        "http://[::1]:99999/%",
        "10.0.0.1:80",
        "a: b\r\nc: d",
        "routes",
        "../../etc/passwd",
        "<script>",
        "\x00",
        "9" * 40,
    ]
)
names = st.sampled_from(
    [
        *("proxy", "kind", "q", "page", "table", "method", "url", "header", "http2", "tls", "sni", "tcp"),
        *("from", "gateway"),
    ]
)
paths = st.one_of(
    st.sampled_from(
        [
            *("/", "/why", "/proxies", "/services", "/changes", "/ready", "/status", "/version", "/metrics"),
            *("/debug/resources", "/debug/table", "/debug/why", "/debug/diff"),
        ]
    ),
    words.map(lambda word: f"/proxies/{quote(word)}"),
    words.map(lambda word: f"/services/default/{quote(word)}"),
    words.map(lambda word: f"/static/{quote(word)}"),
    words.map(lambda word: f"/{quote(word)}"),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH, encoding="utf-8")
    return application(ShownMesh(mizzen.load(folder)), Hosts(Address("127.0.0.1", 15014)))


def asked(app: Any, path: str, query: str, host: bytes, method: str = "GET") -> int:
    """The status of the answer to a request, which says nothing of the content of a file."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", host)],
    }
    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    assert b"root:x:0" not in body
    status: int = sent[0]["status"]
    return status


@given(
    path=paths, words=st.lists(st.tuples(names, words), max_size=5), method=st.sampled_from(["GET", "POST"])
)
def test_any_question_has_an_answer(app: Any, path: str, words: list[tuple[str, str]], method: str) -> None:
    query = urlencode(words)
    assert asked(app, path, query, b"localhost:15014", method) in (200, 400, 404, 405)


@given(host=st.binary(max_size=40) | st.sampled_from([b"localhost.evil.test", b"[::1].x", b"127.0.0.1@x"]))
def test_no_name_of_any_form_is_taken_for_this_machine(app: Any, host: bytes) -> None:
    """What a browser can send as the name of its page: anything but addresses of loopback and localhost."""
    text = host.decode("latin-1").strip().lower()
    if not text or re.fullmatch(r"(localhost\.?|127\.[0-9.]+|\[::1])(:[0-9]*)?", text):
        return
    assert asked(app, "/status", "", host) == 421
