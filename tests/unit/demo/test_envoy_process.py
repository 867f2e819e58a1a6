"""A real Envoy as a child: found, started, ready, stopped."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from mizzen.demo import DemoError
from mizzen.demo.envoy_process import EnvoyProcess, find_envoy
from mizzen.demo.loopback import is_free
from mizzen.testing.ports import free_port


def _bootstrap(admin: str) -> str:
    host, port = admin.split(":")
    return json.dumps({"admin": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}})


def test_the_binary_of_the_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIZZEN_ENVOY", raising=False)
    assert find_envoy().parts[-3:] == ("envoy", "_bin", "envoy")


def test_the_environment_chooses_a_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "my-envoy"
    binary.touch(mode=0o755)
    monkeypatch.setenv("MIZZEN_ENVOY", str(binary))
    assert find_envoy() == binary


def test_a_chosen_binary_that_cannot_be_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIZZEN_ENVOY", "/no/such/envoy")
    with pytest.raises(DemoError, match="MIZZEN_ENVOY is /no/such/envoy"):
        find_envoy()


@pytest.mark.envoy
async def test_an_envoy_becomes_ready_and_leaves_nothing_listening(tmp_path: Path) -> None:
    port = free_port()
    admin = f"127.0.0.1:{port}"
    envoy = await EnvoyProcess.start("lonely", _bootstrap(admin), admin=admin, directory=tmp_path)
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            await envoy.wait_ready(client, 60)
            assert (await client.get(f"http://{admin}/ready")).text.strip() == "LIVE"
    finally:
        await envoy.stop()
    assert is_free("127.0.0.1", port)


@pytest.mark.envoy
async def test_an_envoy_that_refuses_its_bootstrap_is_quoted(tmp_path: Path) -> None:
    envoy = await EnvoyProcess.start(
        "broken", '{"no_such_field": 1}', admin="127.0.0.1:1", directory=tmp_path
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(DemoError, match=r"(?s)broken ended by itself \(exit code 1\).*no_such_field"):
            await envoy.wait_ready(client)


@pytest.mark.envoy
async def test_an_envoy_that_is_not_ready_in_time_is_told(tmp_path: Path) -> None:
    port = free_port()
    admin = f"127.0.0.1:{port}"
    bootstrap = json.loads(_bootstrap(admin))
    # Without a control plane to answer, listeners are waited for.
    bootstrap["node"] = {"id": "lonely", "cluster": "lonely"}
    bootstrap["dynamic_resources"] = {
        "lds_config": {
            "resource_api_version": "V3",
            "path_config_source": {"path": str(tmp_path / "absent.yaml")},
        }
    }
    (tmp_path / "absent.yaml").write_text('{"version_info": "1", "resources": []}')
    bootstrap["static_resources"] = {
        "clusters": [
            {
                "name": "waiting",
                "type": "EDS",
                "eds_cluster_config": {
                    "eds_config": {
                        "resource_api_version": "V3",
                        "initial_fetch_timeout": "0s",
                        "api_config_source": {
                            "api_type": "GRPC",
                            "transport_api_version": "V3",
                            "grpc_services": [{"envoy_grpc": {"cluster_name": "nobody"}}],
                        },
                    }
                },
            },
            {
                "name": "nobody",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "nobody",
                    "endpoints": [
                        {
                            "lb_endpoints": [
                                {
                                    "endpoint": {
                                        "address": {
                                            "socket_address": {"address": "127.0.0.1", "port_value": 1}
                                        }
                                    }
                                }
                            ]
                        }
                    ],
                },
            },
        ]
    }
    envoy = await EnvoyProcess.start("waiting", json.dumps(bootstrap), admin=admin, directory=tmp_path)
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(DemoError, match="waiting: not ready after 1 s"):
                await envoy.wait_ready(client, seconds=1.0)
    finally:
        await envoy.stop()
