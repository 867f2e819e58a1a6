from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import Command

SIDECAR = ("sidecar", "--name", "a", "--ip", "10.0.0.1")


def test_a_sidecar(mizzen: Command) -> None:
    ended = mizzen(
        *("bootstrap", "sidecar", "--name", "reviews-v1", "--namespace", "shop", "--ip", "10.0.0.7"),
        *("--label", "app=reviews", "--label", "version=v1", "--interception-mode", "NONE"),
        *("--xds-address", "mesh.example:15010", "--admin-address", "127.0.0.1:15001", "--sotw"),
        *("--locality", "eu/a", "--service-account", "reviewer"),
    )
    assert ended.code == 0, ended.err
    content = yaml.safe_load(ended.out)
    assert content["node"]["id"] == "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"
    assert content["node"]["cluster"] == "reviews.shop"
    assert content["node"]["metadata"] == {
        "NAMESPACE": "shop",
        "LABELS": {"app": "reviews", "version": "v1"},
        "INTERCEPTION_MODE": "NONE",
        "SERVICE_ACCOUNT": "reviewer",
    }
    assert content["node"]["locality"] == {"region": "eu", "zone": "a"}
    assert content["dynamic_resources"]["ads_config"]["api_type"] == "GRPC"
    assert content["admin"]["address"]["socket_address"]["port_value"] == 15001


def test_a_gateway(mizzen: Command) -> None:
    ended = mizzen("bootstrap", "gateway", "--name", "ingress", "--ip", "10.0.0.1", "--ip", "fd00::1")
    node = yaml.safe_load(ended.out)["node"]
    assert node["id"] == "router~10.0.0.1~ingress.default~default.svc.cluster.local"
    assert node["metadata"]["INSTANCE_IPS"] == "10.0.0.1,fd00::1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "reviews_v1.a", "--domain", "example.com", "--label", "app.kubernetes.io/name=x"),
        ("--label", "version=", "--xds-address", "[::1]:15010", "--network", "net/1"),
        ("--xds-address", "control_plane:15010", "--locality", "eu-west-1/eu-west-1a"),
        ("--xds-address", "unix:///run/mizzen.sock", "--ip", "127.0.0.5"),
    ],
)
def test_what_is_unusual_and_possible(mizzen: Command, arguments: tuple[str, ...]) -> None:
    ended = mizzen("bootstrap", *SIDECAR, *arguments)
    assert (ended.code, ended.err) == (0, "")


def test_mistakes_in_a_node_file_are_warnings(mizzen: Command, tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("id: sidecar~10.0.0.7~a.b~b.svc.cluster.local\nmetadata: {LABELS: x}\n")
    ended = mizzen("bootstrap", "--node", file)
    assert ended.code == 0
    assert ended.err.startswith(
        f'warning: {file}: metadata LABELS is the text "x" and counts as absent; write'
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "sidecar|gateway"),
        (("sidecar",), "--name and --ip are needed"),
        (("sidecar", "--name", "a", "--ip", "here"), "10.0.0.7"),
        (("sidecar", "--name", "a", "--ip", "10.0.0.1", "--label", "app"), "KEY=VALUE"),
        ((*SIDECAR, "--xds-address", "x"), "HOST:PORT"),
        ((*SIDECAR, "--xds-address", ":15010"), "can be listened on but not called"),
        ((*SIDECAR, "--xds-address", "mizzen:0"), "can be listened on but not called"),
        ((*SIDECAR, "--xds-address", "a b:15010"), "a b"),
        ((*SIDECAR, "--xds-address", "unix://run"), "write unix:///run/mizzen.sock"),
        ((*SIDECAR, "--admin-address", "localhost:15000"), "must begin with an IP address"),
        (
            ("sidecar", "--name", "a b", "--ip", "10.0.0.1"),
            '--name: "a b" is no workload\'s name; write letters',
        ),
        (("sidecar", "--name", "a~b", "--ip", "10.0.0.1"), '--name: "a~b"'),
        (("sidecar", "--name", "-a", "--ip", "10.0.0.1"), '--name: "-a"'),
        (("sidecar", "--name", "a" * 254, "--ip", "10.0.0.1"), "--name: "),
        ((*SIDECAR, "--namespace", "a.b"), '--namespace: "a.b" is not a valid name of a namespace'),
        ((*SIDECAR, "--namespace", ""), "--namespace: "),
        ((*SIDECAR, "--domain", "a b"), "--domain: "),
        ((*SIDECAR, "--ip", "10.0.0.300"), '--ip: "10.0.0.300" is not an IP address'),
        (("sidecar", "--name", "a", "--ip", "0.0.0.0"), '--ip: "0.0.0.0" is the address of no workload'),
        (("sidecar", "--name", "a", "--ip", "fe80::1%eth0"), "--ip: "),
        ((*SIDECAR, "--label", "a b=c"), '--label: "a b" is not a label\'s key'),
        ((*SIDECAR, "--label", "a=b c"), '--label: "b c" is not a label\'s value'),
        ((*SIDECAR, "--label", "a=b", "--label", "a=c"), '--label: "a" is given twice'),
        ((*SIDECAR, "--service-account", "a b"), "--service-account: "),
        ((*SIDECAR, "--network", "a,b"), '--network: "a,b" is no name'),
        ((*SIDECAR, "--cluster-id", "a b"), '--cluster-id: "a b" is no name'),
        ((*SIDECAR, "--locality", "a//b"), "REGION/ZONE/SUBZONE"),
        (("sidecar", "--name", "a", "--ip", "10.0.0.1", "--locality", "a/b/c/d"), "REGION"),
        (("sidecar", "--name", "a", "--ip", "10.0.0.1", "--xds-cert", "c"), "--xds-key"),
        (("sidecar", "--node", "n.json"), "not both"),
    ],
)
def test_mistakes_are_one_clear_line(mizzen: Command, arguments: tuple[str, ...], said: str) -> None:
    ended = mizzen("bootstrap", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_tls_to_the_control_plane_has_the_roots_and_the_own_certificate(mizzen: Command) -> None:
    plain = mizzen("bootstrap", *SIDECAR)
    assert "/pki/" not in plain.out
    trusting = mizzen("bootstrap", *SIDECAR, "--xds-ca", "/pki/ca.crt")
    assert "/pki/ca.crt" in trusting.out
    assert "UpstreamTlsContext" in trusting.out
    shown = mizzen(
        *("bootstrap", *SIDECAR, "--xds-ca", "/pki/ca.crt"),
        *("--xds-cert", "/pki/own.crt", "--xds-key", "/pki/own.key"),
    )
    for path in ("/pki/ca.crt", "/pki/own.crt", "/pki/own.key"):
        assert path in shown.out


def test_how_much_is_counted_can_be_chosen(mizzen: Command) -> None:
    lean, full = mizzen("bootstrap", *SIDECAR), mizzen("bootstrap", *SIDECAR, "--stats", "full")
    assert "stats_matcher" in lean.out
    assert "stats_matcher" not in full.out


def test_a_gateway_intercepts_nothing_and_a_place_may_have_three_parts(mizzen: Command) -> None:
    ended = mizzen("bootstrap", "gateway", "--name", "in", "--ip", "10.0.0.1", "--locality", "eu/a/r7")
    node = yaml.safe_load(ended.out)["node"]
    assert "INTERCEPTION_MODE" not in node["metadata"]
    assert node["cluster"] == "in.default", "without a label app it is called by its name"
    assert node["locality"] == {"region": "eu", "zone": "a", "sub_zone": "r7"}
    assert mizzen("bootstrap", *SIDECAR).out.count("INTERCEPTION_MODE: REDIRECT") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sidecar", "--ip", "10.0.0.1"), "--name and --ip are needed"),
        (("sidecar", "--name", "a"), "--name and --ip are needed"),
        (("sidecar", "--name", "a", "--ip", "224.0.0.1"), '--ip: "224.0.0.1" is the address of no workload'),
        (("sidecar", "--name", "a", "--ip", "fe80::1%eth0"), "is the address of no workload"),
        ((*SIDECAR, "--locality", "eu/a,b"), '--locality: "a,b" is no name'),
        ((*SIDECAR, "--xds-address", "a..b:1"), "--xds-address: "),
    ],
)
def test_what_no_proxy_can_be_is_named_with_its_option(
    mizzen: Command, arguments: tuple[str, ...], said: str
) -> None:
    ended = mizzen("bootstrap", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
