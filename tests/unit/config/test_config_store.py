"""What stays in force while files change: one case for each promise of the store."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.config import (
    Config,
    ConfigChange,
    ConfigKey,
    ConfigStore,
    Diagnostic,
    Document,
    ParsedFile,
    contained_typing,
    parse_documents,
    typed_documents,
)
from mizzen.config.group_kinds import SIDECAR


def sidecar(name: str, host: str = "./*") -> str:
    return (
        f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\n"
        f"spec: {{egress: [{{hosts: ['{host}']}}]}}\n---\n"
    )


def key(name: str) -> ConfigKey:
    return SIDECAR.key("default", name)


class Files:
    """A store, and the files that it is fed with."""

    def __init__(self) -> None:
        self.store = ConfigStore()

    def write(self, **texts: str | None) -> ConfigChange:
        files: dict[str, ParsedFile | None] = {}
        for name, text in texts.items():
            files[name] = None if text is None else parse_documents(text.encode(), name)
        return self.store.apply(files)

    def get(self, name: str) -> Config[object]:
        config = self.store.get(key(name))
        assert config is not None
        return config

    def hosts(self, name: str) -> str:
        spec: object = self.get(name).spec
        return str(spec.egress[0].hosts[0])  # type: ignore[attr-defined]

    def messages(self) -> list[str]:
        return [str(each) for each in self.store.diagnostics()]


def moved(change: ConfigChange) -> list[str]:
    return [config.name for config in change.moved.values()]


def names(change: ConfigChange) -> tuple[list[str], list[str]]:
    return [config.name for config in change.updated], [gone.name for gone in change.removed]


def test_what_is_valid_comes_into_force_in_order() -> None:
    files = Files()
    change = files.write(b=sidecar("yy"), a=sidecar("z") + sidecar("x"))
    assert names(change) == (["x", "yy", "z"], [])
    assert [config.name for config in files.store.configs()] == ["x", "yy", "z"]
    assert not files.write(b=sidecar("yy"))


def test_an_invalid_version_is_refused_and_the_last_valid_one_stays() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"))
    before = files.get("x")
    change = files.write(a=sidecar("x", "nonsense") + sidecar("yy", "*/*"))
    assert names(change) == (["yy"], [])
    assert files.get("x") is before
    refusal = files.store.refused()[key("x")]
    assert str(refusal.in_force) == "a:1"
    assert [each.origin.file for each in refusal.diagnostics] == ["a"] * len(refusal.diagnostics)
    assert files.messages()
    assert names(files.write(a=sidecar("x", "*/*") + sidecar("yy", "*/*"))) == (["x"], [])
    assert files.store.refused() == {}
    assert files.messages() == []


def test_a_document_that_mizzen_fails_to_check_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def to_config(document: Document) -> tuple[Config[Any] | None, tuple[Diagnostic, ...]]:
        if document.name == "x" and "odd" in str(document.content):
            raise TypeError("unhashable type: 'dict'")
        return typed_documents.to_config(document)

    monkeypatch.setattr(contained_typing, "to_config", to_config)
    files = Files()
    files.write(a=sidecar("x"))
    change = files.write(a=sidecar("x", "odd/*"), b=sidecar("yy"))
    assert names(change) == (["yy"], [])
    assert files.hosts("x") == "./*"
    (message,) = files.messages()
    assert message.startswith(
        "a:1: Sidecar/default/x cannot be checked: TypeError: unhashable type: 'dict' "
        "in to_config (test_config_store.py:"
    ), message
    assert names(files.write(a=sidecar("x", "*/*"))) == (["x"], [])
    assert files.messages() == []


def test_taking_a_bad_change_back_changes_nothing() -> None:
    files = Files()
    files.write(a=sidecar("x"))
    before = files.get("x")
    for bad in (sidecar("x", "nonsense"), "a: [", sidecar("x").replace("spec:", "spec: {}\nspec:"), "x: 1\n"):
        assert not files.write(a=bad), bad
        assert files.messages()
        assert not files.write(a=sidecar("x"))
        assert files.get("x") is before
        assert files.messages() == []


def test_a_document_that_never_was_valid_is_refused_with_nothing_in_force() -> None:
    files = Files()
    assert not files.write(a=sidecar("x", "nonsense"))
    assert files.store.refused()[key("x")].in_force is None
    assert files.store.configs() == ()


def test_a_broken_file_keeps_everything_it_had() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"), b=sidecar("z"))
    assert not files.write(a=sidecar("x", "*/*") + "spec: [\n")
    assert [config.name for config in files.store.configs()] == ["x", "yy", "z"]
    assert files.hosts("x") == "./*"
    assert set(files.store.refused()) == {key("x"), key("yy")}
    assert all(refusal.diagnostics for refusal in files.store.refused().values())
    assert len(files.messages()) == 1
    change = files.write(a=sidecar("yy"))
    assert (names(change), moved(change)) == (([], ["x"]), ["yy"])


def test_a_broken_file_still_shows_what_else_is_wrong_in_it() -> None:
    files = Files()
    files.write(a=sidecar("x", "nonsense") + "spec: [\n")
    assert len({message.split(": ")[0] for message in files.messages()}) > 1


def test_deleted_documents_and_files_are_removed() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"), b=sidecar("z"))
    change = files.write(a=sidecar("yy"))
    assert (names(change), moved(change)) == (([], ["x"]), ["yy"])
    assert names(files.write(a="")) == ([], ["yy"])
    assert names(files.write(b=None, c=None)) == ([], ["z"])
    assert files.store.configs() == ()


def test_a_moved_document_is_an_update_and_no_removal() -> None:
    files = Files()
    files.write(a=sidecar("x"))
    change = files.write(a=None, b="\n" + sidecar("x"))
    assert names(change) == (["x"], [])
    assert str(files.get("x").origin) == "b:2"
    change = files.write(b="", a=sidecar("x"))
    assert names(change) == (["x"], [])


def test_a_document_moved_and_spoilt_keeps_its_last_valid_version() -> None:
    files = Files()
    files.write(a=sidecar("x"))
    assert not files.write(a=None, b=sidecar("x", "nonsense"))
    assert files.hosts("x") == "./*"
    assert str(files.store.refused()[key("x")].in_force) == "a:1"
    assert names(files.write(b=None)) == ([], ["x"])


def test_an_inherited_version_gives_way_to_a_valid_document() -> None:
    files = Files()
    files.write(b=sidecar("x"))
    files.write(b=None, a=sidecar("x", "nonsense"))
    assert files.hosts("x") == "./*"
    assert names(files.write(b=sidecar("x", "*/*"))) == (["x"], [])
    assert files.hosts("x") == "*/*"


def test_a_document_without_a_name_proves_no_removal() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"))
    nameless = sidecar("x").replace("name: x", "nme: x")
    change = files.write(a=nameless + sidecar("yy", "*/*"))
    assert names(change) == (["yy"], [])
    assert files.hosts("x") == "./*"
    # Shown elsewhere, it is that one's.
    assert names(files.write(b=sidecar("x", "*/*"))) == (["x"], [])
    assert files.hosts("x") == "*/*"
    assert names(files.write(b=None)) == (["x"], [])
    change = files.write(a=sidecar("yy", "*/*"))
    assert (names(change), moved(change)) == (([], ["x"]), ["yy"])


def test_of_equal_keys_the_first_file_and_line_is_in_force() -> None:
    files = Files()
    files.write(b=sidecar("x", "*/*"))
    assert files.messages() == []
    change = files.write(a=sidecar("x") + sidecar("x", "~/*"))
    assert names(change) == (["x"], [])
    assert files.hosts("x") == "./*"
    twice = "Sidecar/default/x is written twice, first at a:1, which counts; remove or rename one of them"
    assert files.messages() == [f"a:6: {twice}", f"b:1: {twice}"]
    assert names(files.write(a=None)) == (["x"], [])
    assert files.hosts("x") == "*/*"
    assert files.messages() == []


def test_an_invalid_first_leaves_the_valid_second_in_force() -> None:
    files = Files()
    files.write(a=sidecar("x", "nonsense"), b=sidecar("x"))
    assert files.hosts("x") == "./*"
    assert str(files.store.refused()[key("x")].in_force) == "b:1"


def test_an_unchanged_document_keeps_its_object() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"), b=sidecar("z"))
    before = {name: files.get(name) for name in ("x", "yy", "z")}
    text = sidecar("x", "*/*").replace("name: x", "name:  'x'") + sidecar("yy").replace("---", "---  # end")
    assert names(files.write(a=text)) == (["x"], [])
    assert files.get("yy") is before["yy"]
    assert files.get("z") is before["z"]


def test_a_document_that_only_moved_has_new_lines_and_its_old_spec() -> None:
    files = Files()
    files.write(a=sidecar("w") + sidecar("x"))
    before = files.get("x")
    text = sidecar("w") + "# a comment\n\n" + sidecar("x").replace("spec:", "# another\nspec:") + sidecar("z")
    change = files.write(a=text)
    assert (names(change), moved(change)) == ((["z"], []), ["x"])
    after = files.get("x")
    assert after is not before
    assert after.spec is before.spec
    assert (str(after.origin), after.origin_of("spec", "egress").line) == ("a:8", 12)
    assert (str(before.origin), before.origin_of("spec", "egress").line) == ("a:6", 9)


def test_diagnostics_move_with_their_document() -> None:
    files = Files()
    text = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
        "  hosts: [a.com]\n  http:\n"
        "  - route: [{destination: {host: a.com}}]\n"
        "  - route: [{destination: {host: b.com}}]\n"
    )
    files.write(a=text)
    first = files.store.diagnostics()
    assert first
    assert moved(files.write(a="\n\n\n" + text)) == ["v"]
    now = files.store.diagnostics()
    assert [each.message for each in now] == [each.message for each in first]
    assert [each.origin.line for each in now] == [each.origin.line + 3 for each in first]


def test_diagnostics_are_ordered_by_place() -> None:
    files = Files()
    files.write(b="a: [", a=sidecar("x", "nonsense") + "kind: Sidecar\n")
    origins = [each.origin for each in files.store.diagnostics()]
    assert origins == sorted(origins)
    assert {origin.file for origin in origins} == {"a", "b"}


BROKEN = "kind: [\n"
REFUSED = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: %s}\nspec: {}\nspec: {}\n---\n"


def test_what_is_refused_in_several_files_is_all_told() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"), b=sidecar("z"))
    files.write(a=sidecar("x", "no") + sidecar("yy", "no"), b=sidecar("z", "no"), c=sidecar("new", "no"))
    told = {found.key.name: str(found.in_force) for found in files.store.refused().values()}
    assert told == {"x": "a:1", "yy": "a:6", "z": "b:1", "new": "None"}
    assert all(found.diagnostics for found in files.store.refused().values())


def test_a_document_whose_kind_is_misspelt_is_told_with_what_stays_in_force() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"))
    files.write(a=sidecar("x").replace("Sidecar", "Sidecra") + sidecar("yy"))
    (refusal,) = files.store.refused().values()
    assert (refusal.key, str(refusal.in_force)) == (key("x"), "a:1")
    assert [str(why) for why in refusal.diagnostics] == files.messages()
    files.write(b=sidecar("x"))
    assert files.store.refused() == {}, "the document was moved"


def test_a_broken_file_refuses_all_that_it_had_and_says_why_once() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy"))
    files.write(a=sidecar("x") + sidecar("yy") + BROKEN)
    refused = files.store.refused()
    assert {found.key.name for found in refused.values()} == {"x", "yy"}
    assert len(files.messages()) == 1
    for found in refused.values():
        assert [str(why) for why in found.diagnostics] == files.messages(), "the reason is that of the file"
    files.write(a=sidecar("x") + sidecar("yy"))
    assert files.store.refused() == {}
    assert files.messages() == []


def test_a_broken_file_shows_its_refused_documents_too() -> None:
    files = Files()
    files.write(a=REFUSED % "x" + BROKEN)
    assert any("the key is there twice" in message for message in files.messages())
    assert len(files.messages()) == 2


def test_of_a_refused_and_a_valid_document_of_one_key_the_first_counts() -> None:
    files = Files()
    files.write(a=REFUSED % "x" + sidecar("x"))
    assert files.store.get(key("x")) is None
    assert [message.partition(";")[0].split(": ", 1)[1] for message in files.messages()][-1].startswith(
        "Sidecar/default/x is written twice, first at a:1"
    )
    files.write(a=sidecar("x") + REFUSED % "x")
    assert files.get("x").origin.line == 1


def test_all_documents_stay_when_one_does_not_say_what_it_is() -> None:
    files = Files()
    files.write(a=sidecar("x") + sidecar("yy") + sidecar("z"))
    change = files.write(a=sidecar("x") + "kind: Sidecar\n---\n")
    assert names(change) == ([], [])
    assert [config.name for config in files.store.configs()] == ["x", "yy", "z"]
    change = files.write(a=sidecar("x"))
    assert names(change) == ([], ["yy", "z"])


def test_what_is_wrong_with_a_refused_document_is_told_in_the_order_of_its_lines() -> None:
    lines = ["apiVersion: networking.istio.io/v1", "kind: VirtualService", "metadata: {name: x}", "spec:"]
    lines += ["  hosts: [x]", "  http:"]
    lines += ["  - route: [{destinatio: {host: x}}]"] * 6
    store = ConfigStore()
    store.apply({"a": parse_documents("\n".join(lines).encode(), "a")})
    [refusal] = store.refused().values()
    told = [each.origin.line for each in refusal.diagnostics]
    assert told == sorted(told)
    assert set(told) == {7, 8, 9, 10, 11, 12}
