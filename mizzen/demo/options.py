"""The options of a demonstration."""

from __future__ import annotations

import shutil
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
    """The user's options.

    `shop` is the directory of the shop's YAML and programs; if it does not exist, the examples are copied
    there. If it is None, the copy is in the directory of the run and removed with it. `port` is the port of
    the ingress; None means 8080 or the next free one. `rate` is the number of pages per second that the
    demonstration requests by itself, so that there is traffic to look at.
    """

    shop: Path | None = None
    port: int | None = None
    rate: float = 10.0

    def shop_directory(self, run: Path) -> Path:
        """Return the directory of the shop, copied from the examples if needed; `run` is the directory of the
        run.

        Users never edit the installed files. Raises DemoError if the directory exists without programs, or
        cannot be made.
        """
        shop = (self.shop or run / "shop").resolve()
        if not shop.exists():
            try:
                shutil.copytree(
                    examples_directory() / SHOP,
                    shop,
                    ignore=shutil.ignore_patterns("__pycache__", "*.mesh-test.yaml"),
                )
            except OSError as error:
                raise DemoError(f"{shop}: the shop cannot be copied there: {error}") from error
        elif not (shop / "apps").is_dir():
            raise DemoError(
                f"{shop}: no directory `apps` in it; give a folder that does not exist yet, to get a copy"
            )
        return shop
