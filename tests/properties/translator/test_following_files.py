"""However files change, a translation that follows them ends where one that starts from nothing ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.analysis import analyze
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds.resource import Resource
from tests.properties.translator.changing_meshes import FILES, MESH_CONFIGS, PROXIES, meeting_documents
from tests.properties.translator.drawn_world import NETWORKING, document

Contents = dict[str, list[dict[str, Any]] | None]
"""What files hold, None for one that goes."""


@dataclass(frozen=True)
class Batch:
    """Changes that come at once. `unrelated` changes come before, one by one; `silent` are the proxies that
    nobody asks for after the batch, by their places. After it so many lines of comment are put above
    everything (`comments`), and each field on a line of its own: before, documents have one line."""

    files: Contents
    mesh_config: MeshConfig | None = None
    silent: set[int] = field(default_factory=set)
    unrelated: int = 0
    comments: int = 0


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    """What the files hold at first, and how they change."""
    documents = draw(meeting_documents())
    some = st.lists(documents, min_size=1, max_size=2)
    first = Batch(
        draw(st.fixed_dictionaries(dict.fromkeys(FILES, some))), draw(st.sampled_from(MESH_CONFIGS))
    )
    batches = st.builds(
        Batch,
        st.dictionaries(
            st.sampled_from(FILES),
            st.one_of(st.none(), st.lists(documents, max_size=3), some),
            min_size=1,
            max_size=3,
        ),
        st.sampled_from((None,) * 12 + MESH_CONFIGS),
        st.sets(st.integers(0, 2)),
        # So many that what is carried from snapshot to snapshot is forgotten.
        st.sampled_from((0,) * 20 + (15, 17, 35, 70)),
        st.sampled_from((0, 0, 1, 3)),
    )
    return [first, *draw(st.lists(batches, min_size=2, max_size=9))]


def unrelated(number: int) -> Contents:
    """A file whose documents are others each time."""
    service = {
        "hosts": ["unrelated.test"],
        "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
        "resolution": "STATIC",
        "subjectAltNames": [str(number)],
        "endpoints": [{"address": "10.7.0.1"}] * (number % 2),
    }
    policy = {"connectionPool": {"tcp": {"maxConnections": number + 1}}}
    rule = {"host": "unrelated.test", "trafficPolicy": policy}
    return {
        "unrelated.yaml": [
            document("ServiceEntry", NETWORKING, "default", "unrelated", spec=service),
            document("DestinationRule", NETWORKING, "default", "unrelated", spec=rule),
        ]
    }


class Follower:
    """The mesh and its translation as they follow what the files say."""

    def __init__(self, *, checking: bool = False) -> None:
        self.store = ConfigStore()
        self.mesh_config = MeshConfig()
        self.mesh = Mesh.build((), self.mesh_config)
        self.translation = Translation(self.mesh, checking=checking)
        self.files: Contents = {}
        self.comments = 0

    def change(self, files: Contents, mesh_config: MeshConfig | None = None) -> MeshDelta:
        self.mesh_config = mesh_config or self.mesh_config
        self.files |= files
        change = self.store.apply(
            {name: parsed(name, documents, self.comments) for name, documents in files.items()}
        )
        self.mesh, delta = self.mesh.updated(change, mesh_config)
        self.translation.update(self.mesh)
        return delta

    def put_comments_above(self, lines: int) -> None:
        """Put comments above everything, and fields on lines of their own: nothing that proxies are sent
        changes, only where it is written."""
        if lines:
            before = analyze(self.mesh)
            self.comments += lines
            assert self.change(self.files).is_empty
            known = sorted(str(diagnostic.current(self.mesh.current_origin)) for diagnostic in before)
            assert known == sorted(map(str, analyze(self.mesh)))


def parsed(name: str, documents: list[dict[str, Any]] | None, comments: int = 0) -> Any:
    if documents is None:
        return None
    written = (json.dumps(each, indent=1 if comments else None) for each in documents)
    text = "# a comment\n" * comments + "\n---\n".join(written)
    return parse_documents(text.encode(), name)


def sent(of: Translation, proxy: mizzen.Proxy) -> Any:
    """What a proxy is sent, by version and by the places that it comes from, and what could not be served."""
    resources = of.resources(proxy)
    versions = {
        kind: {name: (r.version, places(of.mesh, r)) for name, r in sorted(held.items())}
        for kind, held in resources.items()
    }
    lines = of.mesh.current_origin
    return versions, [diagnostic.current(lines) for diagnostic in resources.diagnostics]


def places(mesh: Mesh, resource: Resource) -> list[str]:
    """The places in files that a resource comes from, as they are now."""
    return sorted({str(mesh.current_origin(origin)) for origin in resource.origins})


def given_by(of: Translation, proxy: mizzen.Proxy) -> Any:
    """What a proxy is sent, by version, and what could not be served."""
    resources = of.resources(proxy)
    versions = {
        kind: {name: each.version for name, each in sorted(held.items())} for kind, held in resources.items()
    }
    return versions, resources.diagnostics


class Pushed:
    """What proxies were given by a server that asks for those only that a change concerns."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._given: dict[mizzen.Proxy, Any] = {}
        self._due: set[mizzen.Proxy] = set()

    def look(self) -> None:
        """Find out who has to be given something."""
        self._due.update(self._translation.concerned())

    def to(self, proxy: mizzen.Proxy) -> Any:
        """What the proxy has after it was given what it was due."""
        if proxy in self._due or proxy not in self._given:
            self._due.discard(proxy)
            self._given[proxy] = given_by(self._translation, proxy)
        return self._given[proxy]


@settings(max_examples=60)
@given(
    histories(),
    st.lists(st.sampled_from(PROXIES), min_size=3, max_size=3, unique=True),
)
def test_following_files_ends_where_a_new_build_ends(
    batches: list[Batch], proxies: list[mizzen.Proxy]
) -> None:
    follow(batches, proxies)


@settings(max_examples=15)
@given(
    histories(),
    st.lists(st.sampled_from(PROXIES), min_size=3, max_size=3, unique=True),
)
def test_no_read_of_a_translation_goes_unrecorded(batches: list[Batch], proxies: list[mizzen.Proxy]) -> None:
    follow(batches, proxies, checking=True)


def follow(batches: list[Batch], proxies: list[mizzen.Proxy], *, checking: bool = False) -> None:
    follower = Follower(checking=checking)
    pushed = Pushed(follower.translation)
    for number, batch in enumerate(batches):
        for step in range(batch.unrelated):
            follower.change(unrelated(step))
            # One proxy keeps up; the others fall behind by all of it.
            follower.translation.snapshot(proxies[0])
        follower.change(batch.files, batch.mesh_config)
        follower.put_comments_above(batch.comments)
        mesh = Mesh.build(follower.store.configs(), follower.mesh_config)
        anew = Translation(mesh)
        assert follower.mesh.diagnostics == mesh.diagnostics
        pushed.look()
        assert analyze(follower.mesh) == analyze(mesh)
        for place, proxy in enumerate(proxies):
            if place not in batch.silent or number == len(batches) - 1:
                (given, found), (expected, wanted) = pushed.to(proxy), given_by(anew, proxy)
                assert given == expected
                current = [diagnostic.current(follower.mesh.current_origin) for diagnostic in found]
                assert current == list(wanted)
                assert sent(follower.translation, proxy) == sent(anew, proxy)
