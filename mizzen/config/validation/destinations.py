"""Destinations of routes, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mizzen.config.models import Destination, HTTPRouteDestination, RouteDestination
from mizzen.config.validation.hosts import dns_label_problem, wildcard_domain_problem
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem

_HIGHEST_SUM: Final = 2**32 - 1
"""The maximum that Envoy accepts; for a higher sum it rejects the whole route configuration."""


def check_destination(destination: Destination | None, place: Place) -> None:
    """Check a destination that may be absent."""
    if destination is None:
        return
    if destination.host == "*":
        (place / "host").error('"*" is not a destination; write the host of one service')
    else:
        (place / "host").check(wildcard_domain_problem(destination.host))
    if destination.subset:
        (place / "subset").check(dns_label_problem(destination.subset, "name of a subset"))
    if destination.port is not None:
        if "number" not in destination.port.model_fields_set and not (place / "port").lost("number"):
            (place / "port").error("the port has no number; write number: 1 to 65535")
        else:
            (place / "port" / "number").check(port_number_problem(destination.port.number))


def check_weighted(destinations: Sequence[HTTPRouteDestination | RouteDestination], place: Place) -> None:
    """Check the destinations of one route, and if there are several, that some weight is not 0."""
    for index, weighted in enumerate(destinations):
        here = place / index
        if weighted.destination is None:
            (here / "destination").error("the destination is missing; write its host")
        check_destination(weighted.destination, here / "destination")
        if weighted.weight < 0:
            (here / "weight").error(f"{weighted.weight} is not a weight; write 0 or more")
    total = sum(weighted.weight for weighted in destinations)
    if total > _HIGHEST_SUM:
        place.error(f"the weights sum to {total}; at most {_HIGHEST_SUM} is possible")
    elif len(destinations) > 1 and total == 0:
        place.error("the weights of all destinations are 0; write a weight above 0 for at least one")
    elif len(destinations) > 1:
        for index, weighted in enumerate(destinations):
            if "weight" not in weighted.model_fields_set:
                (place / index).warning("has no weight beside others that do, so it gets no call; write one")
