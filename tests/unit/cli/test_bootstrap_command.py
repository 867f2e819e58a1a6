import pytest
import yaml

from tests.unit.cli.conftest import Command


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
    ("arguments", "said"),
    [
        ((), "sidecar|gateway"),
        (("sidecar",), "--name and --ip are needed"),
        (("sidecar", "--name", "a", "--ip", "here"), "10.0.0.7"),
        (("sidecar", "--name", "a", "--ip", "10.0.0.1", "--label", "app"), "KEY=VALUE"),
        (("sidecar", "--name", "a", "--ip", "10.0.0.1", "--xds-address", "x"), "host:port"),
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
