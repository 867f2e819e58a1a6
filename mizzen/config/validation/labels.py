"""Labels of workloads, and selectors over them. The forms are Kubernetes'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mizzen.config.validation.hosts import LABEL_PATTERN
from mizzen.config.validation.place import Place

_NAME: Final = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY: Final = re.compile(rf"(?:({LABEL_PATTERN}(?:\.{LABEL_PATTERN})*)/)?({_NAME})")
_VALUE: Final = re.compile(rf"(?:{_NAME})?")
_LONGEST_PREFIX: Final = 253
_LONGEST_NAME: Final = 63


def label_key_problem(key: str) -> str | None:
    """`key` must be a name, with an optional DNS name and slash before it."""
    form = _KEY.fullmatch(key)
    if form is None:
        return f'"{key}" is not a label\'s key; write letters, digits and inner -, _ or ., such as app'
    if form[1] and len(form[1]) > _LONGEST_PREFIX:
        return (
            f'the key "{key}" is too long before its slash; at most {_LONGEST_PREFIX} characters are possible'
        )
    if len(form[2]) > _LONGEST_NAME:
        return f'the key "{key}" is too long; at most {_LONGEST_NAME} characters are possible'
    return None


def label_value_problem(value: str) -> str | None:
    """`value` must be empty, or begin and end with a letter or digit."""
    if _VALUE.fullmatch(value):
        return None
    return f'"{value}" is not a label\'s value; write letters, digits and inner -, _ or .'


def check_labels(labels: Mapping[str, str], place: Place) -> None:
    """Check labels: keys and values."""
    for key, value in labels.items():
        here = place / key
        if here.check(label_key_problem(key)):
            here.check(label_value_problem(value))


def check_selector(labels: Mapping[str, str], place: Place, field: str, whom: str) -> None:
    """Check the labels of a selector at `place`, in its field `field`; an empty selector picks `whom`."""
    for key, value in labels.items():
        here = place / field / key
        if not key:
            here.error("the selector has an empty key; write the key of a label")
        if "*" in key or "*" in value:
            here.error(f'the selector has a wildcard in "{key}={value}"; write the whole key and value')
    if not labels:
        place.warning(f"the selector has no labels and picks {whom}; write {field}, or leave it out")
