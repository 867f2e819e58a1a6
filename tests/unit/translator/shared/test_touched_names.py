"""Changes beside virtual hosts that differ by labels: a change that touches one of them is followed, by each
of the ways in which it may touch it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.translator.shared.test_label_profiles import Living, document, entry, labelled, policy

ADDRESS = ["10.9.9.9"]


def at_address(name: str) -> Any:
    return entry(name, 8080, addresses=ADDRESS)


def owner(name: str, host: str, to: str = "other.example", **route: Any) -> Any:
    """A VirtualService for all proxies."""
    routes = [{"route": [{"destination": {"host": to}}], **route}]
    return document("VirtualService", name, {"hosts": [host], "http": routes})


def hashing(host: str, header: str) -> Any:
    traffic = {"loadBalancer": {"consistentHash": {"httpHeaderName": header}}}
    return document("DestinationRule", f"hash-{host.strip('*.')}", {"host": host, "trafficPolicy": traffic})


def both(name: str, host: str, app: str) -> Any:
    """A VirtualService with routes for some proxies, and one for all."""
    made = labelled(name, host, app)
    made["spec"]["http"].append({"route": [{"destination": {"host": "other.example"}}], "timeout": "3s"})
    return made


OTHER = entry("other", 8082)
OF_A = labelled("of-a", "web.example", "a")
RIVAL = labelled("rival", "second.example", "a")
HASHED = policy("of-c", "web.example", "c", loadBalancer={"consistentHash": {"httpHeaderName": "x"}})
NAMED = labelled("named", "web.example", "a")
NAMED["spec"]["hosts"].append(*ADDRESS)
CHANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "a rule for all comes before the one with labels": (
        [OTHER, entry("web", 8080), OF_A],
        [OTHER, entry("web", 8080), OF_A, owner("aaa", "web.example")],
    ),
    "a rule for all goes": (
        [OTHER, entry("web", 8080), OF_A, owner("aaa", "web.example")],
        [OTHER, entry("web", 8080), OF_A],
    ),
    "the service goes": ([OTHER, entry("web", 8080), OF_A], [OTHER, entry("new", 8080), OF_A]),
    "the service gets an address": (
        [OTHER, entry("web", 8080), OF_A],
        [OTHER, entry("web", 8080, addresses=ADDRESS), OF_A],
    ),
    "a rule for all is after the one with labels": (
        [OTHER, entry("web", 8080), OF_A, owner("zzz", "web.example")],
        [OTHER, entry("web", 8080), OF_A, owner("zzz", "web.example", timeout="2s")],
    ),
    "the host that lost the address hashes": (
        [OTHER, at_address("first"), at_address("second"), RIVAL],
        [OTHER, at_address("first"), at_address("second"), RIVAL, hashing("first.example", "x")],
    ),
    "the destination of the host that lost the address hashes": (
        [OTHER, at_address("first"), at_address("second"), RIVAL, owner("zzz", "first.example")],
        [
            OTHER,
            at_address("first"),
            at_address("second"),
            RIVAL,
            owner("zzz", "first.example"),
            hashing("other.example", "x"),
        ],
    ),
    "the rule of the host that lost the address changes": (
        [OTHER, at_address("first"), at_address("second"), RIVAL, owner("zzz", "first.example")],
        [
            OTHER,
            at_address("first"),
            at_address("second"),
            RIVAL,
            owner("zzz", "first.example", timeout="5s"),
        ],
    ),
    "a wildcard comes over the host that lost the address": (
        [OTHER, at_address("first"), at_address("second"), RIVAL],
        [OTHER, at_address("first"), at_address("second"), RIVAL, owner("zzz", "*.example")],
    ),
    "a wildcard over the host that lost the address leads to another destination": (
        [OTHER, at_address("first"), at_address("second"), RIVAL, owner("zzz", "*.example")],
        [OTHER, at_address("first"), at_address("second"), RIVAL, owner("zzz", "*.example", timeout="9s")],
    ),
    "the destination of a wildcard over the host that lost the address hashes": (
        [OTHER, at_address("first"), at_address("second"), RIVAL, owner("zzz", "*.example")],
        [
            OTHER,
            at_address("first"),
            at_address("second"),
            RIVAL,
            owner("zzz", "*.example"),
            hashing("other.example", "x"),
        ],
    ),
    "a host comes that gets the address instead": (
        [OTHER, at_address("second"), RIVAL],
        [OTHER, at_address("second"), RIVAL, at_address("first"), owner("aaa", "first.example")],
    ),
    "a host comes that does not get the address": (
        [OTHER, at_address("second"), RIVAL],
        [OTHER, at_address("second"), RIVAL, at_address("zzz")],
    ),
    "the host that had the address goes": (
        [OTHER, at_address("second"), RIVAL, at_address("first"), owner("aaa", "first.example")],
        [OTHER, at_address("second"), RIVAL, owner("aaa", "first.example"), entry("new", 8080)],
    ),
    "the host that had not got the address goes": (
        [OTHER, at_address("first"), at_address("second"), RIVAL],
        [OTHER, at_address("second"), RIVAL, entry("new", 8080)],
    ),
    "a service comes at the address that a rule with labels names": (
        [OTHER, entry("web", 8080), NAMED],
        [OTHER, entry("web", 8080), NAMED, at_address("first")],
    ),
    "a service comes at the address that a rule with labels names, with a rule": (
        [OTHER, entry("web", 8080), NAMED, owner("aaa", "first.example")],
        [OTHER, entry("web", 8080), NAMED, owner("aaa", "first.example"), at_address("first")],
    ),
    "the service at the address that a rule with labels names goes": (
        [OTHER, entry("web", 8080), NAMED, at_address("first")],
        [OTHER, entry("web", 8080), NAMED],
    ),
    "the rule of the service at the address that a rule with labels names goes": (
        [OTHER, entry("web", 8080), NAMED, at_address("first"), owner("aaa", "first.example")],
        [OTHER, entry("web", 8080), NAMED, at_address("first")],
    ),
    "a rival comes of a host that hashes for labels": (
        [OTHER, at_address("web"), HASHED],
        [OTHER, at_address("web"), HASHED, at_address("first"), owner("aaa", "first.example")],
    ),
    "a service comes under a wildcard with labels": (
        [OTHER, entry("web", 8080), both("wide", "*.example", "a")],
        [OTHER, entry("web", 8080), entry("new", 8080), both("wide", "*.example", "a")],
    ),
    "a service comes under a wildcard with labels alone": (
        [OTHER, entry("web", 8080), labelled("wide", "*.example", "a")],
        [OTHER, entry("web", 8080), entry("new", 8080), labelled("wide", "*.example", "a")],
    ),
    "a rule comes under a wildcard with labels": (
        [OTHER, entry("web", 8080), entry("new", 8080), labelled("wide", "*.example", "a")],
        [
            OTHER,
            entry("web", 8080),
            entry("new", 8080),
            labelled("wide", "*.example", "a"),
            owner("own", "new.example"),
        ],
    ),
    "a rule with labels comes beside one": (
        [OTHER, entry("web", 8080), entry("new", 8080), OF_A],
        [OTHER, entry("web", 8080), entry("new", 8080), OF_A, labelled("of-b", "new.example", "b")],
    ),
    "a rule with the same labels comes beside one": (
        [OTHER, entry("web", 8080), entry("new", 8080), OF_A],
        [OTHER, entry("web", 8080), entry("new", 8080), OF_A, labelled("of-b", "new.example", "a")],
    ),
    "a rule with labels goes": (
        [OTHER, entry("web", 8080), entry("new", 8080), OF_A, labelled("of-b", "new.example", "a")],
        [OTHER, entry("web", 8080), entry("new", 8080), OF_A],
    ),
    "the host hashes where a DestinationRule has labels": (
        [OTHER, entry("web", 8080), policy("of-c", "web.example", "c", connectionPool={})],
        [
            OTHER,
            entry("web", 8080),
            policy("of-c", "web.example", "c", connectionPool={}),
            hashing("web.example", "x"),
        ],
    ),
    "the destination with labels hashes": (
        [OTHER, entry("web", 8080), OF_A],
        [OTHER, entry("web", 8080), OF_A, hashing("other.example", "x")],
    ),
    "a port of the rule with labels for unregistered hosts comes": (
        [OTHER, entry("web", 8080), labelled("un", "u.unknown", "a")],
        [OTHER, entry("web", 8080), labelled("un", "u.unknown", "a"), owner("aaa", "u.unknown")],
    ),
    "a wildcard over all takes what goes nowhere": (
        [OTHER, entry("web", 8080), OF_A],
        [OTHER, entry("web", 8080), OF_A, owner("all", "*")],
    ),
    "a wildcard with labels over all takes what goes nowhere": (
        [OTHER, entry("web", 8080), labelled("all", "*", "a")],
        [OTHER, entry("web", 8080), labelled("all", "*", "a"), owner("aaa", "*")],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_touches_what_differs_is_followed(change: str) -> None:
    before, after = CHANGES[change]
    living = Living(*before)
    living.compare()
    living.change(*after)
    living.compare()
    living.change(*before)
    living.compare()
