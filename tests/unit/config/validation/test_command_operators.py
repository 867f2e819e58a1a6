"""Command operators in the values of headers: just what a real Envoy takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.validation import command_operators
from mizzen.config.validation.command_operators import access_log_command_problem, header_command_problem
from mizzen.demo.envoy_process import find_envoy

_REQUEST = '{"command":"REQ","param":"x"%s}'

TAKEN = [
    "",
    "100%%",
    "%%%PROTOCOL%",
    "a%REQ(x)%b%PROTOCOL%",
    "%PROTOCOL()%",
    "%REQ(:path)%",
    "%REQ(a?:authority):5%",
    "%REQ(a?)%",
    "%START_TIME(%Y-%m)%",
    "%START_TIME(a)b)%",
    "%START_TIME(%10n)%",
    '%UPSTREAM_METADATA(["a", "b"])%',
    "%UPSTREAM_METADATA(a:b)%",
    "%DYNAMIC_METADATA(a:b):5%",
    "%METADATA(ROUTE:a):5%",
    "%PER_REQUEST_STATE(x)%",
    "%FILTER_STATE(a)%",
    "%FILTER_STATE(a:)%",
    "%FILTER_STATE(a:PLAIN):5%",
    "%FILTER_STATE(a:FIELD:b)%",
    "%GRPC_STATUS%",
    "%GRPC_STATUS(NUMBER)%",
    "%PATH(WQ:ORIG)%",
    "%PATH:5%",
    "%QUERY_PARAM(a)%",
    "%QUERY_PARAMS(DECODED)%",
    "%REQUESTED_SERVER_NAME(HOST_FIRST:HOST)%",
    "%COMMON_DURATION(a:b)%",
    "%COMMON_DURATION(a:b:us)%",
    "%CEL(request.path)%",
    "%ENVIRONMENT(HOME)%",
    "%REQ(x):18446744073709551615%",
    '%COALESCE({"operators":["HOSTNAME",' + _REQUEST % ',"max_length":5' + "]})%",
    '%COALESCE({"operators":[{"command":"COALESCE","param":"{\\"operators\\":[\\"PROTOCOL\\"]}"}]})%',
]

REFUSED = [
    "%",
    "50%",
    "a%b",
    "%%%",
    "%START_TIME%%",
    "%()%",
    "%req(x)%",
    "% PROTOCOL%",
    "%PROTOCOL %",
    "%PROTOCOL(x)%",
    "%PROTOCOL:5%",
    "%FOO%",
    "%REQ_WITHOUT_QUERY(x)%",
    "%REQ%",
    "%REQ()%",
    "%REQ(x%",
    "%REQ(x)",
    "%REQ(x)y%",
    "%REQ(x) %",
    "%REQ(x):%",
    "%REQ(x):-1%",
    "%REQ(x):18446744073709551616%",
    "%REQ(x):" + "9" * 5000 + "%",
    "%REQ(a b)%",
    "%REQ(a?b?c)%",
    "%REQ(::a)%",
    "%FILTER_STATE%",
    "%FILTER_STATE()%",
    "%FILTER_STATE(:PLAIN)%",
    "%FILTER_STATE(a:plain)%",
    "%FILTER_STATE(a:FIELD)%",
    "%FILTER_STATE(a:PLAIN:b)%",
    "%PER_REQUEST_STATE()%",
    "%PER_REQUEST_STATE(a:TYPED)%",
    "%START_TIME(%n)%",
    "%START_TIME(%Y):5%",
    "%DYNAMIC_METADATA()%",
    "%UPSTREAM_METADATA(a):5%",
    "%METADATA(FILTER_CHAIN:a)%",
    "%GRPC_STATUS(:)%",
    "%GRPC_STATUS(number)%",
    "%PATH(x)%",
    "%PATH(WQ:x)%",
    "%QUERY_PARAMS(ORIG:)%",
    "%REQUESTED_SERVER_NAME(x)%",
    "%COMMON_DURATION(a)%",
    "%COMMON_DURATION(a:b:s)%",
    "%COMMON_DURATION(a:b:ms:x)%",
    "%CEL()%",
    "%COALESCE%",
    "%COALESCE(0)%",
    "%COALESCE({})%",
    '%COALESCE({"operators":[]})%',
    '%COALESCE({"operators":["REQ"]})%',
    '%COALESCE({"operators":["FOO"]})%',
    '%COALESCE({"operators":[5]})%',
    '%COALESCE({"operators":["PROTOCOL"],"x":NaN})%',
    '%COALESCE({"operators":[{"command":"COALESCE","param":"5"}]})%',
    '%COALESCE({"operators":[{"command":"PER_REQUEST_STATE","param":"x"}]})%',
    '%COALESCE({"operators":[' + _REQUEST % ',"max_length":0' + "]})%",
    '%COALESCE({"operators":[' + _REQUEST % ',"max_length":true' + "]})%",
]


@pytest.mark.parametrize("value", TAKEN)
def test_what_envoy_takes(value: str) -> None:
    assert header_command_problem(value) is None


@pytest.mark.parametrize("value", REFUSED)
def test_what_envoy_refuses(value: str) -> None:
    assert header_command_problem(value) is not None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("%HOSTNMAE%", "%HOSTNMAE% is none of Envoy's commands here; did you mean %HOSTNAME%?"),
        (
            "%FILTER_STATE()%",
            "%FILTER_STATE% needs the key of a filter state; write it as in %FILTER_STATE(key:PLAIN)%",
        ),
        ("%PROTOCOL(x)%", "%PROTOCOL% takes no arguments; write it as in %PROTOCOL%"),
        ("10%", "the % at position 3 begins no command; write "),
    ],
)
def test_it_is_said_what_would_be_right(value: str, words: str) -> None:
    problem = header_command_problem(value)
    assert problem is not None
    assert problem.startswith(words)


def test_access_logs_know_other_commands() -> None:
    assert access_log_command_problem("%REQ_WITHOUT_QUERY(:path):9%\n") is None
    assert access_log_command_problem("%REQ_WITHOUT_QUERY%\n") == (
        "%REQ_WITHOUT_QUERY% needs the name of a header; write it as in %REQ_WITHOUT_QUERY(:path)%"
    )
    problem = access_log_command_problem("%PER_REQUEST_STATE(x)%")
    assert problem is not None
    assert problem.startswith("%PER_REQUEST_STATE% is none of Envoy's commands here")


@given(st.text(alphabet='%()[]{}:,"?A_0 REQCOALSE', max_size=60))
def test_nothing_that_is_typed_is_too_much(text: str) -> None:
    header_command_problem(text)


def _envoy_refuses(values: list[str], file: Path) -> bool:
    route: dict[str, Any] = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "request_headers_to_add": [{"header": {"key": "x-value", "value": value}} for value in values],
    }
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}},
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    file.write_text(json.dumps({"static_resources": {"listeners": [listener]}}), encoding="utf-8")
    command = [find_envoy(), "--mode", "validate", "-c", file, "--log-level", "off"]
    return subprocess.run(command, capture_output=True, check=False, timeout=300).returncode != 0


@pytest.mark.envoy
def test_a_real_envoy_agrees(tmp_path: Path) -> None:
    file = tmp_path / "envoy.json"
    examples = [command.example for command in command_operators._IN_HEADERS.values()]
    assert not _envoy_refuses([*TAKEN, *examples], file)
    assert [value for value in REFUSED if not _envoy_refuses([value], file)] == []
