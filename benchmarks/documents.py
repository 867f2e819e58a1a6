"""Meshes of any size to measure with: a service has a workload and a VirtualService, in one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMESPACES = 10
SERVICES_PER_PORT = 100
NETWORKING = "networking.istio.io/v1"

Documents = list[dict[str, Any]]


def port_of(number: int, per_port: int = SERVICES_PER_PORT) -> int:
    """The port of a service: so many services share one, whatever the size of the mesh."""
    return 8000 + number // per_port


def documents(number: int, *, per_port: int = SERVICES_PER_PORT) -> Documents:
    """The documents of service `number`: Service, WorkloadEntry, VirtualService."""
    name, namespace = f"service-{number}", f"namespace-{number % NAMESPACES}"
    metadata = {"name": name, "namespace": namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "selector": {"app": name},
                "clusterIP": f"10.{100 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}",
                "ports": [{"name": "http", "port": port_of(number, per_port)}],
            },
        },
        {
            "apiVersion": NETWORKING,
            "kind": "WorkloadEntry",
            "metadata": metadata,
            "spec": {
                "address": f"10.{200 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}",
                "labels": {"app": name},
            },
        },
        {
            "apiVersion": NETWORKING,
            "kind": "VirtualService",
            "metadata": metadata,
            "spec": {
                "hosts": [name],
                "http": [
                    {"match": [{"uri": {"prefix": "/canary"}}], "route": [{"destination": {"host": name}}]},
                    {"route": [{"destination": {"host": name}}]},
                ],
            },
        },
    ]


def text(found: Documents) -> bytes:
    """Documents as the text of a file."""
    return b"\n---\n".join(json.dumps(each).encode() for each in found)


def files(services: int, *, per_port: int = SERVICES_PER_PORT) -> Iterator[tuple[str, bytes]]:
    """The files of a mesh of so many services."""
    for number in range(services):
        yield f"service-{number}.yaml", text(documents(number, per_port=per_port))


def write(directory: Path, services: int, *, per_port: int = SERVICES_PER_PORT) -> None:
    """Write a mesh of so many services into a folder."""
    for name, content in files(services, per_port=per_port):
        (directory / name).write_bytes(content)


def replace_file(path: Path, content: bytes) -> None:
    """Save a file whole, as careful editors do."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)
