"""MeshNetworks: from the settings of the mesh, and by address and by network."""

from __future__ import annotations

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config import mesh_config_of, parse_documents, parse_mesh_config, to_config
from mizzen.config.mesh_networks import MeshNetworks, NetworkGateway

TWO = """
networks:
  east:
    endpoints: [{fromCidr: 10.1.0.0/16}, {fromCidr: "2001:db8:1::/48"}, {fromCidr: 192.0.2.7}]
    gateways:
      - {address: 192.0.2.2, port: 15443}
      - {address: 192.0.2.1, port: 15443}
  west:
    endpoints: [{fromCidr: 10.2.0.0/16}]
    gateways:
      - {address: "2001:db8::5", port: 443}
      - {address: west.example.com, port: 15443}
      - {address: 192.0.2.9, port: 15443}
      - {address: 192.0.2.9, port: 15444}
"""


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line if line.strip() else line for line in text.splitlines(keepends=True))


def networks(text: str) -> MeshNetworks:
    """The networks in a file of `--mesh-config`; it may have warnings."""
    settings, found = parse_mesh_config("meshNetworks:" + indented(text, 2), "mesh.yaml")
    assert settings is not None, [str(each) for each in found]
    return settings.mesh_networks


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.255.255", "east"),
        ("10.2.0.0", "west"),
        ("10.3.0.0", ""),
        ("2001:db8:1:2::3", "east"),
        ("2001:db8:2::3", ""),
        ("192.0.2.7", "east"),
        ("192.0.2.8", ""),
        ("cart.example.com", ""),
        ("unix:///run/cart.sock", ""),
        ("", ""),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert networks(TWO).table.network_of(address) == network


def test_gateways_of_networks() -> None:
    table = networks(TWO).table
    east = (NetworkGateway("192.0.2.1", 15443, "east"), NetworkGateway("192.0.2.2", 15443, "east"))
    assert table.gateways()["east"] == east
    assert [(each.address, each.port) for each in table.gateways()["west"]] == [
        ("192.0.2.9", 15443),
        ("192.0.2.9", 15444),
        ("2001:db8::5", 443),
    ]
    assert len(table.gateways(names=True)["west"]) == 4
    assert (table.scale(), table.scale(names=True)) == (6, 4)


def test_without_networks_nothing_is_known() -> None:
    table = MeshNetworks().table
    assert (table.network_of("10.0.0.1"), dict(table.gateways()), table.scale()) == ("", {}, 1)


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.lists(
            st.builds(
                lambda number, length: str(ipaddress.ip_network((number, length), strict=False)),
                st.integers(0, 2**32 - 1),
                st.integers(0, 32),
            ),
            max_size=4,
        ),
    ),
    st.integers(0, 2**32 - 1),
)
def test_the_widest_block_counts(blocks: dict[str, list[str]], number: int) -> None:
    content = {name: {"endpoints": [{"fromCidr": each} for each in texts]} for name, texts in blocks.items()}
    address = ipaddress.ip_address(number)
    holding = [
        (ipaddress.ip_network(text).prefixlen, name)
        for name, texts in blocks.items()
        for text in texts
        if address in ipaddress.ip_network(text)
    ]
    expected = min(holding, default=(0, ""))[1]
    table = MeshNetworks.model_validate({"networks": content}).table
    assert table.network_of(str(address)) == expected


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("endpoints: [{fromCidr: 10.0.0.0/33}]", 'endpoints[0].fromCidr: "10.0.0.0/33" is not a CIDR block'),
        ("endpoints: [{fromCidr: ten}]", 'endpoints[0].fromCidr: "ten" is not an IP address'),
        ("endpoints: [{fromCidr: 'fe80::1%eth0'}]", "has a zone; leave out"),
        ("endpoints: [{fromRegistry: A_b}]", 'endpoints[0].fromRegistry: "A_b"'),
        ("endpoints: [{fromCidr: 10.0.0.0/8, fromRegistry: a}]", "fromCidr and fromRegistry exclude"),
        ("endpoints: [{}]", "endpoints[0]: names no endpoints; write fromCidr"),
        ("endpoints: [{fromCdir: 10.0.0.0/8}]", "fromCdir: unknown field; did you mean `fromCidr`?"),
        ("gateways: [{address: 192.0.2.1}]", "gateways[0].port: 0 is not a port number"),
        ("gateways: [{address: a b, port: 1}]", 'gateways[0].address: "a b" is not an IP address'),
        ("gateways: [{port: 15443}]", "gateways[0]: names no gateway; write address"),
        ("gateways: [{registryServiceName: a_b!, port: 1}]", "gateways[0].registryServiceName: "),
    ],
)
def test_mistakes_are_errors(network: str, words: str) -> None:
    settings, found = parse_mesh_config(f"meshNetworks:\n  networks:\n    a: {{{network}}}\n", "mesh.yaml")
    assert settings is None
    errors = [str(each) for each in found if each.severity == "error"]
    assert any(each.startswith("mesh.yaml:3: meshNetworks.networks.a") and words in each for each in errors)


@pytest.mark.parametrize(
    ("network", "path", "words"),
    [
        ("endpoints: [{fromRegistry: kubernetes}]", "endpoints[0].fromRegistry", "takes no effect"),
        (
            "gateways: [{registryServiceName: gw.istio-system.svc.cluster.local, port: 15443}]",
            "gateways[0].registryServiceName",
            "takes no effect",
        ),
        (
            "gateways: [{registryServiceName: gw.istio-system.svc.cluster.local, port: 15443}]",
            "gateways",
            "are called directly",
        ),
        (
            "gateways: [{address: 192.0.2.1, port: 1, locality: eu}]",
            "gateways[0].locality",
            "takes no effect",
        ),
        ("gateways: [{address: gw.example.com, port: 1}]", "gateways[0].address", "resolution DNS"),
        ("endpoints: [{fromCidr: 10.9.0.0/16}]", "endpoints[0].fromCidr", "lies in a block of network all"),
    ],
)
def test_what_is_not_as_it_seems_is_a_warning(network: str, path: str, words: str) -> None:
    everything = "all: {endpoints: [{fromCidr: 10.0.0.0/8}]}"
    text = f"meshNetworks:\n  networks:\n    a: {{{network}}}\n    {everything}\n"
    settings, found = parse_mesh_config(text, "mesh.yaml")
    assert settings is not None
    assert {each.severity for each in found} == {"warning"}
    assert any(each.path == f"meshNetworks.networks.a.{path}" and words in each.message for each in found)


def config_map(**data: str) -> bytes:
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio"}, "data": data}
    ).encode()


@pytest.mark.parametrize("mesh", [None, "rootNamespace: config\n"])
def test_the_config_map_of_istio_has_them_beside_the_mesh_config(mesh: str | None) -> None:
    data = {"meshNetworks": TWO} | ({"mesh": mesh} if mesh else {})
    [document] = parse_documents(config_map(**data), "cm.yaml").documents
    config, _ = to_config(document)
    assert config is not None
    settings, _ = mesh_config_of(config)
    assert settings is not None
    assert settings.root_namespace == ("config" if mesh else "istio-system")
    assert settings.mesh_networks == networks(TWO)


def test_lines_inside_the_config_map() -> None:
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: ''\n  meshNetworks: |\n"
        "    networks:\n      a:\n        gateways: [{address: 192.0.2.1, port: 99999}]\n    more: x\n"
    )
    [document] = parse_documents(text.encode(), "cm.yaml").documents
    config, found = to_config(document)
    assert config is None
    assert [str(each) for each in found] == [
        "cm.yaml:10: data.meshNetworks.more: is not a field of MeshNetworks and takes no effect; known is "
        "networks",
        "cm.yaml:9: data.meshNetworks.networks.a.gateways[0].port: 99999 is not a port number; write 1 to "
        "65535",
    ]


def test_dual_stack_is_turned_on_as_istio_says() -> None:
    for text, expected in (("'true'", True), ("'1'", True), ("'false'", False), ("''", False)):
        settings, found = parse_mesh_config(
            f"defaultConfig: {{proxyMetadata: {{ISTIO_DUAL_STACK: {text}}}}}\n", "mesh.yaml"
        )
        assert settings is not None
        assert not found
        assert settings.default_config.dual_stack is expected
    settings, [error] = parse_mesh_config(
        "defaultConfig: {proxyMetadata: {PILOT_ENABLE_QUIC_LISTENERS: true}}\n", "mesh.yaml"
    )
    assert settings is None
    assert "must be a string" in error.message
