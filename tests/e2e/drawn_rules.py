"""Rules of VirtualServices, drawn."""

from __future__ import annotations

from random import Random
from typing import Any


def http_rules(random: Random) -> list[dict[str, Any]]:
    rules = []
    for index in range(random.randint(2, 5)):
        rule: dict[str, Any] = {"name": f"rule-{index}"}
        rule["match"] = [drawn_match(random) for _ in range(random.randint(1, 2))]
        # At least one rule of each host is answered by the proxy itself.
        kind = random.randrange(2) if index == 0 else random.randrange(9)
        rules.append({**rule, **drawn_action(random, kind)})
    if random.random() < 0.6:
        rules.append({"name": "rest", **drawn_action(random, random.randrange(9))})
    return rules


def drawn_match(random: Random) -> dict[str, Any]:
    match: dict[str, Any] = {}
    if random.random() < 0.6:
        match["uri"] = random.choice(
            (
                {"prefix": "/shop"},
                {"prefix": "/shop/"},
                {"exact": "/shop"},
                {"exact": "/api/v2"},
                {"prefix": "/api"},
                {"regex": "/api/v[0-9]+(/.*)?"},
                {"regex": "/shop.*"},
                {"exact": "/"},
                {"prefix": "/static/~joe"},
            )
        )
        if random.random() < 0.3:
            match["ignoreUriCase"] = True
    if random.random() < 0.35:
        name, condition = random.choice(
            (
                ("x-user", {"exact": "jason"}),
                ("x-user", {"regex": ".+"}),
                ("x-version", {"prefix": "canary"}),
                ("cookie", {"regex": ".*beta=yes.*"}),
                ("x-user", {"regex": "a.*"}),
                ("x-tag", {"exact": "a,b"}),
                ("x-user", {}),
            )
        )
        match[random.choice(("headers", "headers", "withoutHeaders"))] = {name: condition}
    if random.random() < 0.25:
        match["queryParams"] = random.choice(
            (
                {"page": {"exact": "1"}},
                {"sort": {"regex": ".*"}},
                {"debug": {"exact": ""}},
                {"page": {"prefix": "2"}},
            )
        )
    if random.random() < 0.2:
        match["method"] = {"exact": random.choice(("GET", "POST"))}
    if random.random() < 0.15:
        match["authority"] = random.choice(
            ({"prefix": "shop"}, {"regex": ".*example.*"}, {"exact": "reviews"})
        )
    if random.random() < 0.15:
        match["scheme"] = {"exact": random.choice(("http", "https"))}
    return match or {"uri": {"prefix": "/shop"}}


def drawn_action(random: Random, kind: int) -> dict[str, Any]:
    if kind == 0:
        return {
            "redirect": random.choice(
                (
                    {"uri": "/moved"},
                    {"authority": "new.example", "redirectCode": 302},
                    {"scheme": "https"},
                    {"uri": "/x?y=1"},
                    {"port": 8443, "redirectCode": 307},
                    {"scheme": "https", "port": 443},
                    {"derivePort": "FROM_REQUEST_PORT", "authority": "new.example"},
                )
            )
        }
    if kind == 1:
        return {"directResponse": {"status": random.choice((200, 404, 418)), "body": {"string": "direct"}}}
    route = random.choice(
        (
            [destination("orders", 80, "v1")],
            [destination("orders", 80, "v2")],
            [destination("reviews", 80, "v1")],
            [destination("orders", 80)],
            [destination("reviews", 80, "v2")],
            [destination("missing", 80)],
            [destination("orders", 80, "none")],
            [
                {**destination("orders", 80, "v1"), "weight": 60},
                {**destination("orders", 80, "v2"), "weight": 40},
            ],
            [
                {**destination("orders", 80, "v1"), "weight": 0},
                {**destination("reviews", 80, "v1"), "weight": 100},
            ],
        )
    )
    action: dict[str, Any] = {"route": route}
    if kind == 2:
        action["rewrite"] = random.choice(
            (
                {"uri": "/rewritten"},
                {"uri": "/"},
                {"authority": "inside.example"},
                {"uri": "/both/", "authority": "inside.example"},
                {"uriRegexRewrite": {"match": "^/([a-z]+)(.*)$", "rewrite": r"/\2/\1"}},
            )
        )
    elif kind == 3:
        action["fault"] = {
            "abort": {"httpStatus": 503 if random.random() < 0.5 else 429, "percentage": {"value": 100}}
        }
    elif kind == 4:
        action["corsPolicy"] = {"allowOrigins": [{"exact": "https://shop.example"}], "allowMethods": ["PUT"]}
    elif kind == 5:
        action["headers"] = {
            "request": {"set": {"x-version": "stable"}, "add": {"x-tag": "c"}, "remove": ["x-user"]},
        }
    return action


def destination(host: str, port: int, subset: str = "") -> dict[str, Any]:
    destination: dict[str, Any] = {"host": host, "port": {"number": port}}
    if subset:
        destination["subset"] = subset
    return {"destination": destination}


def document(kind: str, name: str, version: str = "networking.istio.io/v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, **fields}
