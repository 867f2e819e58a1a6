"""Mizzen: a control plane for plain Envoy that speaks Istio's configuration, without Kubernetes.

    import mizzen

    mesh = mizzen.load("examples/bookinfo")
    proxy = mizzen.Proxy.from_node({"id": "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local"})
    resources = mizzen.translate(mesh, proxy)
    resources.clusters  # a list of envoy.config.cluster.v3.Cluster

The names below are the public ones. They are loaded when first used: `import mizzen` itself costs next to
nothing, so that `mizzen --help` and programs that only want `mizzen.xds` need not wait for the translator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mizzen import xds as xds
    from mizzen.api import ConfigError as ConfigError
    from mizzen.api import load as load
    from mizzen.api import translate as translate
    from mizzen.mesh.proxy.node import NodeError as NodeError
    from mizzen.mesh.proxy.node import Proxy as Proxy
    from mizzen.mesh.snapshot import Mesh as Mesh
    from mizzen.translator.translate_result import Resources as Resources

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "Mesh",
    "NodeError",
    "Proxy",
    "Resources",
    "__version__",
    "load",
    "translate",
    "xds",
]

_HOME = {
    "ConfigError": "mizzen.api",
    "Resources": "mizzen.translator.translate_result",
    "load": "mizzen.api",
    "translate": "mizzen.api",
    "Mesh": "mizzen.mesh.snapshot",
    "NodeError": "mizzen.mesh.proxy.node",
    "Proxy": "mizzen.mesh.proxy.node",
}


def __getattr__(name: str) -> Any:
    if name == "xds":
        return import_module("mizzen.xds")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mizzen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
