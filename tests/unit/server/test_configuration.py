from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mizzen.config import Document, ParsedFile, Severity, contained_typing, group_kinds, parse_documents
from mizzen.config.yaml_documents import unreadable_file
from mizzen.mesh.services import registry_edit
from mizzen.mesh.snapshot import Mesh
from mizzen.server.configuration import Configuration
from mizzen.server.former import FormerDocument, FormerDocuments
from mizzen.server.mesh_config_file import MeshConfigFile

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: 80}]}\n"
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    %s
"""


def parsed(text: str, file: str = "a.yaml") -> ParsedFile:
    return parse_documents(text.encode(), file)


def hostnames(mesh: Mesh) -> set[str]:
    return {f"{config.name}.{config.namespace}" for config in mesh.configs(group_kinds.SERVICE)}


def test_documents_are_counted_as_they_come_and_go() -> None:
    configuration = Configuration()
    configuration.apply({"a.yaml": parsed(SERVICE % "a"), "b.yaml": parsed(SERVICE % "b", "b.yaml")})
    assert configuration.view().documents == {"Service": 2}
    configuration.apply({"a.yaml": None})
    assert configuration.view().documents == {"Service": 1}
    configuration.apply({"b.yaml": None})
    assert configuration.view().documents == {}


def test_nothing_changed_is_said_so() -> None:
    configuration = Configuration()
    assert configuration.apply({"a.yaml": parsed(SERVICE % "a")}) is not None
    mesh = configuration.mesh
    assert configuration.apply({"a.yaml": parsed(SERVICE % "a" + "# a comment\n")}) is None
    assert configuration.mesh is mesh


def test_the_status_tells_of_the_refused_version_and_of_the_one_in_force() -> None:
    configuration = Configuration()
    configuration.apply({"a.yaml": parsed("\n" + SERVICE % "a")})
    configuration.apply({"a.yaml": parsed((SERVICE % "a").replace("80", "many"))})
    view = configuration.view()
    [refused] = view.as_json()["refused"]
    assert refused["document"] == "Service/default/a"
    assert refused["in_force"] == "a.yaml:2"
    [diagnostic] = refused["diagnostics"]
    assert (diagnostic["file"], diagnostic["line"], diagnostic["path"]) == ("a.yaml", 4, "spec.ports[0].port")
    assert view.count(Severity.ERROR) == 1
    assert hostnames(configuration.mesh) == {"a.default"}


def test_the_settings_of_a_file_follow_the_file_and_an_invalid_version_changes_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("rootNamespace: one\n")
    configuration = Configuration(MeshConfigFile(file))
    configuration.apply({"a.yaml": parsed(SERVICE % "a")})
    assert configuration.mesh.mesh_config.root_namespace == "one"

    file.write_text("rootNamespace: two\n")
    delta = configuration.apply({})
    assert delta is not None
    assert delta.everything
    assert configuration.mesh.mesh_config.root_namespace == "two"
    assert hostnames(configuration.mesh) == {"a.default"}

    for broken in ("rootNamespace: [3]\n", "{", ""):
        file.write_text(broken)
        assert configuration.apply({}) is None
        assert configuration.mesh.mesh_config.root_namespace == "two"
        assert str(file) in configuration.view().as_json()["diagnostics"][0]["file"]
    file.unlink()
    assert configuration.apply({}) is None
    assert configuration.view().count(Severity.ERROR) == 1


def test_without_a_file_the_config_map_counts() -> None:
    configuration = Configuration()
    configuration.apply({"m.yaml": parsed(SETTINGS % "rootNamespace: mapped", "m.yaml")})
    assert configuration.mesh.mesh_config.root_namespace == "mapped"
    configuration.apply({"m.yaml": None})
    assert configuration.mesh.mesh_config.root_namespace == "istio-system"


def test_a_fault_in_updating_the_mesh_is_healed_by_building_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = Configuration()
    configuration.apply({"a.yaml": parsed(SERVICE % "a")})

    def fails(self: Mesh, *arguments: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Mesh, "updated", fails)
    with capture_logs() as lines:
        delta = configuration.apply({"b.yaml": parsed(SERVICE % "b", "b.yaml")})
    assert delta is not None
    assert delta.everything
    assert hostnames(configuration.mesh) == {"a.default", "b.default"}
    assert [line["log_level"] for line in lines] == ["info", "error"]
    assert "in fails" in lines[1]["traceback"]
    assert configuration.faults.number == 1


def test_a_document_that_cannot_be_checked_is_counted_and_logged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(document: Document) -> None:
        raise RuntimeError("a\nfault")

    for begin in (False, True):
        configuration = Configuration()
        with monkeypatch.context() as broken:
            broken.setattr(contained_typing, "to_config", fails)
            files = {"a.yaml": parsed(SERVICE % "a")}
            with capture_logs() as lines:
                if begin:
                    former = FormerDocument("b.yaml", parsed(SERVICE % "b", "b.yaml").documents[0], 0.0)
                    configuration.begin(files, FormerDocuments([former]))
                else:
                    configuration.apply(files)
            expected = 2 if begin else 1
            assert configuration.faults.number == expected
            assert all(one.message.isprintable() for one in configuration.view().diagnostics)
            with capture_logs() as moved:
                configuration.apply({"a.yaml": parsed("# moved\n" + SERVICE % "a")})
            assert not [line for line in moved if line["log_level"] == "error"]
        told = [line for line in lines if line["log_level"] == "error"]
        assert sorted(line["document"] for line in told) == [
            f"Service/default/{name}" for name in "ab"[:expected]
        ]
        for line in told:
            assert "in fails" in line["traceback"]
            assert line["traceback"].endswith("RuntimeError"), "the message may quote a secret"
        configuration.apply({"c.yaml": parsed(SERVICE % "c", "c.yaml")})
        assert [(each["what"], each["times"]) for each in configuration.faults.as_json()] == [
            ("a document could not be checked", expected)
        ]


def test_a_build_that_fails_once_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("rootNamespace: one\n")
    configuration = Configuration(MeshConfigFile(file))
    configuration.apply({"a.yaml": parsed(SERVICE % "a")})
    build, built = Mesh.build, list[None]()

    def fails(*arguments: Any, **options: Any) -> Mesh:
        built.append(None)
        if len(built) == 1:
            raise RuntimeError("a fault")
        return build(*arguments, **options)

    monkeypatch.setattr(Mesh, "build", fails)
    file.write_text("rootNamespace: two\n")
    with capture_logs() as lines:
        configuration.apply({})
    assert configuration.mesh.mesh_config.root_namespace == "two"
    assert hostnames(configuration.mesh) == {"a.default"}
    assert [each["times"] for each in configuration.faults.as_json()] == [1]
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["exc_info"].__traceback__.tb_next.tb_frame.f_code.co_name == "_build"


def test_a_document_that_the_mesh_cannot_be_made_of_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = Configuration()
    configuration.apply({"a.yaml": parsed(SERVICE % "a"), "b.yaml": parsed(SERVICE % "b", "b.yaml")})
    declare = registry_edit.declare_services

    def fails(config: Any, settings: Any) -> Any:
        if config.name == "b" and config.spec.ports[0].port == 81:
            raise RuntimeError("a fault")
        return declare(config, settings)

    changed = (SERVICE % "b").replace("port: 80", "port: 81")
    assert changed != SERVICE % "b"
    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr(registry_edit, "declare_services", fails)
        configuration.apply({"b.yaml": parsed(changed, "b.yaml"), "c.yaml": parsed(SERVICE % "c", "c.yaml")})
        assert [line["log_level"] for line in lines] == ["info", "error"]
        assert configuration.faults.number == 1
        assert hostnames(configuration.mesh) == {"a.default", "b.default", "c.default"}
        view = configuration.view()
        (refusal,) = view.refused
        assert (str(refusal.key), str(refusal.origin)) == ("Service/default/b", "b.yaml:1")
        assert str(refusal.in_force) == "b.yaml:1", "its last version stays in force"
        assert "a fault" in refusal.diagnostics[0].message
        assert refusal.diagnostics[0] in view.diagnostics
        configuration.apply({"d.yaml": parsed(SERVICE % "d", "d.yaml")})
        assert "d.default" in hostnames(configuration.mesh)
        assert len(configuration.view().refused) == 1
    configuration.apply({"e.yaml": parsed(SERVICE % "e", "e.yaml")})
    assert configuration.view().refused == (), "it is tried again with the next change"
    service = configuration.mesh.registry.services["default", "b.default.svc.cluster.local"]
    assert [port.number for port in service.ports] == [81]


def test_what_changes_is_logged_and_endpoints_are_not() -> None:
    configuration = Configuration()
    with capture_logs() as lines:
        configuration.apply({"a.yaml": parsed(SERVICE % "a")})
    assert lines == [], "the first reading is told by the process"
    with capture_logs() as lines:
        configuration.apply({"a.yaml": parsed(SERVICE.replace("80", "81") % "a" + "---\n" + SERVICE % "b")})
        configuration.apply({"a.yaml": parsed(SERVICE % "b")})
        configuration.apply({"b.yaml": parsed("---\n".join(SERVICE % f"s{number}" for number in range(12)))})
        configuration.apply({"b.yaml": parsed("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n")})
        configuration.apply({"c.yaml": parsed("apiVersion: v1\nkind: Pod\nmetadata: {name: q}\n", "c.yaml")})
    first, second, third, _, pod = lines
    assert (first["event"], first["log_level"]) == ("configuration changed", "info")
    assert (first["added"], first["changed"]) == (["Service/default/b"], ["Service/default/a"])
    assert second["removed"] == ["Service/default/a"]
    assert "added" not in second
    assert len(third["added"]) == 11
    assert third["added"][-1] == "and 2 more"
    assert (pod["added"], pod["log_level"]) == (["Pod/default/q"], "debug")


def test_the_status_says_since_when_and_leaves_out_notices() -> None:
    configuration = Configuration()
    assert configuration.view().as_json() == {
        "documents": {},
        "changed": None,
        "errors": 0,
        "warnings": 0,
        "refused": [],
        "restored": [],
        "diagnostics": [],
    }
    before = datetime.now(UTC)
    skipped = "apiVersion: v1\nkind: Event\nmetadata: {name: e}\n"
    warned = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nSpec: {}\n"
    refused = (SERVICE % "b").replace("80", "many")
    configuration.apply({"a.yaml": parsed("---\n".join((SERVICE % "a", skipped, warned, refused)))})
    told = configuration.view().as_json()
    assert before <= datetime.fromisoformat(told["changed"]) <= datetime.now(UTC)
    assert list(told["documents"].items()) == [("Pod", 1), ("Service", 1)]
    assert (told["errors"], told["warnings"]) == (1, 1)
    assert [each["in_force"] for each in told["refused"]] == [None]
    assert {each["severity"] for each in told["diagnostics"]} == {"error", "warning"}
    assert any(each.severity is Severity.INFO for each in configuration.view().diagnostics)


def test_it_is_whole_when_nothing_is_refused_unread_or_misconfigured(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("rootNamespace: one\n")
    configuration = Configuration(MeshConfigFile(file))
    assert configuration.view().is_whole

    configuration.apply({"a.yaml": parsed((SERVICE % "a").replace("80", "many"))})
    assert not configuration.view().is_whole, "a document is refused"
    configuration.apply({"a.yaml": parsed("{")})
    assert not configuration.view().is_whole, "a file cannot be read"
    configuration.apply({"a.yaml": parsed("no document")})
    assert not configuration.view().is_whole, "who knows what it should be"
    configuration.apply({"a.yaml": parsed("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nSpec: {}\n")})
    assert configuration.view().is_whole, "a warning is no error"

    file.write_text("rootNamespace: [1]\n")
    configuration.apply({})
    assert not configuration.view().is_whole, "the settings are refused"
    file.write_text("unknownField: 1\n")
    configuration.apply({})
    errors = configuration.view().count(Severity.ERROR)
    assert configuration.view().is_whole is (errors == 0)


def test_the_mesh_has_the_domain_it_was_given_before_and_after_a_change() -> None:
    configuration = Configuration(domain="mesh.test")
    assert configuration.mesh.settings.domain == "mesh.test"
    configuration.apply({"a.yaml": parsed(SETTINGS % "rootNamespace: one")})
    assert configuration.mesh.settings.domain == "mesh.test"


def test_ten_changes_are_all_named_and_removed_endpoints_are_quiet() -> None:
    configuration = Configuration()
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
    configuration.apply({"p.yaml": parsed(pod, "p.yaml")})
    with capture_logs() as lines:
        configuration.apply({"b.yaml": parsed("---\n".join(SERVICE % f"s{number}" for number in range(10)))})
        configuration.apply({"p.yaml": None})
        configuration.apply({"b.yaml": None, "p.yaml": parsed(pod, "p.yaml")})
    first, second, third = lines
    assert first["added"] == [f"Service/default/s{number}" for number in range(10)]
    assert (second["removed"], second["log_level"]) == (["Pod/default/p"], "debug")
    assert (len(third["removed"]), third["log_level"]) == (10, "info")


def test_what_stays_in_force_of_a_path_is_said_only_if_something_does() -> None:
    configuration = Configuration()
    gone = unreadable_file("mesh", "does not exist")
    configuration.apply({"mesh": gone})
    assert [each.message for each in configuration.view().diagnostics] == ["does not exist"]
    text = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
    configuration.apply({"mesh": None, "mesh/a.yaml": parse_documents(text, "mesh/a.yaml")})
    configuration.apply({"mesh": gone})
    [said] = configuration.view().diagnostics
    assert said.message == "does not exist; what was read from it before stays in force"
