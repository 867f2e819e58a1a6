"""Faults of Mizzen in the translation of documents: logged once each, with a traceback."""

from __future__ import annotations

from mizzen.mesh.fault_search import Withheld
from mizzen.server.faults import Faults
from mizzen.server.needs import Translating


class TranslationFaults:
    """Remembers which documents cannot be translated (`withheld`), and notes new ones among `faults`."""

    def __init__(self, faults: Faults) -> None:
        self.withheld: tuple[Withheld, ...] = ()
        self._faults = faults

    def note(self, translation: Translating) -> None:
        """Log each document whose translation newly fails, with the traceback."""
        before = {(one.key, one.wanted) for one in self.withheld}
        self.withheld = translation.withheld
        for one in self.withheld:
            if (one.key, one.wanted) not in before:
                self._faults.note(
                    "a document cannot be translated", document=str(one.key), traceback=one.traceback
                )
        for traceback in translation.overcome():
            self._faults.note("a translation failed and was repeated", traceback=traceback)
