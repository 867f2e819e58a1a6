"""Kinds of one name and two groups are two kinds everywhere.

A copy of the package serves, beside each kind, its twin: a kind of the same name and a different group, added
as docs/extending.md says. Every document of a mesh has a twin of its namespace and name in the same file; the
two say different things.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mizzen.config.document import GroupKind
from mizzen.config.group_kinds import CONFIG_MAP, SECRET
from mizzen.config.kinds import KINDS, Kind
from mizzen.config.models.base import IstioModel

ROOT = Path(__file__).parents[3]
GROUP = "twins.example.org"

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Node
metadata: {name: one, labels: {topology.kubernetes.io/region: here}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "connectTimeout: 3s"}
---
apiVersion: v1
kind: Secret
metadata: {name: edge, namespace: shop}
type: Opaque
stringData: {tls.crt: no certificate, tls.key: no key}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 9080}], selector: {app: reviews}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: ratings, namespace: shop}
subsets: [{addresses: [{ip: 10.0.0.4}], ports: [{name: http, port: 9080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec: {clusterIP: 10.1.0.2, ports: [{name: http, port: 9080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews, namespace: shop, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080}]
endpoints: [{addresses: [10.0.0.1], nodeName: one}]
---
apiVersion: v1
kind: Pod
metadata: {name: reviews, namespace: shop, labels: {app: reviews}}
spec: {nodeName: one}
status: {podIP: 10.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: machines, namespace: shop}
spec:
  hosts: [machines.example]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: machine}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: machine, namespace: shop}
spec: {address: 10.0.0.2, labels: {app: machine}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: shop}
spec: {template: {serviceAccount: machine}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: [./*]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec: {hosts: [reviews], http: [{timeout: 2s, route: [{destination: {host: reviews, subset: all}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: shop}
spec: {hosts: [edge.example], gateways: [edge], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: all}], trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers:
  - port: {number: 9080, name: http, protocol: HTTP}
    hosts: [edge.example]
  - port: {number: 9443, name: https, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: edge}
    hosts: [edge.example]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: reviews, namespace: shop}
spec: {selector: {matchLabels: {app: reviews}}, jwtRules: [{issuer: issuer.example, jwks: '{"keys": []}'}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec: {action: ALLOW, rules: [{to: [{operation: {paths: [/open]}}]}]}
"""

DIFFERENT = {
    "10.0.0.": "10.9.9.",
    "10.1.0.": "10.9.8.",
    "9080": "7070",
    "9443": "7443",
    "STRICT": "DISABLE",
    "ALLOW": "DENY",
    "2s": "4s",
    "3s": "5s",
    "maxConnections: 2": "maxConnections: 4",
    "region: here": "region: there",
    "issuer.example": "twin.example",
    "serviceAccount: machine": "serviceAccount: twin",
    "[./*]": "['*/*']",
    "[edge.example]": "['*.example']",
    "host: reviews": "host: ratings",
}
"""What the twins say instead."""

SCRIPT = r"""
import json, sys, tempfile
from pathlib import Path
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.document import GroupKind
from mizzen.config.group_kinds import GATEWAY
from mizzen.explain.describe.describe import describe
from mizzen.mesh.analysis.incremental_analysis import Analysis
from mizzen.mesh.proxy.node import Proxy
from mizzen.plan import ServedMesh, change_to, fleet, plan
from mizzen.plan.served_mesh import told
from mizzen.server.configuration import Configuration
from mizzen.server.state import State
from mizzen.translator.translation import Translation
from mizzen.xds.type_urls import PUSH_ORDER

text, twins, edited, broken = sys.argv[1:]
GROUP = "twins.example.org"

def proxy(kind, address, **labels):
    node = f"{kind}~{address}~one.shop~shop.svc.cluster.local"
    return Proxy.from_node({"id": node, "metadata": {"NAMESPACE": "shop", "LABELS": labels}})

PROXIES = (proxy("sidecar", "10.0.0.1", app="reviews"), proxy("sidecar", "10.0.0.2", app="machine"),
           proxy("router", "10.0.0.3", istio="edge"))

def sent(translation):
    for _ in translation.concerned():
        pass
    snapshots = map(translation.snapshot, PROXIES)
    return [[one.collection(kind).version for kind in PUSH_ORDER] for one in snapshots]

def said(mesh):
    steps = Analysis().steps(mesh)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return [*map(str, end.value)]

def served(configuration, translation):
    mesh = configuration.mesh
    return {"sent": sent(translation), "from nothing": sent(Translation(mesh)),
            "diagnostics": said(mesh),
            "connect timeout": str(mesh.mesh_config.connect_timeout),
            "described": [str(describe(mesh, name, ())) for name in
                          ("reviews.shop", "workload/machine.shop", "gateway/edge.shop")]}

result = {}
def file(*texts):
    return {"mesh.yaml": parse_documents("---".join(texts).encode(), "mesh.yaml")}

files, both = file(text), file(text, twins)

store = ConfigStore()
store.apply(both)
keys = [config.key for config in store.configs()]
result["keys"] = [[*key.group_kind, key.namespace, key.name] for key in keys]
result["texts"] = [*map(str, keys)]
result["found by key"] = all(store.get(config.key) is config for config in store.configs())

configuration = Configuration()
configuration.apply(files)
translation = Translation(configuration.mesh)
result["alone"] = served(configuration, translation)
configuration.apply(both)
translation.update(configuration.mesh)
result["with twins"] = served(configuration, translation)
result["documents"] = configuration.view().as_json()["documents"]

told_json = json.dumps(told(configuration.mesh, PROXIES))
values = ServedMesh.from_dict(json.loads(told_json))
def against(*twins):
    store = ConfigStore()
    store.apply(file(text, *twins))
    change = change_to(values, store.configs(), ())
    before = values.mesh(change.served)
    after, _ = before.updated(change.change, values.mesh_config)
    return {"updated": [str(config.key) for config in change.change.updated],
            "removed": [*map(str, change.change.removed)],
            "empty": plan(fleet(before, after, PROXIES)).is_empty}
result["plan of the same"] = against(twins)
result["plan of an edited twin"] = against(edited)
result["plan without twins"] = against()

folder = Path(tempfile.mkdtemp())
def run(files):
    state = State(folder / "s")
    former = state.read()
    configuration = Configuration()
    configuration.begin(files, former)
    state.save(configuration.valid_documents(files))
    state.close()
    assert not state.error
    return configuration
run(both)
refusing = run(file(broken))
result["restarted"] = sent(Translation(refusing.mesh))
view = refusing.view().as_json()
result["refused"] = [one["document"] for one in view["refused"]]
result["restored"] = [one["document"] for one in view["restored"]]
result["in force"] = [len(refusing.mesh.configs(kind)) for kind in (GATEWAY, GroupKind("Gateway", GROUP))]

configuration.apply(file(twins))
result["after the removal"] = [*map(str, (config.key for config in configuration.mesh.documents()))]
configuration.apply(files)
translation = Translation(configuration.mesh)
result["without twins"] = served(configuration, translation)
print(json.dumps(result))
"""


def twin_line(kind: Kind) -> str:
    """The line of `kinds.py` that serves the twin of a kind. That of Secret is no secret."""
    model = KINDS[CONFIG_MAP].model if kind.of == SECRET else kind.model
    imported = f'import_module("{model.__module__}").{model.__qualname__}'
    more = f"{kind.cluster_scoped}, {kind.has_spec}"
    return f'    Kind(group_kinds.TWIN_{kind.name.upper()}, ("v1",), {imported}, _no_rules, {more}),\n'


class Note(IstioModel):
    """The content of a kind that is not Istio's."""


def test_a_kind_that_is_not_of_istio_has_a_twin_too() -> None:
    added = Kind(GroupKind("Note", "example.org"), ("v1",), Note, lambda _: [])
    namespace = {"Kind": Kind, "import_module": import_module, "_no_rules": None}
    namespace["group_kinds"] = SimpleNamespace(TWIN_NOTE=GroupKind("Note", GROUP))
    [twin] = eval(f"[{twin_line(added)}]", namespace)
    assert (twin.of, twin.model) == (GroupKind("Note", GROUP), Note)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that serves a twin of each kind."""
    folder = tmp_path_factory.mktemp("twins")
    shutil.copytree(ROOT / "mizzen", folder / "mizzen", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "mizzen/config/group_kinds.py").open("a") as names:
        for kind in KINDS.values():
            names.write(f'TWIN_{kind.name.upper()}: Final = GroupKind("{kind.name}", "{GROUP}")\n')
    path = folder / "mizzen/config/kinds.py"
    first = "    _istio(group_kinds.VIRTUAL_SERVICE),\n"
    assert first in path.read_text()
    lines = "".join(map(twin_line, KINDS.values()))
    text = path.read_text().replace(first, lines + first)
    path.write_text(
        text.replace("from types import", "from importlib import import_module\nfrom types import", 1)
    )
    return folder


def twins() -> str:
    """The documents of the mesh, each of the twin of its kind, with something different in it."""
    text = "".join(
        f"apiVersion: {GROUP}/v1\n" if line.startswith("apiVersion") else line
        for line in MESH.splitlines(keepends=True)
    ).replace("stringData:", "data:")
    for said, instead in DIFFERENT.items():
        assert said in text, said
        text = text.replace(said, instead)
    return text


@pytest.fixture(scope="module")
def told(package: Path) -> dict[str, Any]:
    """What the package makes of the mesh with its twins."""
    edited = twins().replace("istio: edge", "istio: other")
    broken = f"{MESH}---{twins()}".replace("istio: edge", "istio: [edge]")
    command = [sys.executable, "-c", SCRIPT, MESH, twins(), edited, broken]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    made = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, check=False)
    assert not made.returncode, made.stderr
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


DOCUMENTS = MESH.count("kind: ")
TWIN = f"Gateway.{GROUP}/shop/edge"


def test_each_document_is_found_by_its_own_key(told: dict[str, Any]) -> None:
    assert len({tuple(key) for key in told["keys"]}) == 2 * DOCUMENTS
    assert told["found by key"]


def test_texts_show_the_group_where_two_kinds_have_a_name(told: dict[str, Any]) -> None:
    assert len(set(told["texts"])) == 2 * DOCUMENTS
    assert {"Gateway.networking.istio.io/shop/edge", TWIN} <= set(told["texts"])
    assert {"Pod/shop/reviews", f"Pod.{GROUP}/shop/reviews"} <= set(told["texts"]), "the core has no group"
    assert told["documents"]["Gateway.networking.istio.io"] == told["documents"][f"Gateway.{GROUP}"] == 1
    assert sum(told["documents"].values()) == 2 * DOCUMENTS


def test_texts_are_short_where_one_kind_has_a_name() -> None:
    assert {str(kind) for kind in KINDS} == {kind.kind for kind in KINDS}


def test_a_mesh_is_the_same_with_twins(told: dict[str, Any]) -> None:
    assert told["alone"]["sent"] == told["alone"]["from nothing"]
    assert told["alone"]["connect timeout"] == "0:00:03"
    assert told["alone"]["diagnostics"]
    assert "'DestinationRule.networking.istio.io', name='shop/reviews'" in told["alone"]["described"][0]
    assert told["with twins"] == told["without twins"] == told["alone"]
    assert len(told["after the removal"]) == DOCUMENTS
    assert all(GROUP in each for each in told["after the removal"])


def test_a_restart_restores_both_that_were_refused(told: dict[str, Any]) -> None:
    assert told["refused"] == told["restored"] == ["Gateway.networking.istio.io/shop/edge", TWIN]
    assert told["in force"] == [1, 1]
    assert told["restarted"] == told["with twins"]["sent"]


def test_a_plan_of_twins_changes_nothing_else(told: dict[str, Any]) -> None:
    assert told["plan of the same"] == {"updated": [], "removed": [], "empty": True}
    assert told["plan of an edited twin"] == {"updated": [TWIN], "removed": [], "empty": True}
    gone = told["plan without twins"]
    assert (len(gone["removed"]), gone["updated"], gone["empty"]) == (DOCUMENTS, [], True)
    assert all(GROUP in each for each in gone["removed"])
