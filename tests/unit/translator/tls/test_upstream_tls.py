"""TLS towards endpoints, by rule and by itself."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from envoy.config.cluster.v3 import cluster_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import MutualTLSMode
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool
from mizzen.translator.base.memo import Memo
from mizzen.translator.tls.secret_references import secret_names
from mizzen.translator.tls.upstream import service_identities
from tests.unit.translator.clusters.cluster_scenes import Scene, contains, endpoint, service

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
UP_TO_TLS_1_3 = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "15s"}
ID_A, ID_B = "spiffe://cluster.local/ns/default/sa/a", "spiffe://cluster.local/ns/default/sa/b"


def ruled(tls: str, scene: Scene | None = None) -> Scene:
    return (scene or Scene()).ruled(f"trafficPolicy: {{tls: {tls}}}")


def context(scene: Scene) -> dict[str, Any]:
    socket = scene.cluster()["transport_socket"]
    assert socket["name"] == "envoy.transport_sockets.tls"
    return dict(socket["typed_config"])


def verification(scene: Scene) -> dict[str, Any]:
    return dict(context(scene)["common_tls_context"]["combined_validation_context"])


def sds(name: str) -> dict[str, Any]:
    return {"name": name, "sds_config": ADS}


def test_without_a_rule_the_mesh_speaks_plain_text() -> None:
    cluster = Scene(endpoints=[endpoint("10.0.0.1", tls_mode="istio")]).cluster()

    assert "transport_socket" not in cluster
    assert "transport_socket_matches" not in cluster


def test_simple_takes_the_name_from_the_request_and_checks_it() -> None:
    scene = ruled("{mode: SIMPLE}")

    assert context(scene)["common_tls_context"] == {
        "tls_params": UP_TO_TLS_1_3,
        "combined_validation_context": {
            "default_validation_context": {},
            "validation_context_sds_secret_config": sds("file-root:system"),
        },
    }
    names = scene.cluster()["typed_extension_protocol_options"][OPTIONS]["upstream_http_protocol_options"]
    assert names == {"auto_sni": True, "auto_san_validation": True}


def test_simple_with_a_name_says_that_name() -> None:
    scene = ruled("{mode: SIMPLE, sni: a.example, subjectAltNames: [b.example], caCertificates: /etc/ca.pem}")

    assert context(scene)["sni"] == "a.example"
    assert verification(scene) == {
        "default_validation_context": {"match_subject_alt_names": [{"exact": "b.example"}]},
        "validation_context_sds_secret_config": sds("file-root:/etc/ca.pem"),
    }
    assert "typed_extension_protocol_options" not in scene.cluster()


def test_names_in_the_rule_are_enough_of_a_check() -> None:
    scene = ruled("{mode: SIMPLE, subjectAltNames: [b.example]}")

    names = scene.cluster()["typed_extension_protocol_options"][OPTIONS]["upstream_http_protocol_options"]

    assert names == {"auto_sni": True}


def test_the_services_own_names_are_expected_too() -> None:
    scene = ruled("{mode: SIMPLE}", Scene(service(subject_alt_names=("z.example", "a.example"))))

    names = verification(scene)["default_validation_context"]["match_subject_alt_names"]

    assert names == [{"exact": "a.example"}, {"exact": "z.example"}]


def test_verification_can_be_skipped() -> None:
    scene = ruled("{mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [b.example]}")

    assert context(scene)["common_tls_context"] == {
        "tls_params": UP_TO_TLS_1_3,
        "validation_context": {},
    }
    names = scene.cluster()["typed_extension_protocol_options"][OPTIONS]["upstream_http_protocol_options"]
    assert names == {"auto_sni": True}


def test_mutual_shows_a_certificate() -> None:
    scene = ruled(
        "{mode: MUTUAL, sni: x, clientCertificate: /c/cert.pem, privateKey: /c/key.pem,"
        " caCertificates: /c/ca.pem,"
        " caCrl: /c/crl.pem}"
    )

    shared = context(scene)["common_tls_context"]
    assert shared["tls_certificate_sds_secret_configs"] == [sds("file-cert:/c/cert.pem~/c/key.pem")]
    assert verification(scene)["default_validation_context"] == {"crl": {"filename": "/c/crl.pem"}}


def test_mutual_without_its_files_configures_no_tls_as_in_istio() -> None:
    assert "transport_socket" not in ruled("{mode: MUTUAL, clientCertificate: /c/cert.pem}").cluster()


def test_a_credential_is_for_gateways_and_for_sidecars_that_a_rule_selects() -> None:
    tls = "{mode: MUTUAL, sni: x, credentialName: shop}"
    gateway = ruled(tls).seen_by(type="router")
    selected = Scene().ruled(
        f"{{workloadSelector: {{matchLabels: {{a: b}}}}, trafficPolicy: {{tls: {tls}}}}}"
    )

    for scene in (gateway, selected):
        (cluster,) = scene.resources()
        assert secret_names(cluster) == ("kubernetes://shop", "kubernetes://shop-cacert")
    assert "transport_socket" not in ruled(tls).cluster()


@pytest.mark.parametrize(("protocol", "alpn"), [("HTTP", None), ("HTTP2", ["h2"])])
def test_alpn_of_a_servers_own_tls(protocol: str, alpn: list[str] | None) -> None:
    scene = ruled("{mode: SIMPLE}", Scene(service(protocol=protocol)))

    assert context(scene)["common_tls_context"].get("alpn_protocols") == alpn


def test_the_meshs_ciphers_hold_for_clients_and_its_lowest_version_does_not() -> None:
    mesh = Scene().meshed(
        "tlsDefaults: {minProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA], ecdhCurves: [P-256]}"
    )

    assert context(ruled("{mode: SIMPLE}", mesh))["common_tls_context"]["tls_params"] == UP_TO_TLS_1_3 | {
        "cipher_suites": ["AES128-SHA"],
        "ecdh_curves": ["P-256"],
    }


MESH_TLS = """
  sni: outbound_.80_._.reviews.example
  common_tls_context:
    tls_params: {tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}
    alpn_protocols: [istio]
    tls_certificate_sds_secret_configs: [{name: default}]
    combined_validation_context:
      default_validation_context:
        match_subject_alt_names: [{exact: spiffe://cluster.local/ns/default/sa/a}]
      validation_context_sds_secret_config: {name: ROOTCA}
"""


def test_istio_mutual_proves_the_workload_to_the_services_identities() -> None:
    scene = ruled("{mode: ISTIO_MUTUAL}", Scene(endpoints=[endpoint("10.0.0.1", identity=ID_A)]))

    assert contains(context(scene), yaml.safe_load(MESH_TLS))
    assert "transport_socket_matches" not in scene.cluster()


def test_istio_mutual_over_http2_and_for_a_subset() -> None:
    scene = Scene(service(protocol="HTTP2")).ruled(
        "{trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, subsets: [{name: v1}]}"
    )

    made = scene.cluster("v1")["transport_socket"]["typed_config"]

    assert made["sni"] == "outbound_.80_.v1_.reviews.example"
    assert made["common_tls_context"]["alpn_protocols"] == ["istio", "h2"]


def test_a_proxy_may_bring_its_own_files() -> None:
    scene = ruled("{mode: ISTIO_MUTUAL}").seen_by(
        tls_client_cert_chain="/c", tls_client_key="/k", tls_client_root_cert="/r"
    )

    assert secret_names(scene.resources()[0]) == ("file-cert:/c~/k", "file-root:/r")


def automatic(**more: Any) -> Scene:
    pool = [
        endpoint("10.0.0.1", identity=ID_B, tls_mode="istio"),
        endpoint("10.0.0.2", identity=ID_A, tls_mode="istio"),
    ]
    return Scene(service(**more), pool).meshed("enableAutoMtls: true")


def test_automatic_mtls_lets_each_endpoint_choose() -> None:
    mutual, plain_text = automatic().cluster()["transport_socket_matches"]

    assert (mutual["name"], mutual["match"]) == ("tlsMode-istio", {"tlsMode": "istio"})
    assert (plain_text["name"], plain_text["match"]) == ("tlsMode-disabled", {})
    assert plain_text["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"
    verified = mutual["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
    names = verified["default_validation_context"]["match_subject_alt_names"]
    assert [each["exact"] for each in names] == [ID_A, ID_B]


def test_identities_are_good_under_the_trust_domains_aliases() -> None:
    scene = automatic().meshed("{enableAutoMtls: true, trustDomainAliases: [old.example]}")

    mutual, _ = scene.cluster()["transport_socket_matches"]

    verified = mutual["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
    names = [each["exact"] for each in verified["default_validation_context"]["match_subject_alt_names"]]
    assert names == [
        ID_A,
        ID_B,
        ID_A.replace("cluster.local", "old.example"),
        ID_B.replace("cluster.local", "old.example"),
    ]


def test_who_is_left_out_of_automatic_mtls() -> None:
    assert "transport_socket_matches" not in automatic(mesh_external=True).cluster()
    assert "transport_socket_matches" not in automatic().cluster(peers=ServicePeers(MutualTLSMode.DISABLE))
    assert "transport_socket_matches" not in ruled("{mode: DISABLE}", automatic()).cluster()


def test_an_original_destination_is_all_mtls_or_none() -> None:
    everyone = automatic(resolution="NONE")
    one_plain = Scene(everyone.service, [*everyone.endpoints, endpoint("10.0.0.3")], mesh=everyone.mesh)

    assert everyone.cluster()["transport_socket"]["name"] == "envoy.transport_sockets.tls"
    assert "transport_socket" not in one_plain.cluster()


def test_clusters_of_automatic_passthrough_pass_on_what_they_get() -> None:
    scene = automatic()
    mixed = Scene(scene.service, [*scene.endpoints, endpoint("10.0.0.3")], mesh=scene.mesh)

    (cluster,) = mixed.clusters(sni_dnat=True).values()
    (assignment,) = mixed.assignments(sni_dnat=True).values()

    assert cluster["name"] == assignment["cluster_name"] == "outbound_.80_._.reviews.example"
    assert "transport_socket_matches" not in cluster
    assert len(assignment["endpoints"][0]["lb_endpoints"]) == 2


def test_the_proxy_protocol_is_spoken_around_tls() -> None:
    scene = Scene().ruled("trafficPolicy: {proxyProtocol: {version: V1}, tls: {mode: SIMPLE}}")

    socket = scene.cluster()["transport_socket"]

    assert socket["name"] == "envoy.transport_sockets.upstream_proxy_protocol"
    assert socket["typed_config"]["transport_socket"]["name"] == "envoy.transport_sockets.tls"
    assert secret_names(scene.resources()[0]) == ("file-root:system",)


def test_clusters_depend_on_endpoints_only_where_they_name_them() -> None:
    def changes(scene: Scene, *later: Endpoint) -> bool:
        """Whether clusters are made anew when the endpoints are others."""
        memo = Memo()
        one = scene.made(memo=memo).clusters
        other = scene.made(EndpointPool(later), memo).clusters
        return one is not other

    same, other = endpoint("10.0.0.9", identity=ID_A), endpoint("10.0.0.9", identity=ID_B)
    own = [endpoint("10.0.0.1", identity=ID_A)]
    assert not changes(Scene(endpoints=own), other)
    assert not changes(ruled("{mode: SIMPLE, subjectAltNames: [a]}", Scene(endpoints=own)), other)
    mutual = ruled("{mode: ISTIO_MUTUAL}", Scene(endpoints=own))
    assert not changes(mutual, same)
    assert changes(mutual, other)
    assert not changes(Scene(endpoints=own).meshed("enableAutoMtls: true"), same)
    assert changes(Scene(endpoints=own).meshed("enableAutoMtls: true"), other)
    assert changes(Scene(service("DNS"), [endpoint("a.example")]), endpoint("b.example"))


def test_no_name_of_a_listed_type_is_forgotten() -> None:
    """A cluster that fetches a secret says so where the proxy's secrets are looked for."""
    cluster = cluster_pb2.Cluster.FromString(ruled("{mode: SIMPLE}").resources()[0].value)

    assert cluster.transport_socket.typed_config.type_url.endswith(".UpstreamTlsContext")


def test_aliases_are_for_identities_of_the_trust_domain_alone() -> None:
    names = (
        "spiffe://cluster.local/ns/a/sa/b",
        "spiffe://foreign.example/ns/a/sa/c",
        "other://cluster.local/a",
        "a.example",
    )
    own = service(subject_alt_names=names)
    settings = MeshConfig.model_validate({"trustDomainAliases": ["old.example"]})

    assert set(service_identities(own, None, settings)) == {*names, "spiffe://old.example/ns/a/sa/b"}
