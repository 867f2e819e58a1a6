"""Whatever the types allow, the rules answer with diagnostics: they never fail, and each is well-formed."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import GroupKind
from mizzen.config.group_kinds import GATEWAY
from mizzen.config.models import SPECS, IstioModel
from mizzen.config.models.base import OneofModel
from mizzen.config.models.fields import leaf_fields
from mizzen.config.validation.field_warnings import by_attributes
from mizzen.config.validation.unserved_fields import UNSERVED

Validate = Callable[..., list[Diagnostic]]

TEXTS = st.sampled_from(
    [
        "",
        "a",
        "a.com",
        "*",
        "*.com",
        "ns/a",
        "./*",
        "*/*",
        "~",
        ".",
        "10.0.0.1",
        "10.0.0.0/8",
        "unix:///s",
        "::1",
        "HTTP",
        "TLS",
        "tcp",
        "5xx",
        "503,reset",
        "outbound_.80_._.a",
        "127.0.0.1:80",
        "%",
        "a b",
        "(",
        "host",
        ":path",
        "@request.auth.claims.a",
        "configmap://a",
        "a/b/c",
        "mesh",
        "é" * 40,
    ]
)
CODES = {"IST0106", "IST0133", "IST0128", "IST0129", "IST0130", "IST0131", "IST0134", "IST0002", "MZ0001"}
DURATIONS = st.sampled_from(["0s", "1s", "1ms", "0.5ms", "-1s", "1h0.1s"])


def values(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        return values(inner, tuple(marks))
    if origin in (Union, UnionType):
        (inner,) = (it for it in get_args(annotation) if it is not type(None))
        return values(inner)
    if origin is tuple:
        return st.lists(values(get_args(annotation)[0]), max_size=2)
    if origin is dict:
        key, value = get_args(annotation)
        return st.dictionaries(TEXTS if key is str else values(key), values(value), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, IstioModel):
        return contents(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from([member.value for member in annotation])
    signed = any(getattr(mark, "ge", 0) for mark in metadata)
    return {
        "str": TEXTS,
        "bool": st.booleans(),
        "int": st.sampled_from([0, 1, 80, 65536, *([-1] if signed else [])]),
        "float": st.sampled_from([0.0, 0.00001, 50.0, 100.1, -1.0]),
        "timedelta": DURATIONS,
        "bytes": st.just("YQ=="),
    }[annotation.__name__]


@cache
def contents(model: type[IstioModel]) -> st.SearchStrategy[dict[str, Any]]:
    return st.deferred(lambda: _contents(model))


def _contents(model: type[IstioModel]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        field.alias: values(field.annotation, tuple(field.metadata)) for field in model.model_fields.values()
    }
    mapping = st.fixed_dictionaries({}, optional=fields)
    if not issubclass(model, OneofModel):
        return mapping
    return mapping.map(lambda content: _with_one_of_each(model, content))


def _with_one_of_each(model: type[IstioModel], content: dict[str, Any]) -> dict[str, Any]:
    for members in model.oneofs:
        aliases = [model.model_fields[name].alias for name in sorted(members)]
        for alias in [alias for alias in aliases if alias in content][1:]:
            del content[alias]
    return content


@pytest.mark.parametrize("kind", SPECS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_spec(validate: Validate, kind: GroupKind, data: st.DataObject) -> None:
    spec = data.draw(contents(SPECS[kind]))

    for diagnostic in validate(kind.kind, yaml.dump(spec, Dumper=yaml.CSafeDumper)):
        assert diagnostic.path.startswith(("spec", "metadata"))
        assert "; " in diagnostic.message
        assert diagnostic.code in CODES


def test_the_unserved_fields_exist() -> None:
    assert set(UNSERVED) == set(SPECS)
    for kind, warnings in UNSERVED.items():
        assert len(by_attributes(warnings, tuple(leaf_fields(SPECS[kind])))) == len(warnings)
    with pytest.raises(KeyError):
        by_attributes({"spec.nothing": "x"}, tuple(leaf_fields(SPECS[GATEWAY])))
