import subprocess
import sys
from pathlib import Path

import pytest
from envoy.config.core.v3 import base_pb2

import mizzen

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{name: http, port: 9080}]}
"""
NODE = {"id": "sidecar~10.0.0.7~client.default~default.svc.cluster.local"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "service.yaml").write_text(SERVICE)
    return tmp_path


def test_from_files_to_messages(folder: Path) -> None:
    resources = mizzen.translate(mizzen.load(folder), mizzen.Proxy.from_node(NODE))
    names = [cluster.name for cluster in resources.clusters]
    assert "outbound|9080||reviews.default.svc.cluster.local" in names
    assert names == sorted(names)
    assert [listener.name for listener in resources.listeners]
    assert [route.name for route in resources.routes]
    assert resources.secrets == []
    [endpoints] = [each for each in resources.endpoints if "reviews" in each.cluster_name]
    assert endpoints.cluster_name in names


def test_a_node_may_be_a_message(folder: Path) -> None:
    mesh = mizzen.load(folder)
    of_message = mizzen.translate(mesh, mizzen.Proxy.from_node(base_pb2.Node(id=NODE["id"])))
    assert of_message == mizzen.translate(mesh, mizzen.Proxy.from_node(NODE))


def test_all_errors_are_listed_with_their_places(folder: Path) -> None:
    bad = folder / "bad.yaml"
    bad.write_text(
        SERVICE.replace("reviews", "a").replace("9080", "high") + "---\n" + SERVICE.replace("reviews", "B_b")
    )
    with pytest.raises(mizzen.ConfigError) as error:
        mizzen.load(folder)
    lines = str(error.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{bad}:4", f"{bad}:8"]
    assert [str(each) for each in error.value.diagnostics if each.severity == "error"] == lines


def test_what_is_valid_can_be_had_without_the_rest(folder: Path) -> None:
    (folder / "bad.yaml").write_text(SERVICE.replace("reviews", "a").replace("9080", "high"))
    mesh = mizzen.load(folder, strict=False)
    resources = mizzen.translate(mesh, mizzen.Proxy.from_node(NODE))
    services = {cluster.name for cluster in resources.clusters if cluster.name.startswith("outbound|")}
    assert services == {"outbound|9080||reviews.default.svc.cluster.local"}


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(mizzen.ConfigError, match="nothing-here"):
        mizzen.load(tmp_path / "nothing-here")


def test_a_mesh_configuration_counts(folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "mesh.conf"
    settings.write_text("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")
    proxy = mizzen.Proxy.from_node(NODE)
    with_it = mizzen.translate(mizzen.load(folder, mesh_config=settings), proxy)
    assert str(with_it.routes) != str(mizzen.translate(mizzen.load(folder), proxy).routes)


def test_a_node_that_is_no_proxy() -> None:
    with pytest.raises(mizzen.NodeError, match="sidecar~"):
        mizzen.Proxy.from_node({"id": "x"})


def test_the_public_names_are_those_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python-api.md").read_text()
    for name in mizzen.__all__:
        assert getattr(mizzen, name) is not None
        assert f"mizzen.{name}" in page, f"docs/python-api.md does not tell of mizzen.{name}"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mizzen.nothing  # noqa: B018


def test_importing_mizzen_loads_nothing() -> None:
    program = "import sys, mizzen; print(sorted(name for name in sys.modules if name.startswith('mizzen')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['mizzen']"


def test_the_protocol_library_comes_alone() -> None:
    program = (
        "import sys; from mizzen import xds; xds.Snapshot; "
        "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('mizzen.')}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['persistent', 'xds']"
