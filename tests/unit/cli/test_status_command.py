import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from mizzen.cli.status import plain, render
from mizzen.testing.ports import free_port
from tests.unit.cli.conftest import Command


def type_status(state: str, **changes: Any) -> dict[str, Any]:
    return {
        "state": state,
        "resources": 3,
        "subscribed": "*",
        "waiting_for": [],
        "missing": [],
        "pending_seconds": None,
        **changes,
    }


DIAGNOSTIC = {
    "severity": "error",
    "code": "IST0106",
    "file": "rules.yaml",
    "line": 11,
    "path": "spec.http[0]",
    "message": "is wrong",
}
STATE: dict[str, Any] = {
    "server": {"version": "1.2.3", "uptime_seconds": 3700, "ready": True},
    "configuration": {
        "documents": {"Service": 2, "Gateway": 1},
        "refused": [
            {
                "document": "VirtualService/default/reviews",
                "in_force": "rules.yaml:4",
                "diagnostics": [DIAGNOSTIC],
            }
        ],
        "diagnostics": [
            DIAGNOSTIC,
            {**DIAGNOSTIC, "severity": "warning", "file": "other.yaml", "message": "is odd"},
        ],
    },
    "proxies": [
        {
            "id": "reviews-v1.default",
            "type": "sidecar",
            "envoy_version": "1.40.0",
            "warnings": ["metadata LABELS is a list and counts as absent; write a mapping"],
            "connected_seconds": 61,
            "types": {
                "CDS": type_status("ACKED"),
                "EDS": type_status("STUCK", waiting_for=["outbound|80||slow"], pending_seconds=12.3),
                "LDS": type_status("REJECTED"),
                "RDS": type_status("PENDING"),
            },
        }
    ],
    "refused_proxies": [
        {"reason": 'node id "x" has 1 part(s); four are needed', "times": 12, "seconds_ago": 2.5}
    ],
    "rejections": [
        {
            "proxy": name,
            "type": "LDS",
            "message": "cannot bind '0.0.0.0:8080'",
            "resources": [
                {"name": "0.0.0.0_8080", "origins": ["gateway.yaml:7"], "in_force": "it is left out"}
            ],
        }
        for name in ("reviews-v1.default", "reviews-v2.default")
    ],
}


def shown(state: dict[str, Any], width: int = 160) -> list[str]:
    console = Console(width=width, record=True, file=None, no_color=True)
    with console.capture() as capture:
        console.print(render(state, width))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_table_and_what_is_wrong_with_it() -> None:
    assert shown(STATE) == [
        "mizzen 1.2.3   up 1h01m   3 documents in force   1 proxy",
        "PROXY               TYPE     ENVOY   CDS      EDS    LDS       RDS      SDS  CONNECTED",
        "reviews-v1.default  sidecar  1.40.0  ACKED 3  STUCK  REJECTED  PENDING  -    1m01s",
        "",
        "REJECTED BY ENVOY",
        "  reviews-v1.default, reviews-v2.default LDS: cannot bind '0.0.0.0:8080'",
        "      0.0.0.0_8080 from gateway.yaml:7 (it is left out)",
        "",
        "NOT ANSWERED",
        "  reviews-v1.default EDS: sent 12s ago, waiting for outbound|80||slow",
        "",
        "REFUSED PROXIES",
        '  node id "x" has 1 part(s); four are needed   12 times, 2s ago',
        "",
        "PROXY WARNINGS",
        "  reviews-v1.default: metadata LABELS is a list and counts as absent; write a mapping",
        "",
        "REFUSED DOCUMENTS",
        "  VirtualService/default/reviews   the version read from rules.yaml:4 stays in force",
        "      rules.yaml:11: error IST0106 spec.http[0]: is wrong",
        "",
        "DIAGNOSTICS",
        "  other.yaml:11: warning IST0106 spec.http[0]: is odd",
    ]


def test_what_a_client_says_steers_no_terminal_and_looks_like_no_other_line() -> None:
    hostile = "sidecar~\x1b[2J\x1b]0;owned\x07\nREFUSED DOCUMENTS [bold]all[/bold]"
    workload = {
        "identity": hostile,
        "until": "2030",
        "renews_in_seconds": 1,
        "of_former_authority": False,
    }
    state = {
        **STATE,
        "refused_proxies": [{"reason": hostile, "times": 1, "seconds_ago": 1}],
        "rejections": [{"proxy": hostile, "type": "CDS", "message": hostile, "resources": []}],
        "certificates": {"authority": {"warnings": []}, "workloads": [workload]},
    }
    lines = plain(state).splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("REFUSED DOCUMENTS") for line in lines) == 1
    assert any("[bold]all[/bold]" in line and "2030" in line for line in lines)


def test_an_invisible_character_is_shown_by_its_escape() -> None:
    state = {**STATE, "refused_proxies": [{"reason": "re\u200bviews\x1b\nno", "times": 1, "seconds_ago": 1}]}
    assert r"re\u200bviews\x1b no" in plain(state)


def test_a_narrow_terminal_loses_columns_and_not_states() -> None:
    lines = shown(STATE, 72)
    assert lines[1].split() == ["PROXY", "CDS", "EDS", "LDS", "RDS", "SDS"]
    assert lines[2].split() == ["reviews-v1.default", "ACKED", "3", "STUCK", "REJECTED", "PENDING", "-"]


def test_when_all_is_well_there_is_nothing_but_the_table() -> None:
    configuration = {**STATE["configuration"], "refused": [], "diagnostics": []}
    nothing: dict[str, Any] = {"proxies": [], "rejections": [], "refused_proxies": []}
    lines = shown({**STATE, "configuration": configuration, **nothing})
    assert lines == ["mizzen 1.2.3   up 1h01m   3 documents in force   0 proxies", "no proxy is connected"]


def test_what_is_wrong_with_a_file_is_told_once_for_all_its_documents() -> None:
    def refused(name: str, *diagnostics: dict[str, Any]) -> dict[str, Any]:
        return {
            "document": f"Service/default/{name}",
            "in_force": f"{name}.yaml:1",
            "diagnostics": [*diagnostics],
        }

    other = {**DIAGNOSTIC, "line": 8}
    held = [
        refused("a", DIAGNOSTIC),
        refused("b", other),
        refused("c", DIAGNOSTIC),
        refused("d", other, DIAGNOSTIC),
    ]
    lines = shown({**STATE, "configuration": {**STATE["configuration"], "refused": held, "diagnostics": []}})
    assert lines[lines.index("REFUSED DOCUMENTS") + 1 :] == [
        "  Service/default/a   the version read from a.yaml:1 stays in force",
        "  Service/default/c   the version read from c.yaml:1 stays in force",
        "      rules.yaml:11: error IST0106 spec.http[0]: is wrong",
        "  Service/default/b   the version read from b.yaml:1 stays in force",
        "      rules.yaml:8: error IST0106 spec.http[0]: is wrong",
        "  Service/default/d   the version read from d.yaml:1 stays in force",
        "      rules.yaml:8: error IST0106 spec.http[0]: is wrong",
        "      rules.yaml:11: error IST0106 spec.http[0]: is wrong",
    ]


def test_secrets_that_are_not_there_are_seen() -> None:
    (proxy,) = STATE["proxies"]

    def row(**changes: Any) -> str:
        types = {**proxy["types"], "SDS": type_status("ACKED", **changes)}
        return shown({**STATE, "proxies": [{**proxy, "types": types}]})[2]

    assert "ACKED 1 of 2  1m01s" in row(resources=1, subscribed=2, missing=["kubernetes://shop"])
    assert "ACKED 2  1m01s" in row(resources=2, subscribed=3)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_the_server_says_is_printed_as_it_is(mizzen: Command) -> None:
    with answering(200, json.dumps(STATE)) as address:
        ended = mizzen("status", "--admin", address, "-o", "json")
    assert ended.code == 0
    assert json.loads(ended.out) == STATE


@pytest.mark.parametrize(
    ("rejections", "refused", "code"),
    [([], [], 0), (STATE["rejections"], [], 1), ([], STATE["configuration"]["refused"], 1)],
)
def test_a_script_can_fail_on_what_is_rejected(
    mizzen: Command, rejections: list[Any], refused: list[Any], code: int
) -> None:
    state = {
        **STATE,
        "rejections": rejections,
        "configuration": {**STATE["configuration"], "refused": refused},
    }
    with answering(200, json.dumps(state)) as address:
        assert mizzen("status", "--admin", address, "--fail-on-rejected").code == code
        assert mizzen("status", "--admin", address).code == 0


def test_no_server(mizzen: Command) -> None:
    address = f"127.0.0.1:{free_port()}"
    ended = mizzen("status", "--admin", address)
    assert ended.code == 1
    assert ended.err.startswith(f"mizzen: no server answers at {address} ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (404, "{}"), (200, "[]"), (200, "{}")])
def test_a_server_that_is_something_else(mizzen: Command, status: int, body: str) -> None:
    with answering(status, body) as address:
        ended = mizzen("status", "--admin", address)
    assert ended.code == 1
    assert f"what answers at {address} is not a Mizzen server" in ended.err


def test_an_error_of_the_server_is_no_status(mizzen: Command) -> None:
    with answering(500, json.dumps(STATE)) as address:
        ended = mizzen("status", "--admin", address)
    assert ended.code == 1
    assert "(HTTP 500)" in ended.err


def test_no_proxy_of_the_environment_hears_of_it(mizzen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with answering(200, json.dumps(STATE)) as address:
        assert mizzen("status", "--admin", f"http://{address}/").code == 0


def test_an_address_without_a_port_gets_an_example_of_an_admin_address(mizzen: Command) -> None:
    ended = mizzen("status", "--admin", "127.0.0.1")
    assert ended.code == 2
    assert ended.err == (
        "mizzen: --admin: '127.0.0.1' is not an address; write HOST:PORT, for example 127.0.0.1:15014\n"
    )


def test_a_server_that_listens_on_every_interface_is_asked_on_this_machine(mizzen: Command) -> None:
    with answering(200, json.dumps(STATE)) as address:
        port = address.rpartition(":")[2]
        assert mizzen("status", "--admin", f":{port}").code == 0


def test_what_is_waited_for_and_what_the_state_directory_gave_is_said() -> None:
    [refused] = STATE["configuration"]["refused"]
    since = "2026-01-31T12:00:00+00:00"
    restored = [
        {"document": "Service/default/a", "origin": "a.yaml:1", "since": since},
        {"document": refused["document"], "origin": "rules.yaml:4", "since": since},
    ]
    configuration = {
        **STATE["configuration"],
        "refused": [{**refused, "restored": since}],
        "restored": restored,
    }
    server = {**STATE["server"], "ready": False, "waiting_for": ["a.yaml:3: is wrong"]}
    lines = shown(
        {**STATE, "server": {**server, "state_error": "it is full"}, "configuration": configuration}
    )
    assert lines[0].endswith("   waiting")
    place = lines.index("NO PROXY IS SERVED YET (Envoys keep what they have), WAITING FOR")
    assert lines[place + 1] == "  a.yaml:3: is wrong"
    said = f"in force: the version of {since} from the state directory, since"
    assert f"  {refused['document']}   {said} the file's is refused" in lines
    assert not any("stays in force" in line for line in lines)
    place = lines.index("STATE DIRECTORY")
    assert lines[place + 1 : place + 3] == [
        "  it is full",
        f"  Service/default/a   {said} a.yaml:1 cannot be read now",
    ]


def test_faults_of_mizzen_are_told_first() -> None:
    assert not any("FAILED" in line for line in shown(STATE))
    noted = {"what": "a translation failed", "times": 2, "since": "2030-01-02T03:04:05+00:00"}
    server = {**STATE["server"], "faults": [{**noted, "seconds_ago": 61.0}]}
    assert shown({**STATE, "server": server})[1:4] == [
        "",
        "MIZZEN FAILED (its log says more; please report it)",
        "  a translation failed   2 times since 2030-01-02T03:04:05+00:00, last 1m01s ago",
    ]


def test_secrets_that_are_waited_for_are_named() -> None:
    (proxy,) = STATE["proxies"]
    sds = type_status("ACKED", subscribed=2, resources=1, missing=["kubernetes://shop"])
    lines = shown({**STATE, "proxies": [{**proxy, "types": {"SDS": sds}}]})
    place = lines.index("SECRETS THAT ARE NOT THERE (connections that need them fail)")
    assert lines[place + 1] == "  reviews-v1.default: kubernetes://shop"


def test_what_many_reject_has_the_lines_of_each() -> None:
    one, other = STATE["rejections"]
    (resource,) = other["resources"]
    other = {**other, "resources": [{**resource, "origins": ["gateway.yaml:7", "other.yaml:9"]}]}
    assert "from gateway.yaml:7, other.yaml:9 (" in plain({**STATE, "rejections": [other, one]})


def test_what_is_piped_has_no_blanks_at_the_end_of_a_line_and_no_line_is_broken() -> None:
    (rejection, *_) = STATE["rejections"]
    words = "cannot bind " * 50
    text = plain({**STATE, "rejections": [{**rejection, "message": words.strip()}]})
    assert words.strip() in text
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert text.endswith("is odd\n")


def test_a_server_that_is_asked_under_a_name_that_it_does_not_know(mizzen: Command) -> None:
    with answering(421, "'box' is not a name of this admin address; use --admin-host box\n") as address:
        ended = mizzen("status", "--admin", address)
    assert (ended.code, ended.out) == (1, "")
    assert (
        ended.err == f"mizzen: {address}: 'box' is not a name of this admin address; use --admin-host box\n"
    )
