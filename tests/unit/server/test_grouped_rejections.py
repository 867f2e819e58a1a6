"""What many proxies reject in the same words is told once."""

from __future__ import annotations

from typing import Any

from mizzen.server.grouped_rejections import grouped_rejections


def rejection(proxy: str, *origins: str, message: str = "no") -> dict[str, Any]:
    resource = {"name": "80", "origins": list(origins), "in_force": "it is left out"}
    return {"proxy": proxy, "type": "RDS", "message": message, "resources": [resource]}


def test_proxies_that_say_the_same_are_put_together_with_all_their_lines() -> None:
    found = [rejection("a", "x:1"), rejection("b", "x:1", "y:2"), rejection("c", message="other")]
    one, other = grouped_rejections(found)
    assert (one.type, one.message, one.who) == ("RDS", "no", "a, b")
    assert one.resources == {"80": {"name": "80", "origins": ["x:1", "y:2"], "in_force": "it is left out"}}
    assert (other.message, other.proxies) == ("other", ["c"])
    assert found[0]["resources"][0]["origins"] == ["x:1"], "what is given stays as it is"


def test_of_many_proxies_ten_are_named() -> None:
    (one,) = grouped_rejections(rejection(f"p{number}") for number in range(1000))
    assert one.who == "p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 and 990 more"
