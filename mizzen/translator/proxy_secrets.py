"""The secrets of one proxy: those that its own listeners and clusters name, and no others.

A gateway is given only secrets of its own namespace (Istio: pilot/pkg/xds/sds.go): otherwise anyone who may
write a Gateway could have any certificate sent to a proxy of his own.
"""

from __future__ import annotations

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.proxy import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.memo import Memo
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.own_resources import OwnResources
from mizzen.translator.secrets import secrets
from mizzen.xds.resource import Resource


def proxy_secrets(
    mesh: Mesh, proxy: Proxy, outbound: OutboundResources, own: OwnResources, memo: Memo
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """Return the secrets that `proxy` asks for, and what is wrong with those that it does not get."""
    names = outbound.secret_names | own.secret_names
    if not names:
        return (), ()
    namespace = proxy.namespace
    return secrets(sorted(names), lambda name: mesh.secret(namespace, name), memo, namespace=namespace)
