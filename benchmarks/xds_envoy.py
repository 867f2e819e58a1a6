"""A real Envoy as a client of any xDS server, in each variant of the protocol that it speaks."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mizzen.demo.envoy_process import find_envoy

SERVER = "xds"
"""The name of the cluster through which Envoy reaches the server."""


@dataclass(frozen=True, slots=True)
class Variant:
    """How Envoy is told to speak: incremental or state of the world, one stream or one for each type."""

    delta: bool
    aggregated: bool = True

    def __str__(self) -> str:
        return f"{'delta' if self.delta else 'sotw'} {'aggregated' if self.aggregated else 'separate'}"

    @property
    def _grpc(self) -> dict[str, Any]:
        return {
            "api_type": "DELTA_GRPC" if self.delta else "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": SERVER}}],
        }

    @property
    def source(self) -> dict[str, Any]:
        """The ConfigSource by which a resource says where to get another one."""
        base: dict[str, Any] = {"resource_api_version": "V3", "initial_fetch_timeout": "10s"}
        return base | ({"ads": {}} if self.aggregated else {"api_config_source": self._grpc})

    def bootstrap(self, xds_port: int, node_id: str) -> dict[str, Any]:
        """Everything that Envoy must know at its start."""
        http2 = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
        endpoint = {"endpoint": {"address": socket_address(xds_port)}}
        server = {
            "name": SERVER,
            "type": "STATIC",
            "typed_extension_protocol_options": http2,
            "load_assignment": {"cluster_name": SERVER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        dynamic = {"cds_config": self.source, "lds_config": self.source}
        if self.aggregated:
            dynamic["ads_config"] = self._grpc
        return {
            "node": {"id": node_id, "cluster": "peers"},
            "admin": {"address": socket_address(0)},
            "dynamic_resources": dynamic,
            "static_resources": {"clusters": [server]},
        }


def socket_address(port: int) -> dict[str, Any]:
    """An Address on loopback."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def running_envoy(
    variant: Variant, xds_port: int, directory: Path, *, binary: Path | None = None, node_id: str = "envoy"
) -> AsyncIterator[str]:
    """Run an Envoy of two worker threads; gives the address of its admin interface.

    Raises:
        TimeoutError: it did not come up; the text is the end of its log.
    """
    config, log_file, address = (directory / f"{node_id}.{end}" for end in ("json", "log", "admin"))
    config.write_text(json.dumps(variant.bootstrap(xds_port, node_id)), encoding="utf-8")
    command = [str(binary or find_envoy()), "--config-path", str(config), "--concurrency", "2"]
    command += ["--log-level", "warning", "--use-dynamic-base-id", "--admin-address-path", str(address)]
    # A drained listener sends its clients away at once and is gone soon: both happen in a short run.
    command += ["--drain-strategy", "immediate", "--drain-time-s", "5"]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220 - it only starts it
    try:
        try:
            async with asyncio.timeout(60):
                while not address.exists() or not (found := address.read_text(encoding="utf-8").strip()):
                    assert process.poll() is None, log_file.read_text(encoding="utf-8")[-2000:]
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(log_file.read_text(encoding="utf-8")[-2000:]) from None
        yield found
    finally:
        process.kill()
        process.wait()
