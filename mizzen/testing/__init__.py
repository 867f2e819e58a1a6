"""Tools for tests of a mesh: offline over what proxies are sent, or with real Envoys and workloads on free
ports.

    mesh = SimulatedMesh("mesh/")
    ends = mesh.request("GET http://reviews:9080/", from_="productpage-v1", headers={"end-user": "jason"})
    assert ends.subset == "v2"

The pytest plugin (`mizzen.testing.plugin`) offers these as fixtures: docs/testing.md. The names below are
loaded when first used, so that a pytest run without them does not wait for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mizzen.testing.caller import Caller as Caller
    from mizzen.testing.live_mesh import LiveMesh as LiveMesh
    from mizzen.testing.simulated_mesh import CallEnds as CallEnds
    from mizzen.testing.simulated_mesh import SimulatedMesh as SimulatedMesh
    from mizzen.testing.waiting import eventually as eventually
    from mizzen.testing.workloads import TcpWorkload as TcpWorkload
    from mizzen.testing.workloads import Workload as Workload

_HOME = {
    "CallEnds": "simulated_mesh",
    "Caller": "caller",
    "LiveMesh": "live_mesh",
    "SimulatedMesh": "simulated_mesh",
    "TcpWorkload": "workloads",
    "Workload": "workloads",
    "eventually": "waiting",
}

__all__ = ["CallEnds", "Caller", "LiveMesh", "SimulatedMesh", "TcpWorkload", "Workload", "eventually"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mizzen.testing' has no attribute {name!r}")
    value = getattr(import_module(f"mizzen.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value
