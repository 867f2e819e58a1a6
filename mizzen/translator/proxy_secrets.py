"""The secrets of one proxy: those that its own listeners and clusters name, and no others.

A gateway is given only secrets of its own namespace (Istio: pilot/pkg/xds/sds.go): otherwise anyone who may
write a Gateway could have any certificate sent to a proxy of his own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.own_resources import OwnResources
from mizzen.translator.tls.secret_references import all_secrets
from mizzen.translator.tls.secrets import UNUSABLE_SECRET, WITHHELD_SECRET, own_secret_name, secrets
from mizzen.xds.resource import Resource


def proxy_secrets(
    mesh: Mesh, proxy: Proxy, outbound: OutboundResources, own: OwnResources, memo: Memo
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """Return the secrets that `proxy` asks for, and what is wrong with those that it does not get."""
    asked = all_secrets((outbound.secrets, own.secrets))
    if not asked:
        return (), ()
    namespace = proxy.namespace
    withheld: tuple[Diagnostic, ...] = ()
    if proxy.is_unproven:
        withheld = tuple(_withheld(mesh, asked.certificates | asked.roots, namespace))
        asked = asked.filtered(lambda name: own_secret_name(name, namespace) is None)
    made, findings = secrets(asked, lambda name: mesh.secret(namespace, name), memo, namespace=namespace)
    names = asked.certificates | asked.roots
    unserved = (own_secret_name(name, namespace) for name in names.difference(one.name for one in made))
    absent = {name for name in unserved if name is not None and mesh.secret(namespace, name) is None}
    return made, (*withheld, *findings, *_elsewhere(mesh, absent, namespace))


def _withheld(mesh: Mesh, names: Collection[str], namespace: str) -> Iterator[Diagnostic]:
    """Say which Secrets a proxy asks for and is not sent, as anybody could have asked in its place."""
    for name in sorted({own_secret_name(name, namespace) for name in names} - {None}, key=str):
        config = mesh.secret(namespace, str(name))
        if config is not None:
            yield Diagnostic(
                Severity.WARNING,
                WITHHELD_SECRET,
                f"Secret {namespace}/{name} is not sent to proxies that prove by no certificate who they "
                "are; let them connect to --tls-address, with --tls-client-ca, or start the server with "
                "--secrets-to-anyone",
                config.origin,
            )


def _elsewhere(mesh: Mesh, names: Collection[str], namespace: str) -> Iterator[Diagnostic]:
    """Say which absent Secrets are in other namespaces; what is nowhere the analysis of the mesh says."""
    if not names:
        return
    for config in mesh.configs("Secret"):
        if config.name in names and config.namespace != namespace:
            yield Diagnostic(
                Severity.WARNING,
                UNUSABLE_SECRET,
                f"Secret {config.name} is asked for by proxies of namespace {namespace}, and a proxy gets "
                f"only Secrets of its own namespace: connections that need it fail; move it to {namespace}",
                config.origin_of("metadata", "namespace"),
                "metadata.namespace",
            )
