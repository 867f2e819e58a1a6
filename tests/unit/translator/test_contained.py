"""Containing what cannot be translated: whom it concerns, what it costs the others, and when it ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.analysis import Fault
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.scope import scopes
from mizzen.mesh.snapshot import Mesh
from mizzen.translator import translation
from mizzen.translator.clusters.service_resources import ServiceTranslator
from mizzen.translator.contained import ContainedTranslation, ProxyFaultError
from mizzen.translator.own import resources as workload_resources
from mizzen.translator.shared import outbound, proxy_classes
from mizzen.translator.tls import secrets as tls_secrets
from mizzen.translator.translation import Translation
from mizzen.translator.untranslatable import untranslatable
from mizzen.xds import type_urls
from mizzen.xds.snapshot import Snapshot
from tests.self_signed import certificate_and_key

HOST = "a.default.svc.cluster.local"


def service(name: str, port: int = 80) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": port}]},
    }


def sidecar(namespace: str, name: str = "a") -> Proxy:
    return Proxy.from_node(
        {
            "id": f"sidecar~10.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "TLS_CLIENT_KEY": namespace},
        }
    )


def gateway(name: str) -> Proxy:
    return Proxy.from_node(
        {
            "id": f"router~10.0.0.1~{name}.default~default.svc.cluster.local",
            "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "gw"}},
        }
    )


def virtual_service(prefix: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v", "namespace": "default"},
        "spec": {
            "hosts": ["a.example"],
            "gateways": ["gw"],
            "http": [{"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": {"host": "a"}}]}],
        },
    }


def versions(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    return {(each.type_url, each.name): each.version for each in snapshot}


class World:
    def __init__(self, **documents: dict[str, Any]) -> None:
        self.comments = 0
        self.store = ConfigStore()
        self.store.apply({f"{name}.yaml": self._parsed(name, one) for name, one in documents.items()})
        self.mesh = Mesh.build(self.store.configs())
        self.translation = ContainedTranslation(self.mesh)

    def _parsed(self, name: str, content: dict[str, Any]) -> Any:
        text = "# a comment\n" * self.comments + json.dumps(content)
        return parse_documents(text.encode(), f"{name}.yaml")

    def write(self, **documents: dict[str, Any] | None) -> None:
        change = self.store.apply(
            {
                f"{name}.yaml": self._parsed(name, one) if one is not None else None
                for name, one in documents.items()
            }
        )
        self.mesh, delta = self.mesh.updated(change)
        self.translation.update(self.mesh, delta)

    def clusters(self, proxy: Proxy) -> set[str]:
        found = self.translation.snapshot(proxy).collection(type_urls.CLUSTER).resources
        return {name.split("|")[3].split(".")[0] + ":" + name.split("|")[1] for name in found if "|" in name}


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., bool]], list[str]]:
    """Lets the builder of clusters raise for some services and profiles; returns what it was asked for."""

    def patch(is_bad: Callable[..., bool]) -> list[str]:
        asked: list[str] = []
        build = ServiceTranslator.resources

        def raising(self: ServiceTranslator, service: Any, *rest: Any, **named: Any) -> Any:
            asked.append(service.hostname.split(".")[0])
            if is_bad(service, self.profile):
                raise ValueError("out of range")
            return build(self, service, *rest, **named)

        monkeypatch.setattr(ServiceTranslator, "resources", raising)
        return asked

    return patch


def is_bad(service: Any, _: Any) -> bool:
    return bool(service.ports[0].number == 666)


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


def test_a_fault_of_following_a_change_blames_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    world.clusters(proxy)

    def fails(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(outbound.OutboundResources, "_follow", fails)
    world.write(b=service("b"))
    assert world.clusters(proxy) == {"a:80", "b:80"}
    assert world.translation.withheld == ()
    [fault] = world.translation.overcome()
    assert fault.endswith("RuntimeError"), "it is said all the same"
    assert "test_contained.py" in fault
    assert world.translation.overcome() == ()


def test_a_fault_in_finding_whom_a_change_concerns_is_told_and_everyone_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raising(*_: Any) -> None:
        raise RuntimeError("a fault")

    world, proxies = World(a=service("a")), [sidecar("default"), gateway("a")]
    for proxy in proxies:
        world.clusters(proxy)
    with monkeypatch.context() as broken:
        broken.setattr(proxy_classes.NamedDifference, "between", raising)
        world.write(b=service("b"))
    [fault] = world.translation.overcome()
    assert "in raising" in fault
    assert fault.endswith("RuntimeError"), "the message may quote a secret"
    assert set(world.translation.concerned()) == set(proxies)
    for proxy in proxies:
        assert world.clusters(proxy) == {"a:80", "b:80"}
    world.write(c=service("c"))
    assert world.translation.overcome() == ()


def fails_first(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let the first call of a method of OutboundResources fail."""
    real = getattr(outbound.OutboundResources, method)
    due = [RuntimeError("a fault")]

    def failing(self: Any, *arguments: Any) -> Any:
        if due:
            raise due.pop()
        return real(self, *arguments)

    monkeypatch.setattr(outbound.OutboundResources, method, failing)


def test_a_fault_of_following_that_a_second_attempt_does_not_have_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    world.clusters(proxy)
    fails_first(monkeypatch, "update")
    world.write(b=service("b"))
    assert list(world.translation.concerned()) == [proxy]
    assert world.clusters(proxy) == {"a:80", "b:80"}
    [fault] = world.translation.overcome()
    assert "in failing" in fault
    assert fault.endswith("RuntimeError")
    assert world.translation.withheld == ()
    assert world.translation.overcome() == ()


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_a_fault_of_preparing_that_a_second_attempt_does_not_have_is_told_once(
    monkeypatch: pytest.MonkeyPatch, *, leaves: bool
) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    fails_first(monkeypatch, "build")
    assert list(world.translation.prepare(proxy)) == []
    if leaves:
        assert list(world.translation.forget_unused([])) == []
    else:
        assert world.clusters(proxy) == {"a:80"}
    [fault] = world.translation.overcome()
    assert "in failing" in fault
    assert world.translation.overcome() == ()


def test_a_fault_that_stays_is_told_once_though_it_was_prepared_for(fails: Any) -> None:
    fails(is_bad)
    world, proxy = World(a=service("a"), bad=service("bad", 666)), sidecar("default")
    assert list(world.translation.prepare(proxy)) == []
    assert world.clusters(proxy) == {"a:80"}
    assert [one.key.name for one in world.translation.withheld] == ["bad"]
    assert world.translation.overcome() == ()


@pytest.fixture
def fail_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the resources of the next workload fail, whatever its documents are."""
    build = workload_resources.rules_without_keys
    due: list[Exception] = []

    def raising(*arguments: Any) -> Any:
        if due:
            raise due.pop()
        return build(*arguments)

    monkeypatch.setattr(workload_resources, "rules_without_keys", raising)
    return lambda: due.append(RuntimeError("a fault"))


def test_a_fault_that_passes_is_told_once(fail_once: Callable[[], None]) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    fail_once()
    assert world.clusters(proxy) == {"a:80"}
    assert len(world.translation.overcome()) == 1
    world.write(b=service("b"))
    assert list(world.translation.concerned()) == [proxy]
    assert world.clusters(proxy) == {"a:80", "b:80"}
    assert world.translation.overcome() == ()


def test_a_fault_that_passes_does_not_stay_with_what_replicas_share(fail_once: Callable[[], None]) -> None:
    """Another replica still holds the last good value, because it has not been asked for yet."""
    world = World(a=service("a"), g=tls_gateway("g"), v=virtual_service("/a"))
    translation, proxy, replica = Translation(world.mesh), gateway("a"), gateway("b")
    for each in (proxy, replica):
        translation.translate(each)
    world.write(v=virtual_service("/b"))
    translation.update(world.mesh)
    fail_once()
    with pytest.raises(RuntimeError, match="a fault"):
        translation.translate(proxy)
    world.write(s=secret("unrelated"))
    translation.update(world.mesh)
    assert set(translation.concerned()) == {proxy, replica}
    anew = versions(Translation(world.mesh).snapshot(proxy))
    for each in (proxy, replica):
        assert versions(translation.snapshot(each)) == anew


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


def tls_gateway(name: str) -> dict[str, Any]:
    tls = {"mode": "SIMPLE", "credentialName": name}
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "default"},
        "spec": {"selector": {"istio": "gw"}, "servers": [{"port": port, "hosts": ["*"], "tls": tls}]},
    }


def secret(name: str) -> dict[str, Any]:
    pair = zip(("tls.crt", "tls.key"), certificate_and_key(), strict=True)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {field: base64.b64encode(text.encode()).decode() for field, text in pair},
    }


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
