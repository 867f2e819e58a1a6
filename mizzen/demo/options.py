"""What can be chosen about a demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mizzen
from mizzen.demo.errors import DemoError

SHOP = "bookinfo"


def examples_directory() -> Path:
    """Return the directory of the examples: beside the package in a checkout, inside it once installed.

    Raises DemoError if there is none.
    """
    package = Path(mizzen.__file__).parent
    for directory in (package.parent / "examples", package / "examples"):
        if (directory / SHOP / "apps").is_dir():
            return directory
    raise DemoError(f"the examples are not to be found, neither beside {package} nor in it: reinstall mizzen")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user chose.

    `shop` is the directory of the shop's YAML and programs (the one of the examples if None). `port` is the
    port of the ingress: if None, 8080 or the next free one. `rate` is how many pages a second the
    demonstration asks for by itself, so that there is traffic to look at.
    """

    shop: Path | None = None
    port: int | None = None
    rate: float = 10.0

    def shop_directory(self) -> Path:
        """Return the directory of the shop; raises DemoError if it has no programs."""
        if self.shop is None:
            return examples_directory() / SHOP
        if not (self.shop / "apps").is_dir():
            raise DemoError(f"{self.shop}: no directory `apps` in it; give a copy of examples/{SHOP}")
        return self.shop.resolve()
