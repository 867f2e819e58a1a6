"""The fields of a `*.mesh-test.yaml` file. They have Istio's names where Istio has a word for them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mizzen.config.interception import InterceptionMode
from mizzen.config.models.base import IstioModel, OneofModel, camel_case
from mizzen.config.models.virtual_service import Destination, HTTPRedirect

ENDINGS: Final = ("destination", "route", "redirect", "status", "denied", "closed")
"""The attributes of an expectation that say how the call ends; a test has exactly one of them."""


class DestinationWeight(IstioModel):
    """A destination and its weight, relative to the other weights of the list, as in an HTTPRoute."""

    destination: Destination
    weight: int = Field(default=0, ge=0)


class ArrivingRequest(IstioModel):
    """The request as its destination must get it. A header with the value null must be absent."""

    uri: str = ""
    """The path with the query."""
    authority: str = ""
    headers: dict[str, str | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_host(self) -> ArrivingRequest:
        for name in self.headers:
            if name.lower() in ("host", ":authority"):
                raise PydanticCustomError("authority", f"headers has no {name} here; write it as `authority`")
        return self


class Expectation(OneofModel):
    """How the call must end: exactly one of ENDINGS. `request` goes with `destination` and `route`."""

    oneofs: ClassVar = (frozenset(ENDINGS),)

    destination: Destination | None = None
    """All calls go to this destination."""
    route: tuple[DestinationWeight, ...] = ()
    """The calls are split among these destinations."""
    redirect: HTTPRedirect | None = None
    """A proxy answers with a redirect. Fields that are not given may have any value."""
    status: int | None = Field(default=None, ge=100, le=599)
    """A proxy answers with this status, by itself."""
    denied: bool | None = None
    """A policy makes a proxy refuse the call."""
    closed: bool | None = None
    """The connection is closed without an answer."""
    request: ArrivingRequest | None = None

    @model_validator(mode="after")
    def _one_ending(self) -> Expectation:
        given = [name for name in ENDINGS if name in self.model_fields_set]
        if not given:
            wanted = "must say how the call ends; add one of " + ", ".join(ENDINGS)
            raise PydanticCustomError("ending", wanted)
        for name in ("denied", "closed"):
            if name in given and not getattr(self, name):
                raise PydanticCustomError("ending", f"{name} can only be true; else say how the call ends")
        if self.request is not None and given[0] not in ("destination", "route"):
            raise PydanticCustomError(
                "ending", "request goes with destination or route: no request arrives otherwise"
            )
        return self


class MeshTest(OneofModel):
    """A call, its caller, and how it must end.

    `request` is as for `mizzen why`: `GET http://reviews:9080/path`, where GET may be left out. `tcp` is
    `HOST:PORT`, for a connection without HTTP.
    """

    oneofs: ClassVar = (frozenset({"from_", "gateway"}), frozenset({"request", "tcp"}))

    name: str = Field(min_length=1)
    from_: str = ""
    """The workload that calls."""
    gateway: str = ""
    """The Gateway that is called from outside."""
    request: str = ""
    tcp: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    claims: dict[str, Any] = Field(default_factory=dict)
    """The claims of a valid token that the request brings."""
    http2: bool = False
    tls: bool = False
    sni: str = ""
    expect: Expectation

    @model_validator(mode="after")
    def _caller_and_call(self) -> MeshTest:
        for names, example in (
            (("from_", "gateway"), "`from: WORKLOAD` or `gateway: NAME`"),
            (("request", "tcp"), "`request: GET http://reviews:9080/path` or `tcp: HOST:PORT`"),
        ):
            if not any(getattr(self, name) for name in names):
                wanted = " or ".join(map(camel_case, names))
                raise PydanticCustomError("call", f"needs {wanted}; add {example}")
        if self.tcp:
            given: list[str] = [
                name for name in ("headers", "claims", "http2") if name in self.model_fields_set
            ]
            expected = self.expect.model_fields_set
            given += [f"expect.{name}" for name in ("redirect", "status", "request") if name in expected]
            if given:
                raise PydanticCustomError("call", f"{given[0]} is for HTTP; remove it, or make a request")
        return self


class MeshTestDocument(IstioModel):
    """The whole file: which configuration is tested, and the tests.

    `config` lists files and folders, relative to the folder of this file; the default is that folder.
    """

    config: tuple[str, ...] = (".",)
    mesh_config: str = ""
    certificates_served: bool = True
    """Workloads have certificates, as with a server that has `--state` or `--ca`."""
    interception_mode: InterceptionMode = "REDIRECT"
    """How sidecars capture connections where documents do not say it; NONE: no capture."""
    tests: tuple[MeshTest, ...]

    @model_validator(mode="after")
    def _something(self) -> MeshTestDocument:
        for name in ("config", "tests"):
            if not getattr(self, name):
                raise PydanticCustomError("empty", f"{name} is empty; write at least one, or remove the file")
        return self
