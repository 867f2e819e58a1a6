"""Which domains belong to which virtual host."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from mizzen.mesh.scope.domains import NamesKnownAs, alternative_names
from mizzen.mesh.scope.virtual_hosts import ANY_PORT, VirtualHosts
from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from tests.unit.mesh.scope.stand_ins import Rule, Seen, changed, from_nothing, served

IN_DEFAULT = NamesKnownAs("default.svc.cluster.local", False, "V4_ONLY")
ANYWHERE = NamesKnownAs("", False, "")
_ages = count()


def service(hostname: str, *ports: int, protocol: Protocol = Protocol.HTTP, **more: Any) -> Service:
    """A service that is younger than those before."""
    return Service(
        hostname=hostname,
        namespace="default",
        name=hostname,
        ports=tuple(ServicePort(f"p{number}", number, protocol) for number in ports or (80,)),
        resolution=Resolution.STATIC,
        **{"creation": (float(next(_ages)), "", "", ""), **more},
    )


def virtual_hosts(
    *services: Service,
    rules: tuple[tuple[str, ...], ...] = (),
    port: int = 80,
    contributing: bool = True,
    names: NamesKnownAs = IN_DEFAULT,
) -> VirtualHosts:
    return from_nothing(port, names, Seen(services, [(Rule(hosts), contributing) for hosts in rules]))


def owners(found: VirtualHosts) -> dict[str, tuple[str, ...] | None]:
    """The hosts of the VirtualService that each virtual host belongs to."""
    return {name: None if host.rule is None else host.rule.hosts for name, host in served(found).items()}


def domains(found: VirtualHosts) -> dict[str, tuple[str, ...]]:
    return {name: host.domains for name, host in served(found).items()}


@pytest.mark.parametrize(
    ("hostname", "dns_domain", "expected"),
    [
        # Kubernetes: same namespace, another one, and hosts that are no services of the cluster.
        ("a.ns1.svc.cluster.local", "ns1.svc.cluster.local", ["a", "a.ns1.svc", "a.ns1"]),
        ("a.ns2.svc.cluster.local", "ns1.svc.cluster.local", ["a.ns2", "a.ns2.svc"]),
        ("api.example.com", "ns1.svc.cluster.local", []),
        ("a.ns1.svc.cluster.local", "ns1.svc.other.local", []),
        # Any other domain: what both share may be left out.
        ("foo.local.campus.net", "local.campus.net", ["foo"]),
        ("foo.local.campus.net", "remote.campus.net", ["foo.local", "foo.local.campus"]),
        ("a.b.c.campus.net", "campus.net", ["a.b.c"]),
        ("foo.example.com", "local.net", []),
        ("foo.example.com", "", []),
        ("campus.net", "campus.net", []),
    ],
)
def test_alternative_names(hostname: str, dns_domain: str, expected: list[str]) -> None:
    assert alternative_names(hostname, dns_domain) == [f"{hostname}.", *expected]


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::1"])
def test_an_address_has_no_other_names(address: str) -> None:
    assert alternative_names(address, "default.svc.cluster.local") == []


def test_names_then_addresses() -> None:
    found = virtual_hosts(
        service("a.default.svc.cluster.local", addresses=("10.1.0.1", "0.0.0.0", "2001:db8::1"))
    )
    assert domains(found) == {
        "a.default.svc.cluster.local:80": (
            "a.default.svc.cluster.local",
            "a.default.svc.cluster.local.",
            "a",
            "a.default.svc",
            "a.default",
            "10.1.0.1",
            "[2001:db8::1]",
        )
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (IN_DEFAULT, ()),
        (NamesKnownAs("", True, "V4_ONLY"), ("240.240.0.1",)),
        (NamesKnownAs("", True, "V6_ONLY"), ("[2001:2::1]",)),
        (NamesKnownAs("", True, "ALL"), ("240.240.0.1", "[2001:2::1]")),
    ],
)
def test_allocated_addresses_are_for_proxies_that_capture_dns(
    names: NamesKnownAs, expected: tuple[str, ...]
) -> None:
    found = virtual_hosts(
        service("a.example.com", auto_allocated_addresses=("240.240.0.1", "2001:2::1")), names=names
    )
    assert domains(found)["a.example.com:80"] == ("a.example.com", "a.example.com.", *expected)


def test_pods_of_a_headless_service_have_names_below_it() -> None:
    found = virtual_hosts(service("a.default.svc.cluster.local", headless=True, from_kubernetes=True))
    assert "*.a.default.svc.cluster.local" in domains(found)["a.default.svc.cluster.local:80"]
    assert "*.a" in domains(found)["a.default.svc.cluster.local:80"]


def test_the_first_to_claim_a_domain_keeps_it() -> None:
    found = virtual_hosts(
        service("a.example.com", addresses=("10.1.0.1",)),
        service("b.example.com", addresses=("10.1.0.1", "10.1.0.2")),
    )
    assert domains(found)["b.example.com:80"] == ("b.example.com", "b.example.com.", "10.1.0.2")


def test_a_short_name_gives_way_to_a_real_one() -> None:
    short = service("a.default")
    full = service("a.default.svc.cluster.local")
    found = domains(virtual_hosts(full, short))
    assert found["a.default:80"] == ("a.default", "a.default.")
    assert "a.default" not in found["a.default.svc.cluster.local:80"]


def test_only_http_and_detected_ports_have_virtual_hosts() -> None:
    found = virtual_hosts(
        service("http.example.com", protocol=Protocol.GRPC),
        service("auto.example.com", protocol=Protocol.UNSUPPORTED),
        service("tcp.example.com", protocol=Protocol.TCP),
        service("tls.example.com", protocol=Protocol.TLS),
    )
    assert list(domains(found)) == ["auto.example.com:80", "http.example.com:80"]


def test_a_virtual_service_owns_the_services_that_it_names() -> None:
    found = virtual_hosts(
        service("a.example.com"),
        service("b.example.com"),
        rules=(("b.example.com",), ("b.example.com", "c.example.com")),
    )
    assert owners(found) == {
        "a.example.com:80": None,
        "b.example.com:80": ("b.example.com",),
        "c.example.com:80": ("b.example.com", "c.example.com"),
    }


def test_a_virtual_service_without_routes_here_owns_nothing() -> None:
    found = virtual_hosts(
        service("a.example.com"), rules=(("a.example.com", "x.example.com"),), contributing=False
    )
    assert owners(found) == {"a.example.com:80": None}


@pytest.mark.parametrize(("port", "expected"), [(80, {"x.example.com:80": ("x.example.com",)}), (81, {})])
def test_hosts_that_are_no_services_exist_on_port_80_alone(
    port: int, expected: dict[str, tuple[str, ...]]
) -> None:
    assert domains(virtual_hosts(rules=(("x.example.com",),), port=port)) == expected


def test_hosts_that_are_no_services_go_with_those_that_are() -> None:
    found = virtual_hosts(
        service("a.example.com", 81), rules=(("a.example.com", "x.example.com", "*.x.com"),), port=81
    )
    assert domains(found) == {
        "*.x.com:81": ("*.x.com",),
        "a.example.com:81": ("a.example.com", "a.example.com."),
        "x.example.com:81": ("x.example.com",),
    }


def test_a_service_belongs_to_the_most_specific_wildcard() -> None:
    found = virtual_hosts(
        service("a.b.example.com"),
        service("a.example.com"),
        service("exact.b.example.com"),
        service("other.com"),
        rules=(("*.example.com",), ("*.b.example.com",), ("exact.b.example.com",)),
    )
    assert owners(found) == {
        "a.b.example.com:80": ("*.b.example.com",),
        "a.example.com:80": ("*.example.com",),
        "exact.b.example.com:80": ("exact.b.example.com",),
        "other.com:80": None,
    }


def test_a_wildcard_that_covers_no_service_is_a_host_of_port_80() -> None:
    assert domains(virtual_hosts(service("a.org"), rules=(("*.example.com",),)))["*.example.com:80"] == (
        "*.example.com",
    )


def test_of_two_virtual_services_with_one_wildcard_the_first_counts() -> None:
    rules = (("*.example.com", "first.org"), ("*.example.com", "second.org"))
    found = virtual_hosts(service("a.example.com"), rules=rules)
    assert owners(found)["a.example.com:80"] == rules[0]


def test_an_http_proxy_tells_ports_apart_by_the_host_header() -> None:
    found = virtual_hosts(service("a.example.com", 8080, 80), rules=(), port=ANY_PORT, names=ANYWHERE)
    assert domains(found) == {
        "a.example.com:80": ("a.example.com", "a.example.com:80", "a.example.com.", "a.example.com.:80"),
        "a.example.com:8080": ("a.example.com:8080", "a.example.com.:8080"),
    }


def test_an_http_proxy_knows_an_ipv6_address_without_a_port_on_port_80_alone() -> None:
    alone = service("a.example.com", 8080, addresses=("fd00::1",))
    found = virtual_hosts(alone, port=ANY_PORT, names=ANYWHERE)
    assert domains(found)["a.example.com:8080"] == (
        "a.example.com:8080",
        "a.example.com.:8080",
        "[fd00::1]:8080",
    )
    unregistered = virtual_hosts(service("a.org", 81), rules=(("a.org", "fd00::2"),), port=ANY_PORT)
    assert domains(unregistered)["[fd00::2]:81"] == ("[fd00::2]:81",)


def test_an_http_proxy_knows_hosts_that_are_no_services_with_their_ports() -> None:
    found = virtual_hosts(
        service("a.org", 80, 81),
        rules=(("a.org", "x.org"),),
        port=ANY_PORT,
        names=ANYWHERE,
    )
    assert domains(found)["x.org:80"] == ("x.org", "x.org:80")
    assert domains(found)["x.org:81"] == ("x.org:81",)


def test_an_http_proxy_gives_port_80_the_names_whatever_is_older_and_rules_go_first() -> None:
    older, web = service("a.example.com", 8080), service("A.example.com", 80)
    found = virtual_hosts(older, web, port=ANY_PORT, names=ANYWHERE)
    assert domains(found) == {
        "A.example.com:80": ("A.example.com", "A.example.com:80", "A.example.com.", "A.example.com.:80"),
        "a.example.com:8080": ("a.example.com:8080", "a.example.com.:8080"),
    }
    ruled = virtual_hosts(
        service("b.org", 80),
        service("x.org", 81),
        rules=(("x.org", "B.org"),),
        port=ANY_PORT,
        names=ANYWHERE,
    )
    # Rules go first on each port, so a host of theirs may keep a service from a name with its port.
    assert owners(ruled)["x.org:81"] == owners(ruled)["B.org:81"] == ("x.org", "B.org")
    assert owners(ruled)["b.org:80"] is None


def test_a_service_does_not_give_way_to_itself() -> None:
    found = virtual_hosts(service("a.default", aliases=("a.default.svc.cluster.local",)))
    assert "a.default" in domains(found)["a.default:80"]


MANY = [service(f"s{number}.example.com") for number in range(100)]
RULES = [(Rule((f"v{number}.example.com",)), True) for number in range(100)]
OWNED = (Rule(("*.org",)), True)
AMONG_THEM = (Rule(("v.example.com", "s7.example.com")), True)
OLDER = service("new.example.com", creation=(-1.0, "", "", ""), addresses=("s3.example.com",))
SEEN = Seen([*MANY, service("a.org"), service("b.org")], [*RULES, OWNED])


def change_of(seen: Seen) -> tuple[list[str], list[Rule]]:
    """The services and the rules that are not in both."""
    moved = set(seen.services) ^ set(SEEN.services)
    rules = set(seen.rules) ^ set(SEEN.rules) | seen.contributing ^ SEEN.contributing
    return [each.hostname for each in moved], list(rules)


@pytest.mark.parametrize("port", [80, ANY_PORT])
@pytest.mark.parametrize(
    ("services", "rules", "names"),
    [
        ([*SEEN.services, service("new.example.com")], [*RULES, OWNED], ["new.example.com:80"]),
        (SEEN.services[1:], [*RULES, OWNED], ["s0.example.com:80"]),
        (SEEN.services, [AMONG_THEM, *RULES, OWNED], ["v.example.com:80", "s7.example.com:80"]),
        (SEEN.services, [*RULES[:50], *RULES[51:], OWNED], ["v50.example.com:80"]),
        (SEEN.services, [*RULES[:-1], (RULES[-1][0], False), OWNED], ["v99.example.com:80"]),
        (SEEN.services, [*RULES, (Rule(("*.b.org",)), True), OWNED], ["*.b.org:80"]),
        (SEEN.services, [*RULES, (Rule(("b.org",)), True), OWNED], ["b.org:80"]),
        (SEEN.services, RULES, ["a.org:80", "b.org:80"]),
        # The older of two has an address that was the other's name, so that is another one than before.
        (
            [OLDER, *SEEN.services],
            [*RULES, OWNED],
            ["new.example.com:80", "s3.example.com:80"],
        ),
    ],
)
def test_a_change_makes_what_it_contests_anew_and_nothing_else(
    port: int, services: list[Service], rules: list[tuple[Rule, bool]], names: list[str]
) -> None:
    seen = Seen(services, rules)
    before = from_nothing(port, IN_DEFAULT, SEEN)
    after = changed(before, port, IN_DEFAULT, seen, *change_of(seen))
    differ = set(served(before).values()) ^ set(served(after).values())
    # For an HTTP proxy, a host that is no service is only where its VirtualService names one.
    there = [name for name in names if port == 80 or not name.startswith(("v50", "v99", "*"))]
    assert {host.name for host in differ} == set(there)
    assert domains(after) == domains(from_nothing(port, IN_DEFAULT, seen))


def test_what_changes_nothing_is_answered_with_the_very_same() -> None:
    before = from_nothing(80, IN_DEFAULT, SEEN)
    assert changed(before, 80, IN_DEFAULT, SEEN, ["s1.example.com", "none.com"], SEEN.rules[:3]) is before


def test_an_earlier_version_stays_as_it_is() -> None:
    before = from_nothing(80, IN_DEFAULT, SEEN)
    said = domains(before)
    for services, rules in ((SEEN.services[1:], [*RULES, OWNED]), (SEEN.services[:50], RULES)):
        seen = Seen(services, rules)
        changed(before, 80, IN_DEFAULT, seen, *change_of(seen))
        assert domains(before) == said


def test_a_wildcard_below_that_of_a_service_is_no_host_of_its_own() -> None:
    wild = service("*.example.com")
    rule = (Rule(("*.b.example.com",)), True)
    alone, both = Seen([], [rule]), Seen([wild], [rule])
    before = from_nothing(80, IN_DEFAULT, alone)
    after = changed(before, 80, IN_DEFAULT, both, [wild.hostname], [])
    assert list(domains(before)) == ["*.b.example.com:80"]
    assert list(domains(after)) == list(domains(from_nothing(80, IN_DEFAULT, both))) == ["*.example.com:80"]


@pytest.mark.parametrize("hosts", [("*.example",), ("last.example",)], ids=["wildcard", "named"])
@pytest.mark.parametrize("port", [8080, ANY_PORT])
def test_hosts_that_are_no_services_share_one_look_at_the_services(hosts: tuple[str, ...], port: int) -> None:
    def looks(unregistered_hosts: int) -> int:
        class Counting(Seen):
            looks = 0

            def service_called(self, hostname: str, port: int) -> Service | None:
                self.looks += 1
                return super().service_called(hostname, port)

            def virtual_service_of(self, hostname: str) -> Rule | None:
                self.looks += 1
                return super().virtual_service_of(hostname)

        rule = Rule((*(f"h{number}.stranger" for number in range(unregistered_hosts)), *hosts))
        seen = Counting([service(f"s{number}.example", 8080) for number in range(20)], [(rule, True)])
        seen.services.append(service("last.example", 8080))
        assert len(served(from_nothing(port, ANYWHERE, seen))) >= unregistered_hosts
        return seen.looks

    assert looks(40) - looks(20) <= 20 * 12
