"""Containing what cannot be translated: whom it concerns, what it costs the others, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.mesh.analysis import Fault
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.scope import scopes
from mizzen.translator import translation
from mizzen.translator.contained import ProxyFaultError
from mizzen.translator.tls import secrets as tls_secrets
from mizzen.translator.translation import Translation
from mizzen.translator.untranslatable import untranslatable
from mizzen.xds import type_urls
from tests.unit.translator.contained_world import (
    HOST,
    World,
    gateway,
    is_bad,
    secret,
    service,
    sidecar,
    tls_gateway,
)


def test_lines_that_move_alone_are_current_and_concern_no_proxy(fails: Any) -> None:
    asked = fails(lambda service, profile: is_bad(service, profile) and profile.namespace == "default")
    world, withheld, whole = World(a=service("a"), b=service("b", 666)), sidecar("default"), sidecar("other")
    assert (world.clusters(withheld), world.clusters(whole)) == ({"a:80"}, {"a:80", "b:666"})
    list(world.translation.concerned())
    world.comments = 2
    asked.clear()
    for files in ({"a": service("a")}, {"c": service("c")}):
        world.write(**files)
        for proxy in (withheld, whole):
            translation = world.translation.of(proxy)
            made = translation.resource(proxy, type_urls.CLUSTER, f"outbound|80||{HOST}")
            assert made is not None
            assert [str(translation.mesh.current_origin(each)) for each in made.origins] == ["a.yaml:3"]
        if "a" in files:
            assert asked == []
            assert whole not in list(world.translation.concerned())


def test_the_last_good_version_stays_until_there_is_a_better_one(fails: Any) -> None:
    fails(is_bad)
    world, proxy = World(a=service("a"), b=service("b")), sidecar("default")
    assert world.clusters(proxy) == {"a:80", "b:80"}
    world.write(b=service("b", 666), c=service("c"))
    assert world.clusters(proxy) == {"a:80", "b:80", "c:80"}
    (withheld,) = world.translation.withheld
    assert str(withheld.diagnostic).startswith(
        "b.yaml:1: Service/default/b cannot be translated: ValueError: out of range; its version of b.yaml:1 "
        "stays in force"
    )
    world.write(b=service("b", 81))
    assert world.clusters(proxy) == {"a:80", "b:81", "c:80"}
    assert world.translation.withheld == ()
    world.write(b=None)
    assert world.clusters(proxy) == {"a:80", "c:80"}


def test_a_proxy_is_asked_for_when_what_it_shares_fails(fails: Any) -> None:
    """Also if no other class of proxies comes after: nobody else would meet the fault."""
    fails(is_bad)
    world, proxy = World(b=service("b")), sidecar("default")
    world.clusters(proxy)
    list(world.translation.concerned())
    world.write(b=service("b", 666))
    assert list(world.translation.concerned()) == [proxy]


def test_what_was_never_good_is_left_out_also_of_a_start_with_many_documents(fails: Any) -> None:
    fails(is_bad)
    many = {f"s{number}": service(f"s{number}", 666 if number % 40 == 7 else 80) for number in range(200)}
    world, proxy = World(**many), sidecar("default")
    bad = {f"s{number}" for number in (7, 47, 87, 127, 167)}
    assert world.clusters(proxy) == {f"{name}:80" for name in many.keys() - bad}
    assert {one.key.name for one in world.translation.withheld} == bad


def test_whom_a_document_can_be_translated_for_gets_it(fails: Any) -> None:
    fails(lambda service, profile: is_bad(service, profile) and profile.tls_client_key == "odd")
    world, odd, other = World(a=service("a"), b=service("b")), sidecar("odd"), sidecar("default")
    for proxy in (odd, other):
        world.clusters(proxy)
    world.write(b=service("b", 666))
    assert world.clusters(other) == {"a:80", "b:666"}
    assert world.clusters(odd) == {"a:80", "b:80"}
    world.write(d=service("d"))
    assert world.clusters(other) == {"a:80", "b:666", "d:80"}
    assert world.clusters(odd) == {"a:80", "b:80", "d:80"}


def test_a_fault_of_many_namespaces_is_searched_for_once(fails: Any) -> None:
    fails(is_bad)
    world = World(a=service("a"), b=service("b"))
    proxies = [sidecar(f"n{number}") for number in range(20)]
    for proxy in proxies:
        world.clusters(proxy)
    world.write(b=service("b", 666))
    for proxy in proxies:
        assert world.clusters(proxy) == {"a:80", "b:80"}
    assert len(world.translation._used()) == 1


def test_a_proxy_that_no_document_explains_is_at_fault_itself_and_costs_one_attempt(fails: Any) -> None:
    asked = fails(lambda service, profile: profile.namespace == "odd")
    many = {f"s{number}": service(f"s{number}") for number in range(300)}
    world, odd, other = World(**many), sidecar("odd"), sidecar("default")
    with pytest.raises(ProxyFaultError, match="out of range"):
        world.translation.translate(odd)
    assert world.translation.withheld == ()
    world.clusters(other)
    asked.clear()
    world.write(a=service("a"))
    with pytest.raises(ProxyFaultError):
        world.translation.translate(odd)
    assert len(asked) == 1
    asked.clear()
    assert len(world.clusters(other)) == 301
    assert asked == ["a"], "the others follow the change alone"


def test_while_a_document_is_withheld_a_change_costs_what_it_touches(fails: Any) -> None:
    asked = fails(is_bad)
    many = {f"s{number}": service(f"s{number}") for number in range(100)}
    world, proxy = World(**many), sidecar("default")
    world.clusters(proxy)
    world.write(s5=service("s5", 666))
    world.clusters(proxy)
    asked.clear()
    world.write(s6=service("s6", 81))
    assert "s6:81" in world.clusters(proxy)
    assert sorted(asked) in (["s5", "s6", "s6"], ["s5", "s6"])


def test_a_proxy_whose_class_cannot_be_told_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is contained like any other, also before the first translation and when others are gone."""

    def raising(servers: Any) -> Any:
        if servers:
            raise ValueError("out of range")
        return ()

    monkeypatch.setattr(translation, "passthrough_hosts", raising)
    world = World(a=service("a"), g=tls_gateway("g"))
    proxy = gateway("a")
    assert world.translation.knows(proxy)
    assert list(world.translation.prepare(proxy)) == []
    assert world.clusters(proxy) == {"a:80"}
    assert [str(one.key) for one in world.translation.withheld] == ["Gateway/default/gw"]
    list(world.translation.forget_unused([proxy]))
    world.write(b=service("b"))
    assert world.clusters(proxy) == {"a:80", "b:80"}


def test_documents_are_tried_before_anyone_serves_them(fails: Any) -> None:
    fails(is_bad)
    found = untranslatable(World(a=service("a"), b=service("b", 666)).mesh)
    assert [str(one.key) for one in found] == ["Service/default/b"]


def test_a_proxy_that_no_document_explains_is_noted_and_the_others_are_tried(
    fails: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(is_bad)
    translate = Translation.translate

    def raising(self: Translation, proxy: Proxy) -> Any:
        if proxy.namespace == "odd":
            raise RuntimeError("quotes a secret")
        return translate(self, proxy)

    monkeypatch.setattr(Translation, "translate", raising)
    odd = service("a")
    odd["metadata"]["namespace"] = "odd"
    mesh = World(a=odd, b=service("b", 666)).mesh
    noted: list[Fault] = []
    found = untranslatable(mesh, noted.append)
    assert [str(one.key) for one in found] == ["Service/default/b"]
    [fault] = noted
    assert fault.part == "translation for sidecar of odd"
    assert fault.reason.startswith("RuntimeError in raising (test_contained.py:")
    with pytest.raises(ProxyFaultError):
        untranslatable(mesh)


def test_gateways_are_tried_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, documents are not translated for one: that would take as long as for three namespaces."""
    build, built = translation.gateway_resources, []

    def recorded(*arguments: Any) -> Any:
        built.append(arguments)
        return build(*arguments)

    monkeypatch.setattr(translation, "gateway_resources", recorded)
    assert untranslatable(World(a=service("a")).mesh) == ()
    assert built == []
    assert untranslatable(World(a=service("a"), g=tls_gateway("g")).mesh) == ()
    assert len(built) == 1


def test_endpoints_that_are_names_are_no_addresses_of_workloads() -> None:
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "outside", "namespace": "default"},
        "spec": {
            "hosts": ["outside.example"],
            "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
            "resolution": "DNS",
        },
    }
    assert untranslatable(World(a=entry).mesh) == ()


def test_a_secret_at_which_translation_fails_is_withheld_and_quoted_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = tls_secrets._of_document

    def raising(name: str, config: Any, *more: Any) -> Any:
        if config.labels.get("odd"):
            raise ValueError("a private key")
        return build(name, config, *more)

    monkeypatch.setattr(tls_secrets, "_of_document", raising)
    world = World(gw=tls_gateway("cert"), cert=secret("cert"))
    proxy = Proxy.from_node(
        {"id": "router~10.0.0.1~g.default~default.svc.cluster.local", "metadata": {"LABELS": {"istio": "gw"}}}
    )

    def served() -> Any:
        return world.translation.snapshot(proxy).collection(type_urls.SECRET)["kubernetes://cert"]

    first = served()
    odd = secret("cert")
    odd["metadata"]["labels"] = {"odd": "yes"}
    world.write(cert=odd, a=service("a"))
    assert served().version == first.version
    [withheld] = world.translation.withheld
    assert str(withheld.key) == "Secret/default/cert"
    assert "private key" not in str(withheld.diagnostic)
    assert "ValueError" in str(withheld.diagnostic)
    world.write(cert=secret("cert"))
    assert served().version != first.version
    assert world.translation.withheld == ()


def test_a_sidecar_whose_scope_cannot_be_made_stays_at_its_last_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def confined(*hosts: str) -> dict[str, Any]:
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": "confined", "namespace": "default"},
            "spec": {"egress": [{"hosts": list(hosts)}]},
        }

    build = scopes.sidecar_base

    def raising(namespace: str, config: Any, *rest: Any) -> Any:
        if config is not None and len(config.spec.egress[0].hosts) > 1:
            raise ValueError("out of range")
        return build(namespace, config, *rest)

    monkeypatch.setattr(scopes, "sidecar_base", raising)
    world = World(a=service("a"), b=service("b"), c=confined("./a.default.svc.cluster.local"))
    proxy, other = sidecar("default"), sidecar("elsewhere")
    assert world.clusters(proxy) == {"a:80"}
    world.write(
        c=confined("./a.default.svc.cluster.local", "./b.default.svc.cluster.local"), a=service("a", 81)
    )
    assert world.clusters(proxy) == {"a:81"}
    assert world.clusters(other) == {"a:81", "b:80"}
    [withheld] = world.translation.withheld
    assert str(withheld.key) == "Sidecar/default/confined"
    world.write(c=confined("./b.default.svc.cluster.local"))
    assert world.clusters(proxy) == {"b:80"}
    assert world.translation.withheld == ()
