"""The base of all models of Istio's messages."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


def camel_case(attribute: str) -> str:
    """Return Istio's name of a field: `per_try_timeout` -> `perTryTimeout`, `from_` -> `from`."""
    first, *others = attribute.rstrip("_").split("_")
    return first + "".join(word[0].upper() + word[1:] for word in others)


class IstioModel(BaseModel):
    """A message of Istio's API: immutable; unknown fields are errors.

    Built from YAML by Istio's camelCase names (`model_validate`), and in code by attribute names (`of`).
    Absent messages, wrapped scalars and members of a oneof are None; an absent plain scalar is protobuf's
    zero value, an absent list (), an absent map {}. A field that is null counts as absent, as in protobuf's
    JSON form. `model_fields_set` holds the attributes that were given.
    """

    model_config = ConfigDict(
        frozen=True,
        # A model is compiled when the first document of its kind is read: a command meets only some kinds.
        defer_build=True,
        extra="forbid",
        alias_generator=camel_case,
        validate_by_alias=True,
        validate_by_name=False,
    )

    oneofs: ClassVar[tuple[frozenset[str], ...]] = ()
    """Sets of attributes of which at most one may be given (protobuf's oneof)."""

    @classmethod
    def of(cls, **attributes: Any) -> Self:
        """Build the model by attribute names: `Destination.of(host="a", port=PortSelector.of(number=80))`.

        Values may be models or plain data by attribute names; durations may be text or `timedelta`.
        Raises pydantic.ValidationError as `model_validate` does.
        """
        return cls.model_validate(attributes, by_alias=False, by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {key: value for key, value in data.items() if value is not None}
        return data


class OneofModel(IstioModel):
    """A message with oneofs: giving two members of one is an error that names both."""

    @model_validator(mode="after")
    def _at_most_one_of_each(self) -> Self:
        for members in self.oneofs:
            given = members & self.model_fields_set
            if len(given) > 1:
                names = [camel_case(name) for name in type(self).model_fields if name in given]
                raise PydanticCustomError(
                    "oneof",
                    "{given} exclude each other; keep one of them",
                    {"given": " and ".join(names), "members": names},
                )
        return self
