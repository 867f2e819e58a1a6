"""Fetches the keys of token issuers, again and again, and keeps the last good ones.

A failure affects one issuer alone. Its previous keys stay in force; if there are none, its tokens are
refused. Log, status and metrics show both cases.
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
from mizzen.server.faults import Faults
from mizzen.server.json_web_key_sets import DEFAULT_SECONDS, KeySetError, fetch_key_set
from mizzen.server.metrics import Metrics

REFRESH_SECONDS: Final = 1200.0
"""Istio's interval."""
FIRST_SECONDS: Final = 6.0
"""Longest wait of a start for keys: without them a reconnecting Envoy would refuse tokens that it accepted
before. A little longer than an issuer may take to answer."""
_FIRST_RETRY_SECONDS: Final = 1.0
_LONGEST_CLOSED_SECONDS: Final = 60.0
"""Longest wait between attempts while no keys are known: all tokens of the issuer are refused until then."""
_RETRY_SECONDS: Final = 60.0
_LONGEST_RETRY_SECONDS: Final = 3600.0
"""First and longest wait between attempts while previous keys are in force (Istio's)."""
_AT_ONCE: Final = 8
_FORGET_SECONDS: Final = 600.0
"""Seconds for which keys stay that no document uses any more: it may be written again."""


class KeySetStore(Protocol):
    """Stores keys across restarts (`mizzen.server.key_set_file`)."""

    def read(self) -> Mapping[KeySource, tuple[str, float]]:
        """Return the keys of a former process, with the time at which they were fetched."""

    def write(self, keys: Mapping[KeySource, tuple[str, float]]) -> None:
        """Store these keys instead of the former ones."""


@dataclass(slots=True)
class _Source:
    """The state of a source. `fetched` is the time of `keys`; `attempted` is set after the first attempt."""

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
        """Return the seconds between the last attempt and the next."""
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
        changed: called with all keys when some have changed or have a new problem.
        metrics: the metrics to update.
        faults: notes attempts that fail by a fault of Mizzen.
        always: sources that are needed whatever the documents say.
        store: stores keys across restarts.
        refresh: seconds after which keys are fetched again.
    """

    def __init__(
        self,
        changed: Callable[[TokenKeys], Awaitable[None]],
        metrics: Metrics,
        faults: Faults,
        *,
        always: Iterable[KeySource] = (),
        store: KeySetStore | None = None,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        self._changed = changed
        self._metrics = metrics
        self._faults = faults
        self._always = dict.fromkeys(always, DEFAULT_SECONDS)
        self._store = store
        self._refresh = refresh
        self._sources: dict[KeySource, _Source] = {}
        self._wanted = dict(self._always)
        self._former: Mapping[KeySource, tuple[str, float]] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None
        self._attempted = asyncio.Condition()
        self._log = structlog.get_logger("mizzen.keys")

    async def begin(self, sources: Mapping[KeySource, float]) -> TokenKeys:
        """Return the stored keys of these sources; `set_sources` fetches them again."""
        if self._store is not None:
            self._former = await asyncio.to_thread(self._store.read)
        for source in {**self._always, **sources}:
            self._sources[source] = self._new(source)
        return self._all()

    def keys_of(self, source: KeySource) -> str:
        """Return the key set in JSON that was fetched last; empty if there is none."""
        state = self._sources.get(source)
        return state.keys if state is not None else ""

    def _new(self, source: KeySource) -> _Source:
        keys, fetched = self._former.get(source, ("", 0.0))
        return _Source(keys, fetched)

    async def run(self) -> None:
        """Fetch the keys of the sources that `set_sources` names. Never ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self.set_sources(self._wanted)
                await asyncio.Event().wait()
        finally:  # it may be called again
            self._tasks = None
            for state in self._sources.values():
                state.task = None

    def set_sources(self, wanted: Mapping[KeySource, float]) -> None:
        """Set the sources that documents need now, each with the longest time of an answer in seconds."""
        self._wanted = {**self._always, **wanted}
        now = time.time()
        for source, seconds in self._wanted.items():
            state = self._sources.setdefault(source, self._new(source))
            state.seconds, state.unused_since = seconds, 0.0
            if state.task is None and self._tasks is not None:
                state.task = self._tasks.create_task(self._keep_fetching(source, state))
        for source, state in list(self._sources.items()):
            if source in self._wanted:
                continue
            if state.task is not None:
                state.task.cancel()
                state.task = None
            state.unused_since = state.unused_since or now
            if now - state.unused_since > _FORGET_SECONDS:
                del self._sources[source]
        self._metrics.count_token_key_sets(self.states())

    async def tried(self, seconds: float = FIRST_SECONDS) -> None:
        """Wait until each source was tried once, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._attempted:
                await self._attempted.wait_for(
                    lambda: all(self._sources[source].attempted for source in self._wanted)
                )
        except TimeoutError:
            return

    async def _keep_fetching(self, source: KeySource, state: _Source) -> None:
        while True:
            async with self._at_once:
                await self._fetch(source, state)
            # Not all issuers at the same moment.
            await asyncio.sleep(state.wait(self._refresh) * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def _fetch(self, source: KeySource, state: _Source) -> None:
        before = state.value()
        try:
            state.keys = await fetch_key_set(source.uri, discovered=source.discovered, seconds=state.seconds)
            state.fetched, state.problem, state.failures = time.time(), "", 0
        except KeySetError as error:
            state.problem, state.failures = str(error), state.failures + 1
        except Exception:
            self._faults.note("the keys of a token issuer could not be fetched", exc_info=True)
            state.problem, state.failures = "a fault of Mizzen; its log says more", state.failures + 1
        self._metrics.token_key_fetches.labels("failed" if state.problem else "ok").inc()
        self._metrics.count_token_key_sets(self.states())
        self._say(source, before, state)
        if self._store is not None and not state.problem:
            await asyncio.to_thread(self._store.write, self._good())
        if (before.keys, before.problem) != (state.keys, state.problem):
            await self._changed(self._all())
        async with self._attempted:
            state.attempted = True
            self._attempted.notify_all()

    def _say(self, source: KeySource, before: FetchedKeys, state: _Source) -> None:
        if state.problem and state.problem != before.problem:
            words = (
                "the previous keys stay in force" if state.keys else "every token of the issuer is refused"
            )
            self._log.warning(f"keys could not be fetched; {words}", uri=str(source), reason=state.problem)
        elif not state.problem and (before.problem or state.keys != before.keys):
            self._log.info("keys were fetched", uri=str(source))

    def _all(self) -> TokenKeys:
        return TokenKeys(
            {source: state.value() for source, state in self._sources.items() if state.keys or state.problem}
        )

    def _good(self) -> Mapping[KeySource, tuple[str, float]]:
        return {source: (state.keys, state.fetched) for source, state in self._sources.items() if state.keys}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the state of each source for the status, without keys."""
        now = time.time()
        return [
            {
                "uri": str(source),
                "fetched": datetime.fromtimestamp(state.fetched, UTC).isoformat(timespec="seconds")
                if state.keys
                else None,
                "age_seconds": max(0.0, round(now - state.fetched, 3)) if state.keys else None,
                "problem": state.problem,
                "failures": state.failures,
            }
            for source, state in sorted(self._sources.items())
            if source in self._wanted
        ]

    def states(self) -> Iterable[str]:
        """Return for each source if its keys are `current`, `old` or `missing`."""
        return [
            "missing" if not state.keys else "old" if state.problem else "current"
            for source, state in self._sources.items()
            if source in self._wanted
        ]


def wanted_sources(policies: Iterable[Config[RequestAuthentication]]) -> dict[KeySource, float]:
    """Return the sources of keys for these policies, each with the longest time of an answer in seconds."""
    found: dict[KeySource, float] = {}
    for policy in policies:
        for rule in policy.spec.jwt_rules:
            source = key_source(rule)
            if source is not None:
                seconds = rule.timeout.total_seconds() if rule.timeout else DEFAULT_SECONDS
                found[source] = max(seconds, found.get(source, 0.0))
    return found
