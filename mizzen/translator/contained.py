"""Translation in which a faulty document does not stop the translation of all others.

    translation = ContainedTranslation(mesh)
    snapshot, diagnostics = translation.translate(proxy)
    translation.withheld                          # the documents that could not be translated

If translating for a proxy fails, a search by trial finds the faulty document (mesh/fault_search.py). Then the
proxy is served from a variant of the mesh: it has the last good version of that document, or leaves it out.
So the proxy gets exactly the result of a build without the faulty version, and gets all other changes.
Proxies for which the document can be translated are not affected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.config.faults import traceback_and_kind
from mizzen.config.group_kinds import (
    AUTHORIZATION_POLICY,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    ENDPOINTS,
    GATEWAY,
    PEER_AUTHENTICATION,
    POD,
    REQUEST_AUTHENTICATION,
    SECRET,
    SERVICE,
    SERVICE_ENTRY,
    SIDECAR,
    VIRTUAL_SERVICE,
    WORKLOAD_ENTRY,
)
from mizzen.mesh.changes.delta import DocumentChange, MeshDelta
from mizzen.mesh.fault_search import (
    Changed,
    TooManyFaultsError,
    Withheld,
    undone,
    without_faults,
)
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds.snapshot import Snapshot

Translated = tuple[Snapshot, tuple[Diagnostic, ...]]

MOST_VARIANTS: Final = 16
"""Largest number of variants, because every change must be applied to each. A proxy that needs one more gets
ProxyFaultError."""

_ORDER: Final = (
    SERVICE,
    SERVICE_ENTRY,
    WORKLOAD_ENTRY,
    POD,
    ENDPOINTS,
    ENDPOINT_SLICE,
    SECRET,
    PEER_AUTHENTICATION,
    REQUEST_AUTHENTICATION,
    AUTHORIZATION_POLICY,
    GATEWAY,
    SIDECAR,
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
)
"""The order in which the search adds documents. If two fail only together, the later one counts as faulty."""


class ProxyFaultError(Exception):
    """Nothing can be translated for this proxy, and no document was found to be the cause."""


@dataclass(slots=True, eq=False)
class _Variant:
    """The mesh with some documents withheld. `last` are the changes that led to its current mesh. `retries`:
    the withheld documents may be translatable now, so proxies try the whole mesh again."""

    translation: Translation
    withheld: dict[ConfigKey, Withheld]
    last: Sequence[DocumentChange] = ()
    retries: bool = False

    def update(
        self, whole: Translation, delta: MeshDelta, moved: Mapping[ConfigKey, Config[Any]]
    ) -> Exception | None:
        """Apply a change of the whole mesh, and its moves of documents. A new version of a withheld document
        is used as if it were good; if it is not, the search finds it again.

        Return an error that was overcome (`Translation.update`), or None.
        """
        mesh, before = whole.mesh, self.translation.mesh
        if delta.is_empty:
            return self.translation.update(before.with_moved(moved))
        overcome = None
        for key, one in list(self.withheld.items()):
            if mesh.config(key) is not one.wanted:
                del self.withheld[key]
        if delta.everything:
            kept = [(one.wanted, one.in_force) for one in self.withheld.values()]
            self.translation = whole.beside(mesh.updated(Changed(kept))[0])
            self.last = ()
        else:
            pairs = [(before.config(_key(change)), change[1]) for change in delta.documents]
            after, own = before.updated(Changed(pairs))
            overcome = self.translation.update(after.with_token_keys(mesh.token_keys)[0].with_moved(moved))
            self.last = own.documents
        self.retries = True
        return overcome


@dataclass(slots=True)
class _Trial:
    """A trial translation for one proxy."""

    translation: Translation
    proxy: Proxy

    def with_changes(self, pairs: Sequence[DocumentChange]) -> _Trial:
        """Return a trial with the changes applied. Raises any error of the translation; this trial stays
        unchanged."""
        trial = self.translation.fork(self.proxy)
        trial.update(trial.mesh.updated(Changed(pairs))[0])
        trial.translate(self.proxy)
        return _Trial(trial, self.proxy)


class ContainedTranslation:
    """The snapshot of each proxy, kept up to date with a mesh. `Translation` is the same without variants."""

    def __init__(self, mesh: Mesh) -> None:
        self._whole = Translation(mesh)
        self._last: Sequence[DocumentChange] = ()
        self._variants: list[_Variant] = []
        self._variant_of: WeakKeyDictionary[Proxy, _Variant] = WeakKeyDictionary()
        self._without_cause: WeakKeyDictionary[Proxy, str] = WeakKeyDictionary()
        self._overcome: list[str] = []
        self._left: WeakSet[Proxy] = WeakSet()
        """Proxies of variants that failed to apply a change."""

    @property
    def mesh(self) -> Mesh:
        """The mesh to translate, with all of its documents."""
        return self._whole.mesh

    @property
    def profiles(self) -> int:
        """The number of classes of proxies, in the whole mesh and in variants."""
        return self._whole.profiles + sum(each.translation.profiles for each in self._used())

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        """The documents that are left out or used at an earlier version for some proxy, sorted by key."""
        found = {one.key: one for variant in self._used() for one in variant.withheld.values()}
        return tuple(found[key] for key in sorted(found))

    def overcome(self) -> tuple[str, ...]:
        """Return the tracebacks of errors since the last call that had no effect on proxies and that no
        document caused. They are still errors of Mizzen."""
        found, self._overcome = self._overcome, []
        for translation in (self._whole, *(each.translation for each in self._used())):
            found += translation.overcome()
        return tuple(found)

    def _note(self, error: Exception | None) -> None:
        if error is not None:
            self._overcome.append(traceback_and_kind(error))

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        """Replace the mesh; `delta` is the difference from the last one. It is empty if only lines moved."""
        before = self._whole.mesh.moved
        self._note(self._whole.update(mesh))
        moved = {key: mesh.moved[key] for key in mesh.moved.differing(before) if key in mesh.moved}
        if not delta.is_empty:
            self._last = delta.documents
        self._variants = self._used()
        for variant in list(self._variants):
            try:
                self._note(variant.update(self._whole, delta, moved))
            except Exception as error:
                self._note(error)
                # Its proxies return to the whole mesh, where the search runs again if translation fails.
                self._variants.remove(variant)
                self._leave(variant)

    def knows(self, proxy: Proxy) -> bool:
        """Return whether the shared resources for `proxy` exist, or are known to fail
        (`Translation.knows`)."""
        return proxy in self._variant_of or self._whole.knows(proxy)

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do the costly work for a proxy of a new class in small steps (`Translation.prepare`)."""
        return iter(()) if self.knows(proxy) else self._whole.prepare(proxy)

    def forget_unused(self, proxies: Iterable[Proxy]) -> Iterator[None]:
        """Forget, in small steps, everything that none of these proxies needs. The mesh may be updated
        between the steps."""
        known = tuple(proxies)
        self._variants = self._used()
        self._whole.forget_unused(known)
        for variant in self._used():
            yield
            own = [proxy for proxy in known if self._variant_of.get(proxy) is variant]
            variant.translation.forget_unused(own)

    def concerned(self) -> Iterator[Proxy]:
        """Yield the proxies whose snapshots may differ (`Translation.concerned`)."""
        yield from tuple(self._without_cause)
        while self._left:
            yield self._left.pop()
        yield from self._whole.concerned()
        for variant in self._used():
            yield from variant.translation.concerned()
            if variant.retries:
                yield from [proxy for proxy, its in self._variant_of.items() if its is variant]

    def translate(self, proxy: Proxy) -> Translated:
        """Return everything that `proxy` should be sent now, and diagnostics for what cannot be served as
        written.

        Raises ProxyFaultError if nothing can be translated for it.
        """
        variant = self._variant_of.get(proxy) if self._variants else None
        if variant is not None and variant.retries:
            made = self._home(proxy, variant)
            if made is not None:
                return made
        current = variant.translation if variant is not None else self._whole
        try:
            made = current.translate(proxy)
        except Exception as error:
            made = self._contained(proxy, variant, error)
        self._without_cause.pop(proxy, None)
        return made

    def of(self, proxy: Proxy) -> Translation:
        """Return the translation from which `proxy` is served: of the whole mesh, or of a variant."""
        variant = self._variant_of.get(proxy)
        return variant.translation if variant is not None else self._whole

    def snapshot(self, proxy: Proxy) -> Snapshot:
        """Return everything that `proxy` should be sent now. Raises ProxyFaultError."""
        return self.translate(proxy)[0]

    def _home(self, proxy: Proxy, variant: _Variant) -> Translated | None:
        """Translate the whole mesh for a proxy that was served from a variant; None if that still fails."""
        try:
            self._whole.take_over(proxy, variant.translation)
            made = self._whole.translate(proxy)
        except Exception:
            variant.retries = False
            return None
        self._variant_of.pop(proxy, None)
        return made

    def _contained(self, proxy: Proxy, variant: _Variant | None, error: Exception) -> Translated:
        """Translate for a proxy as far as possible, after the translation failed with `error`."""
        current = variant.translation if variant is not None else self._whole
        if proxy in self._without_cause:
            # It failed before, and no document was the cause. So there is only one attempt for each change.
            raise ProxyFaultError(self._without_cause[proxy]) from error
        for known in reversed(self._used()):
            if known is not variant:
                try:
                    known.translation.take_over(proxy, current)
                    made = known.translation.translate(proxy)
                except Exception:  # noqa: S112 - the next one is tried
                    continue
                self._variant_of[proxy] = known
                return made
        rebuilt = self._rebuilt(proxy, current)
        if rebuilt is not None:
            self._note(error)
            return rebuilt
        found = self._search(proxy, variant) if len(self._used()) < MOST_VARIANTS else None
        if found is not None and found.withheld.keys() <= (variant.withheld.keys() if variant else set()):
            self._note(error)  # all documents together fail, and each of them does not
        if found is None:
            self._variant_of.pop(proxy, None)
            words = " ".join(str(error).split())[:200]
            self._without_cause[proxy] = f"{type(error).__name__}: {words}"
            raise ProxyFaultError(self._without_cause[proxy]) from error
        self._variants.append(found)
        self._variant_of[proxy] = found
        return found.translation.translate(proxy)

    @staticmethod
    def _rebuilt(proxy: Proxy, current: Translation) -> Translated | None:
        """Translate without remembered results, because they may be the cause, and not a document."""
        alone = current.beside(current.mesh)
        try:
            made = alone.translate(proxy)
        except Exception:
            return None
        current.rebuild(proxy)
        current.take_over(proxy, alone)
        return made

    def _search(self, proxy: Proxy, variant: _Variant | None) -> _Variant | None:
        """Return a variant of the mesh that can be translated for `proxy`, or None. Search for faulty
        documents first among the last changes, then among all documents."""
        current = variant.translation if variant is not None else self._whole
        last = variant.last if variant is not None else self._last
        withheld = variant.withheld if variant is not None else {}
        for start, changes in (self._before(proxy, current, last), self._nothing(proxy, current)):
            if start is None:
                continue
            try:
                trial, faults = without_faults(start, changes, _Trial.with_changes)
            except TooManyFaultsError:
                continue
            trial.translation.update(trial.translation.mesh.with_moved(current.mesh.moved))
            return _Variant(trial.translation, {**withheld, **{one.key: one for one in faults}})
        return None

    @staticmethod
    def _before(
        proxy: Proxy, current: Translation, last: Sequence[DocumentChange]
    ) -> tuple[_Trial | None, Sequence[DocumentChange]]:
        """Return a trial without the last changes, and these changes. The trial is None if it fails too."""
        if not last:
            return None, ()
        try:
            return _Trial(current.fork(proxy), proxy).with_changes(undone(last).pairs), _sorted(last)
        except Exception:
            return None, ()

    @staticmethod
    def _nothing(proxy: Proxy, current: Translation) -> tuple[_Trial | None, Sequence[DocumentChange]]:
        """Return a trial without any document, and all documents. The trial is None if it fails too."""
        mesh, empty = current.mesh, current.mesh.without_documents()
        try:
            trial = current.beside(empty)
            trial.translate(proxy)
        except Exception:
            return None, ()
        return _Trial(trial, proxy), _sorted(mesh.documents_since(empty))

    def _used(self) -> list[_Variant]:
        """Return the variants from which proxies are served."""
        if not self._variants:
            return []
        used = set(map(id, self._variant_of.values()))
        return [variant for variant in self._variants if id(variant) in used]

    def _leave(self, variant: _Variant) -> None:
        for proxy in [each for each, its in self._variant_of.items() if its is variant]:
            del self._variant_of[proxy]
            self._left.add(proxy)


def _key(change: DocumentChange) -> ConfigKey:
    config = change[1] if change[1] is not None else change[0]
    assert config is not None
    return config.key


def _sorted(changes: Iterable[DocumentChange]) -> Sequence[DocumentChange]:
    rank: Mapping[GroupKind, int] = {kind: at for at, kind in enumerate(_ORDER)}
    return sorted(changes, key=lambda change: (rank.get(_key(change).group_kind, -1), _key(change)))
