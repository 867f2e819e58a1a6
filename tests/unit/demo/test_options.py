"""Where the shop of a run is: always a copy of the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.demo import DemoError, DemoOptions
from mizzen.demo.options import examples_directory


def test_the_shop_is_a_copy_in_the_run_unless_said_otherwise(tmp_path: Path) -> None:
    shop = DemoOptions().shop_directory(tmp_path)
    assert shop == tmp_path / "shop"
    assert (shop / "apps" / "productpage.py").is_file()
    assert not shop.is_relative_to(examples_directory())


def test_a_named_shop_is_made_once_and_kept(tmp_path: Path) -> None:
    options = DemoOptions(shop=tmp_path / "mine")
    rules = options.shop_directory(tmp_path) / "virtual-services.yaml"
    rules.write_text("# edited", encoding="utf-8")
    assert options.shop_directory(tmp_path) == tmp_path / "mine"
    assert rules.read_text(encoding="utf-8") == "# edited"


def test_a_folder_that_is_no_shop_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no directory `apps` in it"):
        DemoOptions(shop=tmp_path).shop_directory(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_no_copy_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match="file/shop: the shop cannot be copied there: "):
        DemoOptions(shop=tmp_path / "file" / "shop").shop_directory(tmp_path)
