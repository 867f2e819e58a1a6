"""The store in any sequence of batches: its history must not show, and nothing good may be lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.config import Config, ConfigKey, ConfigStore, ParsedFile, parse_documents


@dataclass(frozen=True)
class Doc:
    name: str
    host: str
    blank_lines: int = 0

    def text(self) -> str:
        return "\n" * self.blank_lines + (
            f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {self.name}}}\n"
            f"spec: {{egress: [{{hosts: ['{self.host}']}}]}}\n---\n"
        )


Content = tuple[Doc, ...] | str | None
"""What a file holds: documents, a text that is no good, or nothing, as it is gone."""

valid_docs = st.builds(Doc, st.sampled_from("uvw"), st.sampled_from(["./*", "*/*", "~/*"]), st.integers(0, 2))
any_docs = valid_docs | st.builds(Doc, st.sampled_from("uvw"), st.just("nonsense"))
valid_content: st.SearchStrategy[Content] = st.none() | st.lists(valid_docs, max_size=3).map(tuple)
any_content: st.SearchStrategy[Content] = (
    st.none()
    | st.lists(any_docs, max_size=3).map(tuple)
    | st.sampled_from(["a: [\n", "kind: Sidecar\n", "", Doc("u", "./*").text() + "kind: Sidecar\n"])
)
files = st.sampled_from("abc")


def parsed(name: str, content: Content) -> ParsedFile | None:
    if content is None:
        return None
    text = content if isinstance(content, str) else "".join(doc.text() for doc in content)
    return parse_documents(text.encode(), name)


def apply(
    store: ConfigStore, batch: Mapping[str, Content]
) -> tuple[dict[ConfigKey, Config[object]], set[ConfigKey]]:
    change = store.apply({name: parsed(name, content) for name, content in batch.items()})
    updated = {config.key: config for config in change.updated}
    assert not updated.keys() & change.moved.keys()
    return updated | dict(change.moved), set(change.removed)


def shown(store: ConfigStore) -> object:
    configs = [
        (config.key, config.spec, config.origin, config.origin_of("spec")) for config in store.configs()
    ]
    return configs, store.diagnostics(), store.refused()


@given(st.lists(st.dictionaries(files, valid_content, min_size=1)))
def test_any_way_to_a_state_shows_the_same_as_the_state_at_once(batches: list[dict[str, Content]]) -> None:
    store, at_once = ConfigStore(), ConfigStore()
    final: dict[str, Content] = {}
    for batch in batches:
        apply(store, batch)
        final.update(batch)
    apply(at_once, final)
    assert shown(store) == shown(at_once)


@settings(max_examples=200)
@given(
    st.lists(st.dictionaries(files, any_content, min_size=1)),
    st.fixed_dictionaries(dict.fromkeys("abc", valid_content)),
)
def test_after_any_mistakes_a_repair_shows_no_trace_of_them(
    batches: list[dict[str, Content]], repair: dict[str, Content]
) -> None:
    store, fresh = ConfigStore(), ConfigStore()
    for batch in batches:
        apply(store, batch)
    apply(store, repair)
    apply(fresh, repair)
    assert shown(store) == shown(fresh)


@settings(max_examples=200)
@given(st.lists(st.dictionaries(files, any_content, min_size=1)))
def test_changes_add_up_and_nothing_is_lost_by_a_mistake(batches: list[dict[str, Content]]) -> None:
    store = ConfigStore()
    followed: dict[ConfigKey, Config[object]] = {}
    files_now: dict[str, Content] = {}
    for batch in batches:
        before = {config.key: config for config in store.configs()}
        files_before = dict(files_now)
        updated, removed = apply(store, batch)
        files_now.update(batch)
        followed.update(updated)
        for key in removed:
            del followed[key]
        now = {config.key: config for config in store.configs()}
        assert now == followed
        for key in removed:
            # Only what no file shows any more is removed.
            assert not any(shows(content, key) for content in files_now.values())
        for key in before.keys() & now.keys():
            file = before[key].origin.file
            if (
                before[key].spec == now[key].spec
                and file == now[key].origin.file
                and shows(files_before.get(file), key)
                and shows(files_now.get(file), key)
            ):
                assert before[key].spec is now[key].spec
                moved = before[key].origin_of("spec") != now[key].origin_of("spec")
                assert (before[key] is now[key]) is not moved


def shows(content: Content, key: ConfigKey) -> bool:
    return isinstance(content, tuple) and any(doc.name == key.name for doc in content)


@given(st.lists(st.dictionaries(files, any_content, min_size=1)))
def test_saying_the_same_again_changes_nothing(batches: list[dict[str, Content]]) -> None:
    store = ConfigStore()
    for batch in batches:
        apply(store, batch)
        before = shown(store)
        objects = store.configs()
        assert apply(store, batch) == ({}, set())
        assert shown(store) == before
        assert all(one is other for one, other in zip(store.configs(), objects, strict=True))
