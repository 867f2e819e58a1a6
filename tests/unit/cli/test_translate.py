import json
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import Command

NODE = {"id": "sidecar~10.0.0.7~client.default~default.svc.cluster.local"}
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{name: http, port: 9080}], selector: {app: reviews}}
"""
CLUSTER = "outbound|9080||reviews.default.svc.cluster.local"
KINDS = ["clusters", "endpoints", "listeners", "routes", "secrets"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "service.yaml").write_text(SERVICE)
    (tmp_path / "node.json").write_text(json.dumps(NODE))
    return tmp_path


def test_everything_that_a_proxy_is_sent(mizzen: Command, folder: Path) -> None:
    ended = mizzen("translate", "--config", folder / "config", "--node", folder / "node.json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert list(content) == KINDS
    assert CLUSTER in [cluster["name"] for cluster in content["clusters"]]
    for kind in ("clusters", "listeners", "routes"):
        names = [resource["name"] for resource in content[kind]]
        assert names == sorted(names)
        assert names


def test_yaml_says_the_same_and_every_time(mizzen: Command, folder: Path) -> None:
    arguments = ("translate", "--config", folder / "config", "--node", folder / "node.json")
    as_json = mizzen(*arguments)
    assert yaml.safe_load(mizzen(*arguments, "-o", "yaml").out) == json.loads(as_json.out)
    assert mizzen(*arguments).out == as_json.out


def test_one_kind_alone(mizzen: Command, folder: Path) -> None:
    ended = mizzen(
        "translate", "--config", folder / "config", "--node", folder / "node.json", "--type", "routes"
    )
    assert list(json.loads(ended.out)) == ["routes"]


def test_several_paths_may_follow_one_option(mizzen: Command, folder: Path) -> None:
    (folder / "more.yaml").write_text(SERVICE.replace("reviews", "ratings"))
    ended = mizzen(
        "translate", "--config", folder / "config", folder / "more.yaml", "--node", folder / "node.json"
    )
    names = [cluster["name"] for cluster in json.loads(ended.out)["clusters"]]
    assert CLUSTER in names
    assert CLUSTER.replace("reviews", "ratings") in names


def test_what_is_refused_is_said_and_the_rest_is_translated(mizzen: Command, folder: Path) -> None:
    bad = folder / "config" / "bad.yaml"
    bad.write_text(SERVICE.replace("reviews", "ratings").replace("9080", "high"))
    ended = mizzen("translate", "--config", folder / "config", "--node", folder / "node.json")
    assert ended.code == 1
    assert f"error: {bad}:4: " in ended.err
    assert CLUSTER in ended.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{id: test}", "sidecar~10.0.0.7~"),
        ("- a list", "a node file is a mapping"),
        (
            f"{SERVICE}---\n{SERVICE}",
            "this is no Node, but documents of a mesh (the first is a Service)",
        ),
        ("{", "neither YAML nor JSON"),
        ("\x00\x01", "neither YAML nor JSON"),
    ],
)
def test_a_node_file_that_is_none(mizzen: Command, folder: Path, text: str, said: str) -> None:
    file = folder / "wrong.yaml"
    file.write_text(text)
    ended = mizzen("translate", "--config", folder / "config", "--node", file)
    assert ended.code == 1
    assert ended.err.startswith(f"mizzen: {file}: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_a_node_file_that_is_missing(mizzen: Command, folder: Path) -> None:
    ended = mizzen("translate", "--config", folder / "config", "--node", folder / "none.json")
    assert ended.code == 2
    assert "No such file" in ended.err


def test_a_bootstrap_serves_as_node_file(mizzen: Command, folder: Path) -> None:
    printed = mizzen("bootstrap", "--node", folder / "node.json")
    (folder / "bootstrap.yaml").write_text(printed.out)
    ended = mizzen("translate", "--config", folder / "config", "--node", folder / "bootstrap.yaml")
    assert CLUSTER in ended.out


def test_mistakes_in_the_node_are_warnings(mizzen: Command, folder: Path) -> None:
    node = folder / "node.json"
    node.write_text(json.dumps({**NODE, "metadata": {"LABELS": "x", "DNS_CAPTURE": "on"}}))
    ended = mizzen("translate", "--config", folder / "config", "--node", node)
    assert ended.code == 0
    said = [line for line in ended.err.splitlines() if str(node) in line]
    assert said == [
        f'warning: {node}: metadata DNS_CAPTURE, "on", is read as false; write "true" or "false"',
        f'warning: {node}: metadata LABELS is the text "x" and counts as absent; write a mapping, such as '
        "{app: reviews}",
    ]


def test_a_node_file_has_a_limit(mizzen: Command, folder: Path) -> None:
    node = folder.parent / "limit.yaml"
    text = "id: sidecar~10.0.0.7~a.b~b.svc.cluster.local\n"
    node.write_text(text + "#" * (1024 * 1024 - len(text)))
    assert "has more than" not in mizzen("translate", "--config", folder, "--node", node).err
    node.write_text(text + "#" * (1024 * 1024 - len(text) + 1))
    ended = mizzen("translate", "--config", folder, "--node", node)
    assert ended.code == 1
    assert ended.err == f"mizzen: {node}: has more than 1048576 bytes; give the node alone\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('id: x\nkey: "swordfish\n', 3),
        ("id: x\nkey: *swordfish\n", 2),
        ("id: x\nkey: swordfish: b\n", 2),
        ("id: x\nkey: !swordfish b\n", 2),
    ],
)
def test_a_bootstrap_that_is_no_yaml_shows_nothing_of_its_keys(
    mizzen: Command, folder: Path, text: str, line: int
) -> None:
    node = folder.parent / "bootstrap.yaml"
    node.write_text(text)
    ended = mizzen("translate", "--config", folder, "--node", node)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"mizzen: {node}: this is neither YAML nor JSON: on line {line}, ")
    assert "swordfish" not in ended.err
    assert ended.err.count("\n") == 1


def test_a_node_file_that_is_no_text(mizzen: Command, folder: Path) -> None:
    node = folder.parent / "latin.yaml"
    node.write_bytes(b"id: \xe9\n")
    ended = mizzen("translate", "--config", folder, "--node", node)
    assert ended.code == 1
    assert ended.err == f"mizzen: {node}: this is neither YAML nor JSON: it is not UTF-8; save it as UTF-8\n"
