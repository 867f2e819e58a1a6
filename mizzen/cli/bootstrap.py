"""`mizzen bootstrap`: what an Envoy is started with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mizzen.cli.failure import Failure


class Role(StrEnum):
    """What the Envoy is: beside a workload, or at the edge."""

    SIDECAR = "sidecar"
    GATEWAY = "gateway"


class Stats(StrEnum):
    """How much an Envoy counts."""

    LEAN = "lean"
    FULL = "full"


class InterceptionMode(StrEnum):
    """How a sidecar gets hold of its workload's connections."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


def bootstrap(
    role: Annotated[
        Role | None, typer.Argument(help="What the Envoy is; or give --node.", show_default=False)
    ] = None,
    node: Annotated[
        Path | None,
        typer.Option("--node", help="A whole Envoy Node, in place of the rest.", metavar="FILE"),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The workload's name, such as reviews-v1.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", help="Its namespace.")] = "default",
    ip: Annotated[
        list[str] | None,
        typer.Option("--ip", help="Its address; may be repeated.", metavar="IP"),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="A label of the workload.", metavar="KEY=VALUE")
    ] = None,
    service_account: Annotated[str, typer.Option("--service-account", help="Its service account.")] = "",
    interception_mode: Annotated[
        InterceptionMode, typer.Option("--interception-mode", help="How connections are captured.")
    ] = InterceptionMode.REDIRECT,
    network: Annotated[str, typer.Option("--network", help="The network that it is in.")] = "",
    cluster_id: Annotated[str, typer.Option("--cluster-id", help="The cluster that it is in.")] = "",
    locality: Annotated[
        str, typer.Option("--locality", help="Where it runs.", metavar="REGION[/ZONE[/SUBZONE]]")
    ] = "",
    domain: Annotated[str, typer.Option("--domain", help="The DNS domain of the mesh.")] = "cluster.local",
    xds_address: Annotated[
        str, typer.Option("--xds-address", help="The control plane.", metavar="HOST:PORT")
    ] = "127.0.0.1:15010",
    xds_ca: Annotated[
        str, typer.Option("--xds-ca", help="Speak TLS to it, trusting these roots.", metavar="FILE")
    ] = "",
    xds_cert: Annotated[
        str, typer.Option("--xds-cert", help="The certificate to show it.", metavar="FILE")
    ] = "",
    xds_key: Annotated[str, typer.Option("--xds-key", help="Its private key.", metavar="FILE")] = "",
    admin_address: Annotated[
        str, typer.Option("--admin-address", help="The Envoy's own admin address.", metavar="HOST:PORT")
    ] = "127.0.0.1:15000",
    delta: Annotated[bool, typer.Option("--delta/--sotw", help="The variant of the protocol.")] = True,
    stats: Annotated[Stats, typer.Option("--stats", help="How much the Envoy counts.")] = Stats.LEAN,
) -> None:
    """Print the bootstrap of an Envoy as YAML; start it with `envoy -c FILE`."""
    import json

    import yaml

    from mizzen.cli.described_node import check_control_plane, described_node
    from mizzen.cli.loading import node_content
    from mizzen.mesh.proxy import NodeError, Proxy
    from mizzen.translator.bootstrap import BootstrapError, XdsTls
    from mizzen.translator.bootstrap import bootstrap as make

    if node is not None and role is not None:
        raise Failure("give either sidecar or gateway with its flags, or --node FILE, not both", exit_code=2)
    if node is not None:
        described = node_content(node)
    else:
        if role is None:
            raise Failure(
                "say what the Envoy is: mizzen bootstrap sidecar|gateway, or --node FILE", exit_code=2
            )
        described = described_node(
            "sidecar" if role is Role.SIDECAR else "router",
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
    check_control_plane(xds_address)
    if (xds_cert or xds_key) and not (xds_ca and xds_cert and xds_key):
        raise Failure("--xds-cert and --xds-key belong together and need --xds-ca", exit_code=2)
    try:
        content = make(
            node=described,
            xds_address=xds_address,
            admin_address=admin_address,
            delta=delta,
            stats=stats.value,
            xds_tls=XdsTls(xds_ca, xds_cert, xds_key) if xds_ca else None,
        )
    except (NodeError, BootstrapError) as error:
        raise Failure(f"{node}: {error}" if node else str(error), exit_code=1 if node else 2) from error
    for remark in Proxy.from_node(described).remarks:
        typer.echo(f"warning: {f'{node}: ' if node else ''}{remark}", err=True)
    plain = json.loads(json.dumps(content))  # protobuf gives ordered dictionaries, which are not YAML's
    typer.echo(yaml.dump(plain, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True), nl=False)
