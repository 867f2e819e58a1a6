"""Which certificate a connected proxy is given, and what it costs to give it a newer one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from typing import Any

import pytest
from cryptography import x509
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen import xds
from mizzen.identity import rotation
from mizzen.server.configuration import Configuration
from mizzen.server.control_plane import ControlPlane
from mizzen.server.metrics import Metrics
from mizzen.server.proxy_certificates import ProxyCertificates
from mizzen.server.workload_certificates import WorkloadCertificates
from tests.unit.server.running_plane import StandIn, service
from tests.unit.server.test_workload_certificates import Clock

SECRET = xds.type_urls.SECRET
SHOP = {"NAMESPACE": "shop"}


class PushTracker:
    def handed(self, *_: Any) -> None:
        pass

    def done(self) -> None:
        pass


class Certified:
    """A control plane that issues certificates; `given` is what each proxy has."""

    def __init__(self, directory: Any) -> None:
        self.given: dict[Hashable, xds.Snapshot] = {}
        self.handed_over: list[Hashable] = []
        self.clock = Clock()
        self.directory = directory
        metrics = Metrics("test")
        self.certificates = WorkloadCertificates(
            rotation.open_state_authority(directory, self.clock()), None, metrics, clock=self.clock
        )
        self.plane = ControlPlane(
            Configuration(certificates_served=True),
            self._translate,
            metrics,
            lambda *_: PushTracker(),
            gives_secrets=lambda peer: not peer.tls,
        )
        self.plane.certificates = ProxyCertificates(self.certificates)
        self.plane.serve_through(self)

    def _translate(self, mesh: Any) -> StandIn:
        self.translation = StandIn(mesh)
        return self.translation

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        self.given[group] = snapshot
        self.handed_over.append(group)

    async def connects(
        self, name: str, peer: xds.Peer | None = None, namespace: str = "shop", **metadata: str
    ) -> Hashable:
        node = base_pb2.Node(id=f"sidecar~10.0.0.7~{name}.{namespace}~{namespace}.svc.cluster.local")
        node.metadata.update({"NAMESPACE": namespace, **metadata})
        key = self.plane.group_of(node, peer if peer is not None else xds.Peer())
        self.given[key] = await self.plane.first_snapshot(key, node)
        return key

    async def renew(self) -> None:
        while await self.plane.renew_certificates():
            pass

    def identity(self, key: Hashable) -> str:
        secret = self.given[key].get(SECRET, "default")
        assert secret is not None
        chain = secret_pb2.Secret.FromString(secret.value).tls_certificate.certificate_chain.inline_bytes
        leaf = x509.load_pem_x509_certificate(chain)
        [name] = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return str(name.value)


@pytest.fixture
async def certified(tmp_path: Any) -> AsyncIterator[Certified]:
    made = Certified(tmp_path / "ca")
    yield made
    made.plane.close()


async def test_a_proxy_is_given_its_own_certificate_and_the_roots(certified: Certified) -> None:
    reviews = await certified.connects("reviews", SERVICE_ACCOUNT="reviews")
    nobody = await certified.connects("nobody")
    assert certified.identity(reviews) == "spiffe://cluster.local/ns/shop/sa/reviews"
    assert certified.identity(nobody) == "spiffe://cluster.local/ns/shop/sa/default"
    assert set(certified.given[reviews].collection(SECRET)) == {"default", "ROOTCA"}


async def test_processes_of_one_identity_share_everything(certified: Certified) -> None:
    one, other = await certified.connects("one"), await certified.connects("other")
    assert certified.given[one].collection(SECRET) is certified.given[other].collection(SECRET)


async def test_who_proves_nothing_is_given_the_roots_alone(certified: Certified) -> None:
    key = await certified.connects("reviews", xds.Peer(tls=True))
    assert set(certified.given[key].collection(SECRET)) == {"ROOTCA"}
    [warning] = certified.plane.mesh_warnings(key)
    assert "no workload certificate, as nothing proves who it is" in warning


async def test_a_certificate_for_one_account_gets_no_other(certified: Certified) -> None:
    """A node that names no service account is that of its certificate, not `default`."""
    identity = "spiffe://cluster.local/ns/shop/sa/reviews"
    key = await certified.connects("reviews", xds.Peer(tls=True, certified=True, uris=(identity,)))
    assert certified.identity(key) == identity


async def test_names_that_make_no_identity_are_said(certified: Certified) -> None:
    key = await certified.connects("odd", SERVICE_ACCOUNT="a/b")
    assert "default" not in certified.given[key].collection(SECRET)
    [warning] = certified.plane.mesh_warnings(key)
    assert "'a/b' make no identity" in warning


async def test_a_renewal_costs_the_secrets_of_its_proxies_alone(certified: Certified) -> None:
    await certified.plane.begin({"a.yaml": service("a")})
    keys = [await certified.connects(name, SERVICE_ACCOUNT=name) for name in ("one", "two", "three")]
    before, asked = dict(certified.given), certified.translation.asked
    await certified.renew()
    assert certified.handed_over == []
    certified.clock.passes(hours=20)
    await certified.renew()
    assert sorted(map(str, certified.handed_over)) == sorted(map(str, keys))
    assert certified.translation.asked == asked, "nothing is translated anew"
    for key in keys:
        for type_url in xds.type_urls.PUSH_ORDER:
            was, now = before[key].collection(type_url), certified.given[key].collection(type_url)
            assert (now is was) == (type_url != SECRET)
        difference = certified.given[key].collection(SECRET).since(before[key].collection(SECRET))
        assert set(difference.changed) == {"default"}


async def test_a_change_of_the_mesh_keeps_the_certificates(certified: Certified) -> None:
    key = await certified.connects("one")
    secrets = certified.given[key].collection(SECRET)
    await certified.plane.take({"b.yaml": service("b")})
    assert certified.handed_over == [key]
    assert certified.given[key].collection(SECRET) is secrets


async def test_what_an_older_push_took_back_is_given_again(certified: Certified) -> None:
    """A push that was translated before a renewal may be handed over after it."""
    key = await certified.connects("one")
    old = certified.given[key]
    certified.clock.passes(hours=20)
    await certified.renew()
    newer = certified.given[key].collection(SECRET)
    live = certified.plane._live[key]
    live.snapshot = old
    await certified.renew()
    assert certified.given[key].collection(SECRET) is newer


async def test_new_roots_go_to_everybody(certified: Certified) -> None:
    keys = [await certified.connects("one"), await certified.connects("two", xds.Peer(tls=True))]
    before = [certified.given[key].get(SECRET, "ROOTCA") for key in keys]
    certified.certificates.adopt(rotation.begin(certified.directory, certified.clock()))
    await certified.renew()
    after = [certified.given[key].get(SECRET, "ROOTCA") for key in keys]
    assert after[0] is after[1]
    assert after[0] is not before[0]


async def test_what_proxies_that_have_gone_needed_is_forgotten(certified: Certified) -> None:
    key = await certified.connects("one")
    certified.plane.forget(key)
    await certified.renew()
    certificates = certified.plane.certificates
    assert certificates is not None
    assert not any(certificates._overlaid.values())
    assert not any(certificates._certified.values())


async def test_replicas_are_given_one_snapshot_until_their_certificate_is_renewed(
    certified: Certified,
) -> None:
    one, other = await certified.connects("one"), await certified.connects("other")
    before = certified.given[one]
    assert before is certified.given[other]
    assert certified.given[await certified.connects("third", SERVICE_ACCOUNT="reviews")] is not before
    certified.clock.passes(hours=20)
    await certified.renew()
    assert certified.given[one] is certified.given[other]
    assert certified.given[one] is not before
