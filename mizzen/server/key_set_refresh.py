"""Keeps the keys of token issuers: fetches them, again and again, and keeps the last good ones.

A failure concerns one issuer alone. Without any keys its tokens are refused; keys of before stay in force.
Both are said in the log, in the status and in the metrics.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import structlog

from mizzen.config.document import Config
from mizzen.config.models import RequestAuthentication
from mizzen.mesh.rules.token_keys import FetchedKeys, KeySource, TokenKeys, key_source
from mizzen.server.json_web_key_sets import DEFAULT_SECONDS, KeySetError, fetch_key_set
from mizzen.server.metrics import Metrics

REFRESH_SECONDS: Final = 1200.0
"""Istio's interval."""
FIRST_SECONDS: Final = 6.0
"""So long a start waits for keys: without them an Envoy that comes back refuses tokens that it took before. A
little longer than an issuer may take."""
_FIRST_RETRY_SECONDS: Final = 1.0
_LONGEST_CLOSED_SECONDS: Final = 60.0
"""Longest wait while no keys are known: all tokens of the issuer are refused until then."""
_RETRY_SECONDS: Final = 60.0
_LONGEST_RETRY_SECONDS: Final = 3600.0
"""Waits while keys of before are in force (Istio's)."""
_AT_ONCE: Final = 8
_FORGET_SECONDS: Final = 600.0
"""Keys that no document asks for are kept so long: it may be written anew."""


class Keeping(Protocol):
    """Where keys outlive the process (`mizzen.server.kept_key_sets`)."""

    def read(self) -> Mapping[KeySource, tuple[str, float]]:
        """Return the keys of an earlier process, with the time at which they were fetched."""

    def keep(self, keys: Mapping[KeySource, tuple[str, float]]) -> None:
        """Keep these."""


@dataclass(slots=True)
class _Kept:
    """What is known of a source. `fetched` is the time of `keys`, `attempted` that of the last attempt."""

    keys: str = ""
    fetched: float = 0.0
    problem: str = ""
    failures: int = 0
    attempted: bool = False
    task: asyncio.Task[None] | None = None
    seconds: float = DEFAULT_SECONDS
    unused_since: float = 0.0

    def value(self) -> FetchedKeys:
        moment = (
            f"{datetime.fromtimestamp(self.fetched, UTC):%Y-%m-%d %H:%M:%S} UTC"
            if self.keys and self.problem
            else ""
        )
        return FetchedKeys(self.keys, moment, self.problem)

    def wait(self, refresh: float) -> float:
        """Return for how long nothing is asked after an attempt."""
        if not self.failures:
            return refresh
        first, longest = (
            (min(_RETRY_SECONDS, refresh), _LONGEST_RETRY_SECONDS)
            if self.keys
            else (_FIRST_RETRY_SECONDS, _LONGEST_CLOSED_SECONDS)
        )
        return min(longest, first * 2.0 ** min(self.failures - 1, 20))


class KeySetRefresh:
    """The keys of all sources that documents name, and of those that the server needs itself.

    Args:
        changed: told of all keys whenever some are other than before, or failed newly.
        metrics: where it counts.
        always: sources that are needed whatever the documents say.
        keeping: where keys outlive the process.
        refresh: seconds after which keys are fetched again.
    """

    def __init__(
        self,
        changed: Callable[[TokenKeys], Awaitable[None]],
        metrics: Metrics,
        *,
        always: Iterable[KeySource] = (),
        keeping: Keeping | None = None,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        self._changed = changed
        self._metrics = metrics
        self._always = dict.fromkeys(always, DEFAULT_SECONDS)
        self._keeping = keeping
        self._refresh = refresh
        self._kept: dict[KeySource, _Kept] = {}
        self._wanted = dict(self._always)
        self._former: Mapping[KeySource, tuple[str, float]] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None
        self._attempted = asyncio.Condition()
        self._log = structlog.get_logger("mizzen.keys")

    async def begin(self, sources: Mapping[KeySource, float]) -> TokenKeys:
        """Return the keys of these sources that an earlier process kept; `follow` fetches them anew."""
        if self._keeping is not None:
            self._former = await asyncio.to_thread(self._keeping.read)
        for source in {**self._always, **sources}:
            self._kept[source] = self._new(source)
        return self._all()

    def keys_of(self, source: KeySource) -> str:
        """Return the key set in JSON that was fetched last; empty if none ever was."""
        kept = self._kept.get(source)
        return kept.keys if kept is not None else ""

    def _new(self, source: KeySource) -> _Kept:
        keys, fetched = self._former.get(source, ("", 0.0))
        return _Kept(keys, fetched)

    async def run(self) -> None:
        """Fetch what `follow` names. Never ends."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.follow(self._wanted)
            await asyncio.Event().wait()

    def follow(self, wanted: Mapping[KeySource, float]) -> None:
        """Name the sources that documents need from now on, with the seconds that an answer may take."""
        self._wanted = {**self._always, **wanted}
        now = time.time()
        for source, seconds in self._wanted.items():
            kept = self._kept.setdefault(source, self._new(source))
            kept.seconds, kept.unused_since = seconds, 0.0
            if kept.task is None and self._tasks is not None:
                kept.task = self._tasks.create_task(self._keep_fetching(source, kept))
        for source, kept in list(self._kept.items()):
            if source in self._wanted:
                continue
            if kept.task is not None:
                kept.task.cancel()
                kept.task = None
            kept.unused_since = kept.unused_since or now
            if now - kept.unused_since > _FORGET_SECONDS:
                del self._kept[source]
        self._metrics.count_token_key_sets(self.states())

    async def tried(self, seconds: float = FIRST_SECONDS) -> None:
        """Wait until each source was asked once, but not longer than that."""
        try:
            async with asyncio.timeout(seconds), self._attempted:
                await self._attempted.wait_for(
                    lambda: all(self._kept[source].attempted for source in self._wanted)
                )
        except TimeoutError:
            return

    async def _keep_fetching(self, source: KeySource, kept: _Kept) -> None:
        while True:
            async with self._at_once:
                await self._fetch(source, kept)
            # Not all issuers at the same moment.
            await asyncio.sleep(kept.wait(self._refresh) * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def _fetch(self, source: KeySource, kept: _Kept) -> None:
        before = kept.value()
        try:
            kept.keys = await fetch_key_set(source.uri, discovered=source.discovered, seconds=kept.seconds)
            kept.fetched, kept.problem, kept.failures = time.time(), "", 0
        except KeySetError as error:
            kept.problem, kept.failures = str(error), kept.failures + 1
        except Exception:
            self._log.exception("keys could not be fetched: a fault of Mizzen, please report it")
            kept.problem, kept.failures = "a fault of Mizzen; its log says more", kept.failures + 1
        self._metrics.token_key_fetches.labels("failed" if kept.problem else "ok").inc()
        self._metrics.count_token_key_sets(self.states())
        self._say(source, before, kept)
        if self._keeping is not None and not kept.problem:
            await asyncio.to_thread(self._keeping.keep, self._good())
        if (before.keys, before.problem) != (kept.keys, kept.problem):
            await self._changed(self._all())
        async with self._attempted:
            kept.attempted = True
            self._attempted.notify_all()

    def _say(self, source: KeySource, before: FetchedKeys, kept: _Kept) -> None:
        if kept.problem and kept.problem != before.problem:
            words = (
                "the keys of before stay in force" if kept.keys else "every token of the issuer is refused"
            )
            self._log.warning(f"keys could not be fetched; {words}", uri=str(source), reason=kept.problem)
        elif not kept.problem and (before.problem or kept.keys != before.keys):
            self._log.info("keys were fetched", uri=str(source))

    def _all(self) -> TokenKeys:
        return TokenKeys(
            {source: kept.value() for source, kept in self._kept.items() if kept.keys or kept.problem}
        )

    def _good(self) -> Mapping[KeySource, tuple[str, float]]:
        return {source: (kept.keys, kept.fetched) for source, kept in self._kept.items() if kept.keys}

    def as_json(self) -> list[dict[str, Any]]:
        """Return how each source stands, for the status; no keys."""
        now = time.time()
        return [
            {
                "uri": str(source),
                "fetched": datetime.fromtimestamp(kept.fetched, UTC).isoformat(timespec="seconds")
                if kept.keys
                else None,
                "age_seconds": max(0.0, round(now - kept.fetched, 3)) if kept.keys else None,
                "problem": kept.problem,
                "failures": kept.failures,
            }
            for source, kept in sorted(self._kept.items())
            if source in self._wanted
        ]

    def states(self) -> Iterable[str]:
        """Return of each source whether its keys are `current`, `old` or `missing`."""
        return [
            "missing" if not kept.keys else "old" if kept.problem else "current"
            for source, kept in self._kept.items()
            if source in self._wanted
        ]


def wanted_sources(policies: Iterable[Config[RequestAuthentication]]) -> dict[KeySource, float]:
    """Return where the keys of these policies are told, each with the seconds that an answer may take."""
    found: dict[KeySource, float] = {}
    for policy in policies:
        for rule in policy.spec.jwt_rules:
            source = key_source(rule)
            if source is not None:
                seconds = rule.timeout.total_seconds() if rule.timeout else DEFAULT_SECONDS
                found[source] = max(seconds, found.get(source, 0.0))
    return found
