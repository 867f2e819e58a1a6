"""The page at the admin address, as it leaves the server: whole without JavaScript, and harmless."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import QueryParams

import mizzen
from mizzen.explain.answer import Answer
from mizzen.explain.question import Question
from mizzen.server.address import Address
from mizzen.server.admin import application
from mizzen.server.admin_hosts import Hosts
from mizzen.server.asked_question import asked_question
from mizzen.server.page import routes
from mizzen.server.page.routes import moment, span
from mizzen.server.refused_proxies import RefusedProxies
from tests.unit.explain.test_mesh_graph import MESH
from tests.unit.server.shown_mesh import ShownMesh

HOST = "shop.default.svc.cluster.local"


@pytest.fixture
def shown(tmp_path: Path) -> ShownMesh:
    (tmp_path / "mesh.yaml").write_text(MESH, encoding="utf-8")
    return ShownMesh(mizzen.load(tmp_path))


@pytest.fixture
async def client(shown: ShownMesh) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(shown, Hosts(Address("127.0.0.1", 15014))))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asking:
        yield asking


async def page(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


async def test_every_page_leads_to_the_others(client: httpx.AsyncClient) -> None:
    for path in (
        "/",
        "/services",
        "/proxies",
        "/changes",
        f"/services/default/{HOST}",
        "/proxies/app-1.default",
    ):
        text = await page(client, path)
        for link in ('href="/"', 'href="/services"', 'href="/proxies"', 'href="/changes"'):
            assert link in text, path


async def test_nothing_foreign_may_run_in_it(client: httpx.AsyncClient) -> None:
    for path in ("/", "/services", "/static/page.js"):
        policy = (await client.get(path)).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
    for path in ("/", f"/services/default/{HOST}", "/proxies/app-1.default"):
        text = await page(client, path)
        assert "style=" not in text, "the policy forbids it"
        assert "<script>" not in text
        assert " on" + "click=" not in text


async def test_what_is_foreign_is_shown_as_text(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    shown.rejections = [
        {"proxy": "<i>p", "type": "LDS", "message": "<script>alert(1)</script>", "resources": []}
    ]
    for path in ("/?q=<script>alert(2)</script>", "/proxies/app-1.default"):
        text = await page(client, path)
        assert "<script>alert" not in text
        assert "<b>a warning" not in text
        assert "<i>p" not in text
    assert "&lt;script&gt;alert(2)" in await page(client, "/services?q=<script>alert(2)</script>")


async def test_what_is_wrong_stands_first(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    diagnostic = {"file": "a.yaml", "line": 7, "code": "MZ0001", "path": "spec.x", "message": "is wrong"}
    shown.refused = [{"document": "Gateway default/door", "in_force": None, "diagnostics": [diagnostic]}]
    resource = {"name": "0.0.0.0_80", "in_force": "it is left out", "origins": ["b.yaml:3"]}
    shown.rejections = [{"proxy": "app-1.default", "type": "LDS", "message": "no", "resources": [resource]}]
    refusals = RefusedProxies(lambda: 0.0)
    refusals.add("the token has expired")
    shown.refused_proxies = refusals.as_json()
    text = await page(client, "/")
    place = text.index("b.yaml:3")
    assert place < text.index("(it is left out)"), "the line is that of what is refused"
    for words in (
        "the token has expired",
        "a.yaml:7",
        "spec.x",
        "is wrong",
        "0.0.0.0_80",
        "b.yaml:3",
        "it is left out",
    ):
        assert 0 < text.index(words) < text.index("<svg"), words


async def test_who_was_refused_and_who_is_gone_is_told(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    shown.refused_proxies = [{"reason": "the node id <x> has 1 part", "times": 3, "seconds_ago": 75.0}]
    shown.gone = [{"id": "app-7.default", "node_id": "x", "type": "sidecar", "seconds_ago": 75.0}]
    text = await page(client, "/")
    assert "the node id &lt;x&gt; has 1 part" in text
    assert "(3 times, last 1 min 15 s ago)" in text
    text = await page(client, "/proxies")
    assert text.index("Gone within the last hour") < text.index("app-7.default")
    assert "Gone within" not in await page(client, "/proxies?q=app-1.")


async def test_faults_of_mizzen_are_told_on_every_page(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    for path in ("/", "/proxies"):
        text = await page(client, path)
        assert "Mizzen failed" not in text
        assert "of Mizzen</a>" not in text
    noted = {"what": "a <b> failed", "times": 3, "since": "2020-01-02T06:30:53+00:00", "seconds_ago": 75.0}
    shown.faults = [noted, {**noted, "what": "another failed", "times": 1}]
    text = await page(client, "/")
    words = " ".join(re.sub("<.*?>", "", text[text.index("Mizzen failed") : text.index("<svg")]).split())
    since = "since 2020-01-02 06:30:53 UTC, last 1 min 15 s ago"
    assert f"a &lt;b&gt; failed: 3 times {since}" in words
    assert f"another failed: 1 time {since}" in words
    assert '<a href="/#faults">4 faults of Mizzen</a>' in await page(client, "/proxies")


async def test_a_thousand_that_refuse_the_same_are_one_line(
    shown: ShownMesh, client: httpx.AsyncClient
) -> None:
    resource = {"name": "80", "in_force": "", "origins": ["b.yaml:3"]}
    alike = {"type": "RDS", "message": "no such route", "resources": [resource]}
    shown.rejections = [{"proxy": f"app-{number}.default", **alike} for number in range(1000)]
    text = await page(client, "/")
    assert text.count("no such route") == text.count("b.yaml:3") == 1
    assert "<strong>1000 proxies</strong> refuse RDS" in text
    assert "app-9.default and 990 more" in text
    assert "<strong>app-1.default</strong> refuses RDS" in await page(client, "/proxies/app-1.default")


async def test_one_of_a_thing_is_not_told_as_several(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    diagnostic = {"file": "a.yaml", "line": 7, "code": "MZ0001", "path": "spec.x", "message": "is wrong"}
    shown.refused = [{"document": "Gateway default/door", "in_force": None, "diagnostics": [diagnostic]}]
    text = await page(client, "/")
    assert "<strong>1</strong> document refused" in text
    assert "<strong>0</strong> rejections by Envoys" in text
    assert "<strong>Gateway default/door</strong>: nothing of it is in force" in text


def test_moments_are_short_and_the_day_is_told_if_it_is_another() -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert moment(f"{today}T06:30:53.500+00:00") == "06:30:53 UTC"
    assert moment("2020-01-02T06:30:53.500+00:00") == "2020-01-02 06:30:53 UTC"


async def test_long_lists_have_pages_and_a_search(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    shown.found = ShownMesh(shown.mesh, 1000).found
    text = await page(client, "/proxies")
    assert text.count("<tr>") == routes.ROWS + 1
    assert "page 1 of 20" in text
    assert 'href="?page=2"' in text
    assert "app-50.default" in await page(client, "/proxies?page=2")
    assert "page 20 of 20" in await page(client, "/proxies?page=99999")
    assert "page 1 of 20" in await page(client, "/proxies?page=x")
    found = await page(client, "/proxies?q=app-99")
    assert "11 proxies" in found
    assert 'href="?q=app-9&amp;page=2"' in await page(client, "/proxies?q=app-9")


async def test_a_service_has_its_rules_with_their_lines(client: httpx.AsyncClient) -> None:
    text = await page(client, f"/services/default/{HOST}")
    starts = [at + 2 for at, line in enumerate(MESH.splitlines(), 1) if line == "---"]
    rule, virtual_service, gateways_own = starts[3] - 1, starts[5] - 1, starts[6] - 1
    for words in ("10.2.0.1", "version=v1", "mutual TLS"):
        assert words in text
    for line in (rule, virtual_service, gateways_own):
        assert f"mesh.yaml:{line}<" in text


async def test_a_proxy_has_its_tables(client: httpx.AsyncClient) -> None:
    text = await page(client, "/proxies/app-1.default?table=clusters")
    assert "&lt;b&gt;clusters" in text
    assert "60 clusters, page 1 of 2" in text
    assert 'href="?table=clusters&amp;page=2"' in text
    assert "There is nothing" in await page(client, "/proxies/app-1.default?q=other")
    assert "&lt;b&gt;clusters" in await page(client, "/proxies/app-1.default?table=<script>")


async def test_the_form_answers_why(client: httpx.AsyncClient) -> None:
    assert "<pre" not in await page(client, "/why")
    text = await page(client, "/why?url=http://shop/&from=shop-1&header=a:%20b%0Ac:%20d")
    for words in ("GET http://shop/ from shop-1.default", "a: b", "c: d", "outbound|80|v1|shop.default"):
        assert words in text
    text = await page(client, "/why?tcp=shop:80&from=shop-1&sni=shop.example&tls=1")
    for words in (
        "connection to shop:80 with TLS for shop.example",
        'value="shop.example"',
        " checked",
        " open",
    ):
        assert words in text
    text = await page(client, '/why?url=http://shop/&from=shop-1&claims={"sub":"jane"}')
    assert "brings a valid token with the claims {&#34;sub&#34;: &#34;jane&#34;}" in text
    wrong = await client.get("/why?url=http://shop/&from=nobody")
    assert wrong.status_code == 400
    assert "no workload is named" in wrong.text or "nobody" in wrong.text
    neither = await client.get("/why?url=http://shop/")
    assert "one of a workload (from) and a Gateway (gateway)" in neither.text


async def test_the_plain_answer_is_the_whole_one(client: httpx.AsyncClient) -> None:
    question = Question.of_request("POST", "https://shop:80/x?y=1", ["Host: other", "a: b"], http2=True)
    answer = (await client.get("/debug/why", params={**question.as_query(), "from": "shop-1"})).json()
    assert json.loads(json.dumps(Answer.from_dict(answer).as_dict())) == answer
    assert answer["question"] == str(question)
    assert (await client.get("/debug/why?tcp=nothing&from=shop-1")).status_code == 400
    long = await client.get("/debug/why", params={"url": f"http://shop/{'x' * 9000}", "from": "shop-1"})
    assert long.status_code == 400


@pytest.mark.parametrize(
    "question",
    [
        Question.of_request("GET", "http://shop:81/a?b", ["Host: x", "c: d"]),
        Question.of_request("GET", "https://[::1]/", [], server_name="y"),
        Question.of_request("GET", "http://shop/", claims='{"sub": "jane", "groups": ["a", "é"]}'),
        Question.of_connection("db:3306"),
        Question.of_connection("[::1]:3306", tls=True, server_name="z"),
    ],
)
def test_a_question_survives_its_way_in_a_url(question: Question) -> None:
    assert asked_question(QueryParams({**question.as_query(), "from": "a"})).question == question


async def test_what_is_not_there_is_said(client: httpx.AsyncClient) -> None:
    for path, words in (
        ("/services/default/nobody", "No service nobody is in the namespace default."),
        ("/proxies/nobody", "No proxy nobody is connected."),
    ):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert words in answer.text
    assert (await client.get("/static/../routes.py")).status_code == 404


async def test_nothing_can_be_changed(client: httpx.AsyncClient) -> None:
    for path in ("/", "/proxies", "/news"):
        assert (await client.post(path)).status_code == 405


async def test_how_far_a_change_has_come(shown: ShownMesh, client: httpx.AsyncClient) -> None:
    change = {"at": "2030-01-01", "documents": ["Gateway a/b"], "more": 2, "concerned": 3, "answered": 1}
    shown.changes = [{**change, "seconds": None}]
    text = await page(client, "/changes")
    for words in ("Gateway a/b", "and 2 more", "1 of 3", "on its way"):
        assert words in text


async def test_news_come_when_there_are_some_and_end_with_the_server(shown: ShownMesh) -> None:
    closing = asyncio.Event()
    news = next(route for route in routes.page_routes(shown, closing) if route.path == "/news")  # type: ignore[attr-defined]
    answer = await news.endpoint(None)  # type: ignore[attr-defined]
    events = answer.body_iterator
    assert "retry" in await anext(events)
    shown.moment = 1
    assert await anext(events) == "event: changed\ndata:\n\n"
    closing.set()
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_no_more_browsers_follow_than_are_bearable(
    shown: ShownMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "LISTENERS", 1)
    endpoint = next(
        route
        for route in routes.page_routes(shown, asyncio.Event())
        if route.path == "/news"  # type: ignore[attr-defined]
    ).endpoint  # type: ignore[attr-defined]
    first = (await endpoint(None)).body_iterator
    await anext(first)
    assert (await endpoint(None)).status_code == 503
    await first.aclose()
    assert (await endpoint(None)).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0123, "12 ms"), (12, "12 s"), (60, "1 min"), (3723, "1 h 2 min"), (90061, "1 d 1 h")],
)
def test_spans_are_said_in_two_units(seconds: float, words: str) -> None:
    assert span(seconds) == words
