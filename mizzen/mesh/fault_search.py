"""Finds the documents that Mizzen fails to process, so that all other documents still take effect.

A document may make Mizzen fail by an unexpected exception. The search tries all changes at once, which mostly
succeeds; if that fails, it tries one half of them and then the other. In the end exactly the failing changes
are left out, and the result is the same as if they had never been made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from mizzen.config.codes import UNTRANSLATABLE
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, ConfigKey
from mizzen.config.faults import reason, shown_traceback
from mizzen.config.refused import hosts_written
from mizzen.mesh.changes.delta import ConfigChange, DocumentChange, MeshDelta
from mizzen.mesh.rules.closed_policies import closed_policy, is_closed_policy
from mizzen.mesh.snapshot import Mesh

State = TypeVar("State")

MOST_FAULTS: Final = 256
"""Most faults that one search looks for. Each fault costs one trial for every halving of the changes."""


class TooManyFaultsError(Exception):
    """More documents fail than a search looks for, so the documents are not the cause."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A document that Mizzen fails to process. `wanted` is its version in the files, None if it was removed
    from them; `in_force` is the version that takes effect instead, None if there is none. `traceback` says
    where Mizzen fails."""

    key: ConfigKey
    wanted: Config[Any] | None
    in_force: Config[Any] | None
    reason: str
    traceback: str = field(default="", compare=False, repr=False)

    @classmethod
    def of(cls, change: DocumentChange, error: Exception, stand_in: Config[Any] | None = None) -> Withheld:
        """Return the document of a change that fails; `stand_in` takes effect if no version did before."""
        old, new = change
        config = new if new is not None else old
        assert config is not None
        old = old if old is not None else stand_in
        return cls(config.key, new, old, reason(config.key, error), shown_traceback(error))

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that a ServiceEntry or DestinationRule names; none of other kinds."""
        spec = self.wanted.spec if self.wanted is not None else None
        written = {"hosts": list(getattr(spec, "hosts", ())), "host": getattr(spec, "host", None)}
        return hosts_written(self.key, {"spec": written})

    @property
    def diagnostic(self) -> Diagnostic:
        """The message for the author of the document."""
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


def without_faults(
    state: State,
    changes: Sequence[DocumentChange],
    attempt: Callable[[State, Sequence[DocumentChange]], State],
) -> tuple[State, tuple[Withheld, ...]]:
    """Return `state` after all `changes` that succeed, and the documents of those that fail.

    `attempt` returns the state after some changes, and raises if it cannot make them; it must not change the
    state that it gets. A security policy without an earlier version is replaced by the closed policy, which
    lets nothing pass: without any policy, what it protects would be open. Raises TooManyFaultsError.
    """
    faults: list[Withheld] = []

    def apply(state: State, part: Sequence[DocumentChange]) -> State:
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
        except Exception as error:  # not the policy's fault, and leaving the policy out would open access
            raise TooManyFaultsError from error

    return (apply(state, changes) if changes else state), tuple(faults)


@dataclass(frozen=True, slots=True)
class Changed:
    """A ConfigChange that is made from pairs of documents."""

    pairs: Sequence[DocumentChange]

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
        """Nothing: pairs of documents record no moves."""
        return {}


def undone(changes: Iterable[DocumentChange]) -> Changed:
    """Return the change that reverts `changes`."""
    return Changed([(new, old) for old, new in changes])


def updated_without_faults(mesh: Mesh, change: ConfigChange) -> tuple[Mesh, MeshDelta, tuple[Withheld, ...]]:
    """Return what `mesh.updated(change)` returns, without the documents that make it fail, and these
    documents. Raises TooManyFaultsError."""
    pairs: list[DocumentChange] = [(mesh.config(config.key), config) for config in change.updated]
    pairs += [(mesh.config(key), None) for key in change.removed if mesh.config(key) is not None]

    def attempt(
        state: tuple[Mesh, tuple[MeshDelta, ...]], part: Sequence[DocumentChange]
    ) -> tuple[Mesh, tuple[MeshDelta, ...]]:
        updated, delta = state[0].updated(Changed(part))
        return updated, (*state[1], delta)

    start: tuple[Mesh, tuple[MeshDelta, ...]] = (mesh, ())
    (updated, deltas), faults = without_faults(start, pairs, attempt)
    return updated.with_moved(change.moved), MeshDelta.joined(deltas) if deltas else MeshDelta(), faults
