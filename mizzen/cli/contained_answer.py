"""Answers from files of which Mizzen fails to process a document: all other documents still count.

    with_files = FilesAnswer(loaded, certificates_served=True)
    rows = with_files.answer(lambda mesh: table(mesh), lambda mesh: [proxy])
    with_files.exit_if_not_whole()

If an answer raises an unexpected exception, the documents at fault are found as a running server finds them
(translator/contained.py), are named on standard error, and the answer is made again without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from mizzen.cli.error_lines import print_error_line
from mizzen.cli.failure import Failure
from mizzen.cli.not_whole import NOT_WHOLE, exit_if_not_whole

if TYPE_CHECKING:
    from mizzen.config import Config, MeshConfig
    from mizzen.config.diagnostics import Diagnostic, Origin
    from mizzen.mesh.analysis import Fault
    from mizzen.mesh.changes.delta import ConfigChange, MeshDelta
    from mizzen.mesh.fault_search import Withheld
    from mizzen.mesh.proxy.node import Proxy
    from mizzen.mesh.snapshot import Mesh
    from mizzen.sources.loading import LoadedConfigs
    from mizzen.translator.contained import ContainedTranslation

T = TypeVar("T")

Proxies = Callable[["Mesh"], Iterable["Proxy"]]

_EXPECTED = (Failure, OSError, typer.Exit, typer.Abort)
"""What a user's mistake raises, and what `mizzen.cli.main` tells in one line."""


def tell(diagnostic: Diagnostic) -> None:
    """Print a diagnostic to standard error."""
    print_error_line(f"{diagnostic.severity}: {diagnostic}")


class FilesAnswer:
    """Makes answers from files, without the documents that Mizzen fails to process. `withheld` are these."""

    def __init__(self, loaded: LoadedConfigs, *, certificates_served: bool) -> None:
        self.withheld: list[Withheld] = []
        self.mesh = self._built(loaded, certificates_served=certificates_served)

    def _built(self, loaded: LoadedConfigs, *, certificates_served: bool) -> Mesh:
        try:
            return loaded.mesh(certificates_served=certificates_served)
        except Exception as error:
            from mizzen.config import ConfigChange
            from mizzen.mesh.snapshot import Mesh

            empty = Mesh.build((), loaded.mesh_config, certificates_served=certificates_served)
            mesh, _, withheld = updated(empty, ConfigChange(loaded.configs), error)
            self._withhold(withheld)
            return mesh

    def answer(self, make: Callable[[Mesh], T], asked: Proxies = lambda _: ()) -> T:
        """Return what `make` makes of the mesh. If it fails, the documents at fault are looked for among what
        the proxies that are `asked` about are sent, then among what any proxy of the files is sent."""
        try:
            return make(self.mesh)
        except _EXPECTED:
            raise
        except Exception as error:
            failed = error
        for proxies in (asked, declared):
            withheld = _faults_of(self.mesh, proxies)
            if not withheld:
                continue
            self._withhold(withheld)
            self.mesh = without(self.mesh, withheld)
            try:
                return make(self.mesh)
            except _EXPECTED:
                raise
            except Exception as error:
                failed = error
        raise no_answer(failed) from failed

    def _withhold(self, found: Iterable[Withheld]) -> None:
        for one in found:
            tell(one.diagnostic)
            self.withheld.append(one)

    def exit_if_not_whole(self, failed: Iterable[Fault] = ()) -> None:
        """End the command with `NOT_WHOLE` if a document was withheld, or a check failed."""
        exit_if_not_whole(failed)
        if self.withheld:
            raise typer.Exit(NOT_WHOLE)


class TwoVersionsAnswer:
    """Makes an answer about two versions of files, the second a change of the first. A document of the second
    version that Mizzen fails to process is there as in the first one, as in a running server.

    `build` makes a mesh of documents, `say` tells a diagnostic. `nodes` are the proxies, by default those
    that the documents imply.
    """

    def __init__(
        self,
        build: Callable[[Iterable[Config[Any]]], Mesh],
        configs: Iterable[Config[Any]],
        change: ConfigChange,
        settings: MeshConfig,
        nodes: Sequence[Proxy] = (),
        say: Callable[[Diagnostic], None] = tell,
    ) -> None:
        self.withheld: dict[tuple[str, Origin], Withheld] = {}
        self._build = build
        self._configs = tuple(configs)
        self._change = change
        self._settings = settings
        self._nodes = nodes
        self._say = say

    def answer(self, make: Callable[[Mesh, Mesh], T]) -> T:
        """Return what `make` makes of both meshes."""
        try:
            before = self._build(self._configs)
            return make(before, before.updated(self._change, self._settings)[0])
        except _EXPECTED:
            raise
        except Exception as error:
            meshes = self._without_faults(error)
        try:
            return make(*meshes)
        except _EXPECTED:
            raise
        except Exception as error:
            raise no_answer(error) from error

    def _without_faults(self, error: Exception) -> tuple[Mesh, Mesh]:
        from mizzen.config import ConfigChange
        from mizzen.translator.contained import ContainedTranslation

        before, _, withheld = updated(self._build(()), ConfigChange(self._configs), error)
        self._withhold(withheld)
        withheld = translate_all(ContainedTranslation(before), self._proxies(before))
        self._withhold(withheld)
        before = without(before, withheld)
        same, _ = before.updated(ConfigChange(), self._settings)
        after, delta, withheld = updated(same, self._change, error)
        self._withhold(withheld)
        translation = ContainedTranslation(same)
        proxies = self._proxies(same)
        translate_all(translation, proxies)
        translation.update(after, delta)
        withheld = translate_all(translation, (*proxies, *self._proxies(after)))
        self._withhold(withheld)
        return before, without(after, withheld)

    def _proxies(self, mesh: Mesh) -> Sequence[Proxy]:
        return self._nodes or tuple(declared(mesh))

    def _withhold(self, found: Iterable[Withheld]) -> None:
        for one in found:
            diagnostic = one.diagnostic
            if (str(one.key), diagnostic.origin) not in self.withheld:
                self.withheld[str(one.key), diagnostic.origin] = one
                self._say(diagnostic)


def declared(mesh: Mesh) -> Iterable[Proxy]:
    """Return the proxies that the documents imply."""
    from mizzen.explain.callers import DeclaredCallers

    return DeclaredCallers(mesh).all()


def _faults_of(mesh: Mesh, proxies: Proxies) -> tuple[Withheld, ...]:
    """Return the documents that cannot be translated for the proxies."""
    from mizzen.translator.contained import ContainedTranslation

    try:
        return translate_all(ContainedTranslation(mesh), tuple(proxies(mesh)))
    except Exception:  # what fails is not the translation: `answer` tells it
        return ()


def translate_all(translation: ContainedTranslation, proxies: Sequence[Proxy]) -> tuple[Withheld, ...]:
    """Translate for the proxies; return the documents that cannot be translated for one of them."""
    from mizzen.translator.contained import ProxyFaultError

    for proxy in proxies:
        try:
            translation.translate(proxy)
        except ProxyFaultError:
            continue
    return translation.withheld


def updated(
    mesh: Mesh, change: ConfigChange, error: Exception | None = None
) -> tuple[Mesh, MeshDelta, tuple[Withheld, ...]]:
    """Return the mesh after a change without the documents that make this fail, the delta, and these
    documents. `error` is what failed before, if it was tried. Raises Failure if no document is the cause."""
    from mizzen.mesh.fault_search import TooManyFaultsError, updated_without_faults

    try:
        return updated_without_faults(mesh, change)
    except TooManyFaultsError as too_many:
        raise no_answer(error or too_many) from error


def without(mesh: Mesh, withheld: Iterable[Withheld]) -> Mesh:
    """Return the mesh with what is in force instead of the withheld documents."""
    from mizzen.mesh.fault_search import Changed

    return mesh.updated(Changed([(one.wanted, one.in_force) for one in withheld]))[0]


def no_answer(error: Exception) -> Failure:
    """Return what ends a command that failed by a fault of Mizzen, though no document is the cause. It has
    no message of the exception, which may quote a secret."""
    from mizzen.config.faults import place

    return Failure(
        f"there is no answer: {type(error).__name__} in {place(error.__traceback__)}; "
        "this is a fault of Mizzen, please report it",
        NOT_WHOLE,
    )
