"""AuthorizationPolicies as policies of RBAC: identities, tokens, and what is left of them on plain TCP."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from mizzen.config import MeshConfig, parse_documents, to_config
from mizzen.translator.filters.authorization import enforcements

HEAD = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
MESH_CONFIG = MeshConfig.of(trust_domain="td", trust_domain_aliases=["old"])


def made(spec: str, *, http: bool = True, metadata: str = "{name: p, namespace: shop}") -> list[Any]:
    text = f"{HEAD}metadata: {metadata}\nspec: {spec}\n"
    [document] = parse_documents(text.encode(), "p.yaml").documents
    config, diagnostics = to_config(document)
    assert config is not None, diagnostics
    return [
        {
            "action": str(each.action),
            "rules": None if each.rules is None else MessageToDict(each.rules),
            "shadow": None if each.shadow_rules is None else MessageToDict(each.shadow_rules),
        }
        for each in enforcements([config], MESH_CONFIG, http=http)
    ]


def principal(source: str) -> Any:
    [one] = made(f"{{rules: [{{from: [{{source: {source}}}]}}]}}")
    [found] = one["rules"]["policies"]["ns[shop]-policy[p]-rule[0]"]["principals"]
    return found


def name(matcher: dict[str, Any]) -> dict[str, Any]:
    return {"authenticated": {"principalName": matcher}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{principals: [other/ns/a/sa/b]}", name({"exact": "spiffe://other/ns/a/sa/b"})),
        (
            "{principals: [cluster.local/ns/a/sa/b]}",
            {
                "orIds": {
                    "ids": [
                        name({"exact": "spiffe://td/ns/a/sa/b"}),
                        name({"exact": "spiffe://old/ns/a/sa/b"}),
                    ]
                }
            },
        ),
        ('{principals: ["*/sa/b"]}', name({"safeRegex": {"regex": "spiffe://.*/sa/b"}})),
        ("{namespaces: [a.b]}", name({"safeRegex": {"regex": r".*/ns/a\.b/.*"}})),
        ('{namespaces: ["a*"]}', name({"safeRegex": {"regex": ".*/ns/a.*/.*"}})),
        ("{serviceAccounts: [b]}", name({"safeRegex": {"regex": "spiffe://.+/ns/shop/(.+/|)sa/b(/.+)?"}})),
        ("{serviceAccounts: [x/b]}", name({"safeRegex": {"regex": "spiffe://.+/ns/x/(.+/|)sa/b(/.+)?"}})),
        ("{trustDomains: [other]}", name({"prefix": "spiffe://other/"})),
        ("{notNamespaces: [a]}", {"notId": name({"safeRegex": {"regex": ".*/ns/a/.*"}})}),
        ("{remoteIpBlocks: [10.0.0.0/8]}", {"remoteIp": {"addressPrefix": "10.0.0.0", "prefixLen": 8}}),
        ("{ipBlocks: [10.1.2.3]}", {"directRemoteIp": {"addressPrefix": "10.1.2.3", "prefixLen": 32}}),
    ],
)
def test_who_asks(source: str, expected: Any) -> None:
    assert principal(source) == expected


def test_the_issuer_and_the_subject_of_a_token() -> None:
    found = principal("{requestPrincipals: [https://issuer.example/jason]}")["andIds"]["ids"]
    told = {
        each["metadata"]["path"][1]["key"]: each["metadata"]["value"]["orMatch"]["valueMatchers"][1]
        for each in found
    }
    assert told == {
        "iss": {"stringMatch": {"exact": "https://issuer.example"}},
        "sub": {"stringMatch": {"exact": "jason"}},
    }


def test_all_fields_of_a_source_and_all_conditions_must_hold() -> None:
    [one] = made(
        "{rules: [{from: [{source: {namespaces: [a], ipBlocks: [10.0.0.1]}}], "
        "when: [{key: 'request.headers[x]', values: [bob]}, {key: destination.port, values: ['80']}]}]}"
    )
    policy = one["rules"]["policies"]["ns[shop]-policy[p]-rule[0]"]
    assert len(policy["principals"][0]["andIds"]["ids"]) == 3
    assert policy["permissions"] == [{"destinationPort": 80}]


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_what_is_left_on_tcp(action: str) -> None:
    """Less is allowed, more is denied."""
    rule = "{to: [{operation: {paths: [/a], ports: ['80']}}]}"
    [one] = made(f"{{action: {action}, rules: [{rule}]}}", http=False)
    policies = one["rules"].get("policies", {})
    if action == "ALLOW":
        assert policies == {}
    else:
        assert policies["ns[shop]-policy[p]-rule[0]"]["permissions"] == [{"destinationPort": 80}]


def test_nothing_of_an_allow_policy_is_left_and_so_nothing_is_allowed() -> None:
    [one] = made("{rules: [{to: [{operation: {methods: [GET]}}]}]}", http=False)
    assert one["rules"] is not None
    assert not one["rules"].get("policies")


def test_a_policy_that_is_tried_out_only_shadows() -> None:
    annotated = "{name: p, namespace: shop, annotations: {istio.io/dry-run: 'true'}}"
    [one] = made("{action: DENY, rules: [{}]}", metadata=annotated)
    assert one["rules"] is None
    assert list(one["shadow"]["policies"]) == ["ns[shop]-policy[p]-rule[0]"]
