"""Finding the documents that something cannot be made of, so that all others still take effect.

A document that Mizzen itself fails at (an exception where none should be) is found by trying: all changes at
once, which mostly succeeds, else one half of them and then the other. What is left out in the end is exactly
what fails, and the result is the same as if these changes had never been made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from traceback import format_tb
from typing import Any, Final, TypeVar

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, ConfigKey
from mizzen.mesh.delta import Change, ConfigChange, MeshDelta
from mizzen.mesh.rules.closed_policies import closed_policy, is_closed_policy
from mizzen.mesh.snapshot import Mesh

State = TypeVar("State")

UNTRANSLATABLE: Final = "MZ0105"
"""The code of a document that cannot be translated."""

MOST_FAULTS: Final = 256
"""Faults that one search looks for; each costs as many trials as the changes can be halved."""

_LONGEST_REASON: Final = 200
_SHOWN_FRAMES: Final = 8


class TooManyFaultsError(Exception):
    """More documents fail than a search looks for: the cause is something else."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A document of which Mizzen fails to make something. `wanted` is its version in the files, None if it is
    gone from them; `in_force` is the version that takes effect instead, None if there is none. `traceback`
    says where Mizzen fails."""

    key: ConfigKey
    wanted: Config[Any] | None
    in_force: Config[Any] | None
    reason: str
    traceback: str = field(default="", compare=False, repr=False)

    @classmethod
    def of(cls, change: Change, error: Exception, stand_in: Config[Any] | None = None) -> Withheld:
        """Return the document of a change that cannot be made; `stand_in` takes effect if none did before."""
        old, new = change
        config = new if new is not None else old
        assert config is not None
        old = old if old is not None else stand_in
        return cls(config.key, new, old, _reason(config.key, error), shown_traceback(error))

    @property
    def diagnostic(self) -> Diagnostic:
        """What to tell whoever wrote the document."""
        config = self.wanted if self.wanted is not None else self.in_force
        assert config is not None
        kept = "it is left out"
        if self.in_force is not None and is_closed_policy(self.in_force):
            kept = "so that it opens nothing, all calls to the workloads that it selects are denied"
        elif self.in_force is not None:
            kept = f"its version of {self.in_force.origin} stays in force"
        if self.wanted is None:
            kept = "it stays in force although it was removed"
        return Diagnostic(
            Severity.ERROR,
            UNTRANSLATABLE,
            f"{self.key} cannot be translated: {self.reason}; {kept} and everything else "
            "takes effect; change what is unusual in it, and report it as a fault of Mizzen",
            config.origin,
            mentions=(self.in_force.origin,) if self.in_force is not None else (),
        )


def shown_traceback(error: Exception) -> str:
    """Return where an exception comes from. The exception itself would keep in memory all that its frames
    hold."""
    return "".join(format_tb(error.__traceback__)[-_SHOWN_FRAMES:])


def _reason(key: ConfigKey, error: Exception) -> str:
    """Return the exception's own words on one line; nothing but its kind where they may quote a secret."""
    kind = type(error).__name__
    words = " ".join(str(error).split())
    if not words or key.kind == "Secret":
        return kind
    return f"{kind}: {words[:_LONGEST_REASON]}"


def without_faults(
    state: State, changes: Sequence[Change], attempt: Callable[[State, Sequence[Change]], State]
) -> tuple[State, tuple[Withheld, ...]]:
    """Return `state` after all `changes` that can be made, and the documents of the others.

    `attempt` returns the state after some changes and raises if it cannot make them; the state that it was
    given must stay as it was. A security policy without an earlier version is replaced by one that lets
    nothing pass: left out, it would open what it protects. Raises TooManyFaultsError.
    """
    faults: list[Withheld] = []

    def apply(state: State, part: Sequence[Change]) -> State:
        try:
            return attempt(state, part)
        except Exception as error:
            if len(part) == 1:
                old, new = part[0]
                stand_in = closed_policy(new) if old is None and new is not None else None
                faults.append(Withheld.of(part[0], error, stand_in))
                if len(faults) > MOST_FAULTS:
                    raise TooManyFaultsError from error
                return state if stand_in is None else closed(state, stand_in)
        middle = len(part) // 2
        return apply(apply(state, part[:middle]), part[middle:])

    def closed(state: State, stand_in: Config[Any]) -> State:
        try:
            return attempt(state, [(None, stand_in)])
        except Exception as error:  # the cause is something else, and to leave the policy out would open
            raise TooManyFaultsError from error

    return (apply(state, changes) if changes else state), tuple(faults)


@dataclass(frozen=True, slots=True)
class Changed:
    """A ConfigChange of pairs of documents."""

    pairs: Sequence[Change]

    @property
    def updated(self) -> Iterable[Config[Any]]:
        """The documents that are new or have changed."""
        return [new for _, new in self.pairs if new is not None]

    @property
    def removed(self) -> Iterable[ConfigKey]:
        """The documents that are gone."""
        return [old.key for old, new in self.pairs if new is None and old is not None]

    @property
    def moved(self) -> Mapping[ConfigKey, Config[Any]]:
        """None: a document is another one or it is not."""
        return {}


def undone(changes: Iterable[Change]) -> Changed:
    """Return the way back from `changes`."""
    return Changed([(new, old) for old, new in changes])


def updated_without_faults(mesh: Mesh, change: ConfigChange) -> tuple[Mesh, MeshDelta, tuple[Withheld, ...]]:
    """Return what `mesh.updated(change)` returns, without the documents that the mesh cannot be made of, and
    these. Raises TooManyFaultsError."""
    pairs: list[Change] = [(mesh.config(config.key), config) for config in change.updated]
    pairs += [(mesh.config(key), None) for key in change.removed if mesh.config(key) is not None]

    def attempt(
        state: tuple[Mesh, tuple[MeshDelta, ...]], part: Sequence[Change]
    ) -> tuple[Mesh, tuple[MeshDelta, ...]]:
        updated, delta = state[0].updated(Changed(part))
        return updated, (*state[1], delta)

    start: tuple[Mesh, tuple[MeshDelta, ...]] = (mesh, ())
    (updated, deltas), faults = without_faults(start, pairs, attempt)
    return updated.with_moved(change.moved), MeshDelta.joined(deltas) if deltas else MeshDelta(), faults
