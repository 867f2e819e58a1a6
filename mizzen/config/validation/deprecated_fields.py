"""Fields that Istio deprecates: they still take effect, and a warning says what to write instead."""

from __future__ import annotations

from functools import cache
from typing import Any

from mizzen.config.document import Config, GroupKind
from mizzen.config.models import SPECS
from mizzen.config.models.fields import LeafField, leaf_fields
from mizzen.config.validation.field_warnings import FieldWarnings
from mizzen.config.validation.place import Place


def _name(leaf: LeafField) -> str:
    return leaf.path.rpartition(".")[2].removesuffix("[]")


@cache
def _deprecated(kind: GroupKind) -> FieldWarnings:
    return FieldWarnings(
        {
            leaf.attributes: f"{_name(leaf)} is deprecated; {leaf.deprecated}"
            for leaf in leaf_fields(SPECS[kind])
            # Where targetPort is deprecated, Istio refuses it, so the kind's own rules report an error.
            if leaf.deprecated and leaf.attributes[-1] != "target_port"
        }
    )


def check_deprecated_fields(config: Config[Any], place: Place) -> None:
    """Warn, with the code IST0002, about each deprecated field in the spec at `place`."""
    for here, warning in _deprecated(config.group_kind).given_in(config.spec, place):
        here.warning(warning, "IST0002")
