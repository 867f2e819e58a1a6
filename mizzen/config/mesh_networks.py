"""MeshNetworks: which addresses of the mesh belong to which network, and the gateways that lead into each.

Source: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshNetworks. It is the key
`meshNetworks` of the ConfigMap `istio`, or the field of that name in the file of `--mesh-config`.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

from pydantic import Field

from mizzen.config.models.base import IstioModel, OneofModel
from mizzen.config.models.types import UInt32
from mizzen.config.validation.addresses import is_ip_address

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "networks[].endpoints[].fromRegistry": "documents do not say what registry they are from",
    "networks[].gateways[].registryServiceName": (
        "nothing tells the addresses that a Service has outside its cluster"
    ),
    "networks[].gateways[].locality": (
        "a gateway counts as being where the endpoints behind it are (so it does in Istio)"
    ),
}
"""Fields that take no effect here, with the reason, by path."""

_BITS: Final = {4: 32, 6: 128}


class NetworkEndpoints(OneofModel):
    """Endpoints of a network: those in a block of addresses, or those of a registry (no effect here)."""

    from_cidr: str | None = None
    from_registry: str | None = None

    oneofs: ClassVar = (frozenset({"from_cidr", "from_registry"}),)


class IstioNetworkGateway(OneofModel):
    """A gateway through which a network is reached: an address, or a Service (no effect here)."""

    registry_service_name: str | None = None
    address: str | None = None
    port: UInt32 = 0
    locality: str = ""

    oneofs: ClassVar = (frozenset({"registry_service_name", "address"}),)


class Network(IstioModel):
    """One network: all its endpoints reach each other directly."""

    endpoints: tuple[NetworkEndpoints, ...] = ()
    gateways: tuple[IstioNetworkGateway, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class NetworkGateway:
    """One address of a gateway that leads into `network`."""

    address: str
    port: int
    network: str

    @property
    def is_name(self) -> bool:
        """True if the address is a host name, which only clusters that resolve names can call."""
        return not is_ip_address(self.address)


class NetworkTable:
    """MeshNetworks as look-up tables: gateways by network, and networks by address. Immutable.

    If two blocks hold an address, the wider one wins, as in Istio; of two equal blocks, the first network by
    name.
    """

    def __init__(self, networks: Mapping[str, Network]) -> None:
        self._gateways: dict[str, tuple[NetworkGateway, ...]] = {}
        self._blocks: dict[tuple[int, int], dict[int, str]] = {}
        for name in sorted(networks):
            found = {
                NetworkGateway(gateway.address, gateway.port, name)
                for gateway in networks[name].gateways
                if gateway.address and gateway.port
            }
            if found:
                self._gateways[name] = tuple(sorted(found))
            for endpoints in networks[name].endpoints:
                if endpoints.from_cidr:
                    self._add_block(endpoints.from_cidr, name)
        self._lengths = sorted(self._blocks)
        self._dialled = {
            name: dialled
            for name, gateways in self._gateways.items()
            if (dialled := tuple(gateway for gateway in gateways if not gateway.is_name))
        }
        self._scale = _scale(self._dialled)
        self._scale_with_names = _scale(self._gateways)

    def _add_block(self, text: str, network: str) -> None:
        block = ipaddress.ip_network(text, strict=False)
        blocks = self._blocks.setdefault((block.version, block.prefixlen), {})
        blocks.setdefault(int(block.network_address) >> (_BITS[block.version] - block.prefixlen), network)

    def gateways(self, *, names: bool = False) -> Mapping[str, tuple[NetworkGateway, ...]]:
        """Return the sorted gateways of each network that has any; gateways that are
        host names only with `names`."""
        return self._gateways if names else self._dialled

    def scale(self, *, names: bool = False) -> int:
        """Return the least common multiple of the networks' numbers of gateways: an endpoint's weight
        multiplied by it can be divided among the gateways of any network without a remainder."""
        return self._scale_with_names if names else self._scale

    def network_of(self, address: str) -> str:
        """Return the network of an IP address; empty if no block holds it, or if it is a host name."""
        if not self._lengths:
            return ""
        try:
            parsed: _IPAddress = ipaddress.ip_address(address)
        except ValueError:
            return ""
        number, bits = int(parsed), _BITS[parsed.version]
        for version, length in self._lengths:
            if version == parsed.version:
                network = self._blocks[version, length].get(number >> (bits - length))
                if network is not None:
                    return network
        return ""


def _scale(gateways: Mapping[str, tuple[NetworkGateway, ...]]) -> int:
    return math.lcm(*(len(each) for each in gateways.values()))


class MeshNetworks(IstioModel):
    """The networks of the mesh, by their names."""

    networks: Mapping[str, Network] = Field(default_factory=dict)

    @cached_property
    def table(self) -> NetworkTable:
        """The networks as look-up tables. Needs valid addresses and blocks."""
        return NetworkTable(self.networks)
