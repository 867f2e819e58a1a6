"""`mizzen bootstrap`: prints the file that an Envoy starts with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from mizzen.cli.error_lines import print_error_line
from mizzen.cli.failure import Failure

DEFAULT_ADMIN_ADDRESS = "127.0.0.1:15000"


class Role(StrEnum):
    """What the Envoy is: a sidecar beside a workload, or a gateway at the edge."""

    SIDECAR = "sidecar"
    GATEWAY = "gateway"


class Stats(StrEnum):
    """Which statistics an Envoy collects."""

    LEAN = "lean"
    FULL = "full"


class InterceptionMode(StrEnum):
    """How a sidecar captures the connections of its workload."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


_Role = Annotated[Role | None, typer.Argument(help="What the Envoy is; or give --node.", show_default=False)]
_Node = Annotated[
    Path | None, typer.Option("--node", help="A whole Envoy Node, in place of the rest.", metavar="FILE")
]
_Name = Annotated[str, typer.Option("--name", help="The workload's name, such as reviews-v1.")]
_Namespace = Annotated[str, typer.Option("--namespace", help="Its namespace.")]
_Ip = Annotated[list[str] | None, typer.Option("--ip", help="Its address; may be repeated.", metavar="IP")]
_Label = Annotated[
    list[str] | None, typer.Option("--label", help="A label of the workload.", metavar="KEY=VALUE")
]
_ServiceAccount = Annotated[str, typer.Option("--service-account", help="Its service account.")]
_InterceptionMode = Annotated[
    InterceptionMode, typer.Option("--interception-mode", help="How connections are captured.")
]
_Network = Annotated[str, typer.Option("--network", help="The network that it is in.")]
_ClusterId = Annotated[str, typer.Option("--cluster-id", help="The cluster that it is in.")]
_Locality = Annotated[
    str, typer.Option("--locality", help="Where it runs.", metavar="REGION[/ZONE[/SUBZONE]]")
]
_Domain = Annotated[str, typer.Option("--domain", help="The DNS domain of the mesh.")]
_XdsAddress = Annotated[str, typer.Option("--xds-address", help="The control plane.", metavar="HOST:PORT")]
_XdsCa = Annotated[
    str, typer.Option("--xds-ca", help="Speak TLS to it, trusting these roots.", metavar="FILE")
]
_XdsCert = Annotated[str, typer.Option("--xds-cert", help="The certificate to show it.", metavar="FILE")]
_XdsKey = Annotated[str, typer.Option("--xds-key", help="Its private key.", metavar="FILE")]
_AgentSocket = Annotated[
    str,
    typer.Option("--agent-socket", help="Ask `mizzen agent` at this socket, for everything.", metavar="FILE"),
]
_AdminAddress = Annotated[
    str, typer.Option("--admin-address", help="The Envoy's own admin address.", metavar="HOST:PORT")
]
_AdminPort = Annotated[
    int | None,
    typer.Option(
        "--admin-port",
        help="Its port alone, on 127.0.0.1.",
        min=1,
        max=65535,
        show_default=False,
        metavar="PORT",
    ),
]
_Delta = Annotated[bool, typer.Option("--delta/--sotw", help="The variant of the protocol.")]
_Stats = Annotated[Stats, typer.Option("--stats", help="How much the Envoy counts.")]


def bootstrap(
    role: _Role = None,
    node: _Node = None,
    name: _Name = "",
    namespace: _Namespace = "default",
    ip: _Ip = None,
    label: _Label = None,
    service_account: _ServiceAccount = "",
    interception_mode: _InterceptionMode = InterceptionMode.REDIRECT,
    network: _Network = "",
    cluster_id: _ClusterId = "",
    locality: _Locality = "",
    domain: _Domain = "cluster.local",
    xds_address: _XdsAddress = "127.0.0.1:15010",
    xds_ca: _XdsCa = "",
    xds_cert: _XdsCert = "",
    xds_key: _XdsKey = "",
    agent_socket: _AgentSocket = "",
    admin_address: _AdminAddress = DEFAULT_ADMIN_ADDRESS,
    admin_port: _AdminPort = None,
    delta: _Delta = True,
    stats: _Stats = Stats.LEAN,
) -> None:
    """Print the bootstrap of an Envoy as YAML; start it with `envoy -c FILE --disable-hot-restart`."""
    typer.echo(bootstrap_yaml(**locals()), nl=False)


def bootstrap_yaml(
    *,
    role: Role | None,
    node: Path | None,
    name: str,
    namespace: str,
    ip: list[str] | None,
    label: list[str] | None,
    service_account: str,
    interception_mode: InterceptionMode,
    network: str,
    cluster_id: str,
    locality: str,
    domain: str,
    xds_address: str,
    xds_ca: str,
    xds_cert: str,
    xds_key: str,
    agent_socket: str,
    admin_address: str,
    admin_port: int | None,
    delta: bool,
    stats: Stats,
) -> str:
    """Return the bootstrap that the command's options describe, as YAML.

    Warnings about the node go to standard error. Raises Failure for options that give no bootstrap.
    """
    from mizzen.cli.described_node import described_node
    from mizzen.cli.loading import node_content

    if agent_socket and xds_ca:
        raise Failure("give --agent-socket or --xds-ca, not both: the agent speaks TLS", exit_code=2)
    if node is not None and role is not None:
        raise Failure("give either sidecar or gateway with its flags, or --node FILE, not both", exit_code=2)
    if (xds_cert or xds_key) and not (xds_ca and xds_cert and xds_key):
        raise Failure("--xds-cert and --xds-key belong together and need --xds-ca", exit_code=2)
    if node is not None:
        described = node_content(node)
    else:
        described = described_node(
            {Role.SIDECAR: "sidecar", Role.GATEWAY: "router", None: ""}[role],
            name=name,
            namespace=namespace,
            addresses=ip or [],
            domain=domain,
            labels=label or [],
            locality=locality,
            metadata={
                "INTERCEPTION_MODE": interception_mode.value if role is Role.SIDECAR else "",
                "SERVICE_ACCOUNT": service_account,
                "NETWORK": network,
                "CLUSTER_ID": cluster_id,
            },
        )
    control_plane = _ControlPlane(xds_address, xds_ca, xds_cert, xds_key, delta, agent_socket)
    own_admin = _own_admin(admin_address, admin_port)
    return _yaml(described, str(node) if node else "", control_plane, own_admin, stats)


def _own_admin(address: str, port: int | None) -> str:
    """Return the Envoy's own admin address, by --admin-address or --admin-port."""
    if not port:
        return address
    if address != DEFAULT_ADMIN_ADDRESS:
        raise Failure("give --admin-address or --admin-port, not both", exit_code=2)
    return f"127.0.0.1:{port}"


class _ControlPlane(NamedTuple):
    """How the Envoy reaches its control plane."""

    address: str
    ca: str
    certificate: str
    key: str
    delta: bool
    agent_socket: str


def _yaml(
    node: Mapping[str, Any], file: str, control_plane: _ControlPlane, admin_address: str, stats: Stats
) -> str:
    """Return the bootstrap. `file` is where the node is from; empty for the command line."""
    import json

    import yaml

    from mizzen.cli.described_node import check_control_plane
    from mizzen.mesh.proxy.node import NodeError, Proxy
    from mizzen.translator.bootstrap import BootstrapError, XdsTls
    from mizzen.translator.bootstrap import bootstrap as make

    address, ca, certificate, key, delta, agent_socket = control_plane
    check_control_plane(address)
    try:
        content = make(
            node=node,
            xds_address=address,
            admin_address=admin_address,
            delta=delta,
            agent_socket=agent_socket,
            stats=stats.value,
            xds_tls=XdsTls(ca, certificate, key) if ca else None,
        )
    except (NodeError, BootstrapError) as error:
        raise Failure(f"{file}: {error}" if file else str(error), exit_code=1 if file else 2) from error
    for warning in Proxy.from_node(node).warnings:
        print_error_line(f"warning: {f'{file}: ' if file else ''}{warning}")
    plain = json.loads(json.dumps(content))  # protobuf gives ordered dictionaries, which YAML would tag
    text: str = yaml.dump(plain, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text
