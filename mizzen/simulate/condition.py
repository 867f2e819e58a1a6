"""Conditions on a request or a connection, and their combinations by `and` and `or`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mizzen.simulate.request import Request

RequestTest = Callable[[Request], bool]


class UndecidedError(Exception):
    """A condition depends on something that the call does not tell."""


class UnknownSettingError(ValueError):
    """A filter has a setting that the simulator does not know."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: its name, the wanted value, what a request has instead, and the test."""

    name: str
    wanted: str
    found: Callable[[Request], str]
    holds: RequestTest


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions that must all hold; without any it always holds."""

    parts: tuple[Demand, ...] = ()

    def holds(self, request: Request) -> bool:
        """Return whether each part holds."""
        for part in self.parts:  # noqa: SIM110 (an inner loop: a generator costs twice as much)
            if not part.holds(request):
                return False
        return True


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which at least one must hold; without any it never holds."""

    parts: tuple[Demand, ...] = ()

    def holds(self, request: Request) -> bool:
        """Return whether some part holds."""
        for part in self.parts:  # noqa: SIM110
            if part.holds(request):
                return True
        return False


Demand = Condition | AllOf | AnyOf

_NEVER: Final = Condition("condition", "what no request has", lambda request: "", lambda request: False)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """How far a request is from meeting a demand: how many conditions fail, how many hold, and the first that
    fails; None if the demand is met."""

    failed: int
    satisfied: int
    first: Condition | None


def joined(parts: Iterable[Demand]) -> Demand:
    """Return the demand that one of `parts` is met; conditions with the same name become one."""
    alike: dict[str, list[Condition]] = {}
    others: list[Demand] = []
    for part in parts:
        if isinstance(part, Condition):
            alike.setdefault(part.name, []).append(part)
        else:
            others.append(part)
    found = (*map(_either, alike.values()), *others)
    return found[0] if len(found) == 1 else AnyOf(found)


def inverted(demand: Demand) -> Demand:
    """Return the demand that holds where this one does not."""
    if isinstance(demand, AllOf):
        return AnyOf(tuple(map(inverted, demand.parts)))
    if isinstance(demand, AnyOf):
        return AllOf(tuple(map(inverted, demand.parts)))
    test = demand.holds
    wanted = f"not ({demand.wanted})" if " or " in demand.wanted else f"not {demand.wanted}"
    return Condition(demand.name, wanted, demand.found, lambda request: not test(request))


def demand_words(demand: Demand, *, within: bool = False) -> str:
    """Return a demand in words, `method GET, path /a or host b`; empty if it always holds. With `within`, as
    part of a larger demand, alternatives are put in brackets."""
    if isinstance(demand, Condition):
        return f"{demand.name} {demand.wanted}"
    if isinstance(demand, AllOf):
        return ", ".join(filter(None, (demand_words(part, within=True) for part in demand.parts)))
    words = " or ".join(demand_words(part, within=True) or "anything" for part in demand.parts)
    return (f"({words})" if within else words) if demand.parts else "nothing"


def shortfall(demand: Demand, request: Request) -> Shortfall:
    """Return what a request lacks; of alternatives, the one that lacks least."""
    if isinstance(demand, Condition):
        return Shortfall(0, 1, None) if demand.holds(request) else Shortfall(1, 0, demand)
    parts = [shortfall(part, request) for part in demand.parts]
    if isinstance(demand, AnyOf):
        return min(parts, key=lambda each: (each.failed, -each.satisfied), default=Shortfall(1, 0, _NEVER))
    first = next((each.first for each in parts if each.first is not None), None)
    return Shortfall(sum(each.failed for each in parts), sum(each.satisfied for each in parts), first)


def met(demand: Demand, request: Request) -> Iterator[Condition]:
    """Yield the conditions by which a request meets a demand; of alternatives, the first that holds."""
    if isinstance(demand, Condition):
        yield demand
    elif isinstance(demand, AllOf):
        for part in demand.parts:
            yield from met(part, request)
    else:
        holding = next((part for part in demand.parts if part.holds(request)), None)
        if holding is not None:
            yield from met(holding, request)


def _either(conditions: list[Condition]) -> Condition:
    first = conditions[0]
    if len(conditions) == 1:
        return first
    wanted = " or ".join(each.wanted for each in conditions)
    return Condition(first.name, wanted, first.found, AnyOf(tuple(conditions)).holds)
