"""(q) What rules that look at the labels of proxies cost: what they decide is laid over what all share."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks import followed_changes
from benchmarks.documents import NAMESPACES, NETWORKING, Documents, text
from mizzen.config import ConfigStore, MeshConfig, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.server.garbage import Garbage
from mizzen.translator.contained import ContainedTranslation
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot
from mizzen.xds.type_urls import ROUTE

_CHANGED = 7
_ROUNDS = 6
_RUNS = 3


@dataclass(frozen=True, slots=True)
class LabelProfiles:
    """Seconds and megabytes for what all proxies are sent at first, milliseconds for a VirtualService that
    changes: one of a port without rules that look at labels, and one beside them on a port; and for joining
    the bytes of all route configurations that are others then. All of processor time. `configurations` is how
    many these are."""

    first: float
    megabytes: float
    change: float
    change_beside: float
    joining: float
    configurations: int


def _rule(number: int, called: int) -> dict[str, object]:
    """A VirtualService that leads calls of the workload of service `NAMESPACES * number` elsewhere."""
    host, other = (
        f"service-{service}.namespace-{service % NAMESPACES}.svc.cluster.local"
        for service in (called, number)
    )
    matched = {
        "match": [{"sourceLabels": {"app": f"service-{NAMESPACES * number}"}}],
        "route": [{"destination": {"host": other}}],
    }
    rest = {"route": [{"destination": {"host": host}}]}
    metadata = {"name": f"labels-{number}", "namespace": "namespace-0"}
    spec = {"hosts": [host], "http": [matched, rest]}
    return {"apiVersion": NETWORKING, "kind": "VirtualService", "metadata": metadata, "spec": spec}


def measure(services: int, proxies: int, rules: int) -> LabelProfiles:
    """Measure in processes whose memory nothing was in before, and return the best of each."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        runs = [processes.submit(_measured, services, proxies, rules).result() for _ in range(_RUNS)]
    return LabelProfiles(*map(min, zip(*map(astuple, runs), strict=True)))


def _measured(services: int, proxies: int, rules: int) -> LabelProfiles:
    """Translate for so many proxies of one namespace, in a mesh with so many rules that look at labels."""
    files: dict[str, Documents] = {
        f"{number}.yaml": followed_changes.with_rules(number) for number in range(services)
    }
    if rules:
        # Beside each other on the ports of the second half of the services.
        half = services // 2
        files["labels.yaml"] = [_rule(number, half + number * half // rules) for number in range(rules)]
    store = ConfigStore()
    store.apply({name: parse_documents(text(each), name) for name, each in files.items()})
    mesh = Mesh.build(store.configs(), MeshConfig())
    connected = [followed_changes.sidecar(NAMESPACES * number) for number in range(proxies)]
    gc.collect()
    collector = Garbage()  # the server's settings of the cycle collector
    collector.settle()
    before, began = _resident(), time.thread_time()
    translation = ContainedTranslation(mesh)
    for proxy in connected:
        translation.translate(proxy)
    first = time.thread_time() - began
    gc.collect()
    megabytes = (_resident() - before) / 1e6
    list(translation.concerned())
    changes, joining = [], []
    for changed in (_CHANGED, services // 2 + _CHANGED):
        rounds = []
        for canary in range(1, _ROUNDS + 1):
            name = f"{changed}.yaml"
            found = parse_documents(text(followed_changes.with_rules(changed, canary=canary)), name)
            change = store.apply({name: found})
            before_it = [translation.translate(proxy)[0] for proxy in connected]
            collector.settle()
            began = time.thread_time()
            mesh, delta = mesh.updated(change)
            translation.update(mesh, delta)
            for proxy in translation.concerned():
                translation.translate(proxy)
            rounds.append(1000 * (time.thread_time() - began))
            after_it = [translation.translate(proxy)[0] for proxy in connected]
            resources = _changed(before_it, after_it)
            joining.append(_joining(resources))
        changes.append(min(rounds))
    aside, beside = changes
    return LabelProfiles(first, megabytes, aside, beside, min(joining[-_ROUNDS:]), len(resources))


def _changed(before: Sequence[Snapshot], after: Sequence[Snapshot]) -> set[Resource]:
    """Return the changed route configurations, each once."""
    pairs = zip(before, after, strict=True)
    differences = [new.collection(ROUTE).since(old.collection(ROUTE)) for old, new in pairs]
    return {resource for each in differences for resource in each.changed.values()}


def _joining(resources: Iterable[Resource]) -> float:
    """Return the milliseconds that joining the bytes of route configurations takes."""
    began = time.thread_time()
    for resource in resources:
        _ = resource.value
    return 1000 * (time.thread_time() - began)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
