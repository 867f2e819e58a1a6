"""Keys that are fetched again and again: what stays when that fails, and what is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mizzen.mesh.rules.token_keys import FetchedKeys, KeySource, TokenKeys
from mizzen.server import key_set_refresh
from mizzen.server.faults import Faults
from mizzen.server.json_web_key_sets import KeySetError
from mizzen.server.key_set_file import FILE, KeySetFile
from mizzen.server.key_set_refresh import KeySetRefresh
from mizzen.server.metrics import Metrics

A, B = KeySource("https://a.example/keys"), KeySource("https://b.example/keys?token=s")


def key_set(name: str) -> str:
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": name}]})


class Issuers:
    """What each URI answers now; a text, or an error. It counts what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, str | Exception] = {}
        self.asked: list[str] = []
        self.told: list[TokenKeys] = []
        self.metrics = Metrics("0")
        self.faults = Faults()
        self.news = asyncio.Event()
        monkeypatch.setattr(key_set_refresh, "fetch_key_set", self._fetch)
        monkeypatch.setattr(key_set_refresh, "_FIRST_RETRY_SECONDS", 0.01)

    async def _fetch(self, uri: str, *, discovered: bool, seconds: float) -> str:
        self.asked.append(uri)
        answer = self.answers[uri]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def changed(self, keys: TokenKeys) -> None:
        self.told.append(keys)
        self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await self.news.wait()
                self.news.clear()

    @property
    def keys(self) -> dict[KeySource, FetchedKeys]:
        return dict(self.told[-1].by_source) if self.told else {}

    @asynccontextmanager
    async def running(self, store: KeySetFile | None = None) -> AsyncIterator[KeySetRefresh]:
        refresh = KeySetRefresh(self.changed, self.metrics, self.faults, store=store, refresh=0.01)
        task = asyncio.create_task(refresh.run())
        await asyncio.sleep(0)
        try:
            yield refresh
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def issuers(monkeypatch: pytest.MonkeyPatch) -> Issuers:
    return Issuers(monkeypatch)


async def test_an_issuer_that_fails_closes_alone_and_opens_when_it_comes(issuers: Issuers) -> None:
    issuers.answers = {A.uri: key_set("a"), B.uri: KeySetError("down")}
    async with issuers.running() as refresh:
        refresh.set_sources({A: 5.0, B: 5.0})
        await refresh.tried(10)
        await issuers.until(lambda: B in issuers.keys and A in issuers.keys)
        assert issuers.keys == {A: FetchedKeys(key_set("a")), B: FetchedKeys(problem="down")}
        assert sorted(refresh.states()) == ["current", "missing"]
        issuers.answers[B.uri] = key_set("b")
        await issuers.until(lambda: issuers.keys[B].keys == key_set("b"))
    counted = issuers.metrics.render().decode()
    assert 'mizzen_token_key_sets{state="current"} 2.0' in counted
    assert 'mizzen_token_key_fetches_total{result="failed"}' in counted


async def test_the_last_good_keys_stay_and_their_age_is_said(issuers: Issuers) -> None:
    issuers.answers = {A.uri: key_set("a")}
    async with issuers.running() as refresh:
        refresh.set_sources({A: 5.0})
        await issuers.until(lambda: A in issuers.keys)
        issuers.answers[A.uri] = KeySetError("down")
        await issuers.until(lambda: issuers.keys[A].problem == "down")
        assert issuers.keys[A].keys == key_set("a")
        assert issuers.keys[A].moment.endswith(" UTC")
        [row] = refresh.as_json()
        assert row["problem"] == "down"
        assert row["age_seconds"] >= 0
        assert list(refresh.states()) == ["old"]


async def test_a_fault_of_mizzen_is_noted_and_it_goes_on(issuers: Issuers) -> None:
    issuers.answers = {A.uri: RuntimeError("a fault")}
    async with issuers.running() as refresh:
        refresh.set_sources({A: 5.0})
        await issuers.until(lambda: A in issuers.keys)
        assert issuers.keys[A].problem == "a fault of Mizzen; its log says more"
        issuers.answers[A.uri] = key_set("a")
        await issuers.until(lambda: issuers.keys[A].keys == key_set("a"))
    assert [each["what"] for each in issuers.faults.as_json()] == [
        "the keys of a token issuer could not be fetched"
    ]


async def test_keys_are_fetched_again_after_what_takes_them_failed(issuers: Issuers) -> None:
    issuers.answers = {A.uri: key_set("a"), B.uri: key_set("b")}
    take, failing = issuers.changed, [True]

    async def changed(keys: TokenKeys) -> None:
        if failing:
            raise RuntimeError("a fault")
        await take(keys)

    refresh = KeySetRefresh(changed, issuers.metrics, issuers.faults, refresh=0.01)
    refresh.set_sources({A: 5.0})
    with pytest.raises(ExceptionGroup):
        await refresh.run()
    refresh.set_sources({A: 5.0, B: 5.0})
    failing.clear()
    issuers.answers[A.uri] = key_set("other")
    task = asyncio.create_task(refresh.run())
    await issuers.until(lambda: issuers.keys.keys() == {A, B})
    assert issuers.keys[A].keys == key_set("other")
    task.cancel()
    await asyncio.wait([task])


async def test_keys_that_did_not_change_are_told_once(issuers: Issuers) -> None:
    issuers.answers = {A.uri: key_set("a")}
    async with issuers.running() as refresh:
        refresh.set_sources({A: 5.0})
        async with asyncio.timeout(10):
            while len(issuers.asked) < 5:
                await asyncio.sleep(0.01)
        assert len(issuers.told) == 1


async def test_a_restart_has_the_keys_before_any_is_fetched(issuers: Issuers, tmp_path: Path) -> None:
    issuers.answers = {A.uri: key_set("a")}
    async with issuers.running(KeySetFile(tmp_path)) as refresh:
        refresh.set_sources({A: 5.0})
        await issuers.until(lambda: A in issuers.keys)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    again = KeySetRefresh(issuers.changed, issuers.metrics, issuers.faults, store=KeySetFile(tmp_path))
    known = (await again.begin({A: 5.0, B: 5.0})).by_source
    assert json.loads(known[A].keys) == json.loads(key_set("a"))
    assert B not in known


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"uri": 1}]', "{}", '[{"uri":"a","discovered":false}]'])
def test_a_broken_file_of_kept_keys_is_named_and_passed_over(tmp_path: Path, text: str) -> None:
    failures: list[None] = []
    (tmp_path / FILE).write_text(text)
    assert KeySetFile(tmp_path, lambda: failures.append(None)).read() == {}
    assert len(failures) == (0 if text == "{}" else 1)


def test_what_may_be_secret_in_a_uri_is_not_shown() -> None:
    assert (
        str(KeySource("https://me:pass@b.example:8443/keys?token=s#x")) == "https://b.example:8443/keys?..."
    )
