"""How models are built, and what is absent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from mizzen.config.document import GroupKind
from mizzen.config.models import (
    SPECS,
    ConsistentHashLB,
    Destination,
    DestinationRule,
    FaultAbort,
    HTTPBody,
    HTTPRedirect,
    HTTPRetry,
    HTTPRoute,
    IstioModel,
    LoadBalancerSettings,
    OutlierDetection,
    PortSelector,
    ReadinessProbe,
    Resolution,
    ServerTLSSettings,
    ServiceEntry,
    Sidecar,
    StringMatch,
    VirtualService,
)
from mizzen.config.models.base import OneofModel


def errors(model: type[IstioModel], content: Any) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(content)
    return [(error["loc"], error["msg"]) for error in raised.value.errors()]


def test_read_from_yaml_by_istios_names() -> None:
    service = VirtualService.model_validate(
        {
            "hosts": ["reviews"],
            "http": [
                {
                    "match": [
                        {"headers": {"x-user": {"exact": "jason"}, "x-beta": {}}, "ignoreUriCase": True}
                    ],
                    "route": [
                        {"destination": {"host": "reviews", "subset": "v2", "port": {"number": "9080"}}}
                    ],
                    "retries": {"attempts": 3, "perTryTimeout": "1.5s", "retryRemoteLocalities": False},
                }
            ],
            "exportTo": ["."],
        }
    )
    route = service.http[0]

    assert service.hosts == ("reviews",)
    assert service.export_to == (".",)
    assert route.match[0].headers == {"x-user": StringMatch.of(exact="jason"), "x-beta": StringMatch()}
    assert route.match[0].ignore_uri_case is True
    assert route.route[0].destination == Destination.of(
        host="reviews", subset="v2", port=PortSelector.of(number=9080)
    )
    assert route.retries == HTTPRetry.of(attempts=3, per_try_timeout="1.5s", retry_remote_localities=False)


def test_built_in_code_by_attribute_names() -> None:
    retry = HTTPRetry.of(attempts=2, per_try_timeout=timedelta(seconds=2))

    assert retry == HTTPRetry.model_validate({"attempts": 2, "perTryTimeout": "2s"})
    with pytest.raises(ValidationError):
        HTTPRetry.of(perTryTimeout="2s")


def test_attribute_names_are_not_for_yaml() -> None:
    assert errors(HTTPRetry, {"per_try_timeout": "2s"}) == [
        (("per_try_timeout",), "Extra inputs are not permitted")
    ]


def test_what_is_absent() -> None:
    entry = ServiceEntry.model_validate({})
    route = HTTPRoute.model_validate({})
    detection = OutlierDetection.model_validate({})

    assert (entry.hosts, entry.endpoints, entry.workload_selector) == ((), (), None)
    assert entry.resolution is Resolution.NONE
    assert (route.name, route.timeout, route.mirror_percent, route.redirect) == ("", None, None, None)
    assert (detection.max_ejection_percent, detection.consecutive_5xx_errors) == (0, None)
    assert DestinationRule.model_validate({"workloadSelector": {}}).workload_selector is not None
    assert not entry.model_fields_set


def test_null_is_absent() -> None:
    service = VirtualService.model_validate({"hosts": None, "http": [{"timeout": None, "match": None}]})

    assert service == VirtualService.model_validate({"http": [{}]})
    assert service.model_fields_set == {"http"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"http": [None]}, ("http", 0)),
        (
            {"http": [{"match": [{"headers": {"x-user": None}}]}]},
            ("http", 0, "match", 0, "headers", "x-user"),
        ),
        ({"hosts": [None]}, ("hosts", 0)),
    ],
)
def test_null_is_no_item(content: Any, place: tuple[int | str, ...]) -> None:
    assert [where for where, _ in errors(VirtualService, content)] == [place]


def test_all_errors_at_once_with_their_places() -> None:
    found = errors(
        VirtualService,
        {
            "hosts": "reviews",
            "http": [{"timeout": 5, "retries": {"attempts": "many"}, "rout": []}],
            "tcp": [{"match": [{"port": -1}]}],
        },
    )

    assert [where for where, _ in found] == [
        ("hosts",),
        ("http", 0, "timeout"),
        ("http", 0, "retries", "attempts"),
        ("http", 0, "rout"),
        ("tcp", 0, "match", 0, "port"),
    ]


@pytest.mark.parametrize(
    ("model", "content", "names"),
    [
        (StringMatch, {"exact": "a", "regex": "b"}, ["exact", "regex"]),
        (StringMatch, {"exact": "a", "prefix": "", "regex": "b"}, ["exact", "prefix", "regex"]),
        (HTTPRedirect, {"port": 80, "derivePort": "FROM_REQUEST_PORT"}, ["port", "derivePort"]),
        (HTTPBody, {"string": "a", "bytes": "YQ=="}, ["string", "bytes"]),
        (FaultAbort, {"httpStatus": 500, "grpcStatus": "INTERNAL"}, ["httpStatus", "grpcStatus"]),
        (LoadBalancerSettings, {"simple": "RANDOM", "consistentHash": {}}, ["simple", "consistentHash"]),
        (ConsistentHashLB, {"useSourceIp": False, "httpHeaderName": "x"}, ["httpHeaderName", "useSourceIp"]),
        (ConsistentHashLB, {"ringHash": {}, "maglev": {}}, ["ringHash", "maglev"]),
        (ReadinessProbe, {"httpGet": {}, "exec": {}}, ["httpGet", "exec"]),
    ],
)
def test_members_of_a_oneof_exclude_each_other(
    model: type[IstioModel], content: dict[str, Any], names: list[str]
) -> None:
    ((place, message),) = errors(model, content)

    assert place == ()
    assert message == f"{' and '.join(names)} exclude each other; keep one of them"
    for name in names:
        model.model_validate({name: content[name], **{other: None for other in names if other != name}})


def test_oneofs_name_attributes_of_their_models() -> None:
    istio = [each for each in OneofModel.__subclasses__() if each.__module__.startswith("mizzen.config.")]
    assert istio
    for model in istio:
        for members in model.oneofs:
            assert members <= set(model.model_fields)
            assert all(model.model_fields[name].default is None for name in members)


@pytest.mark.parametrize("kind", SPECS)
def test_models_are_immutable(kind: GroupKind) -> None:
    model = SPECS[kind].model_validate({})
    name = next(iter(SPECS[kind].model_fields))

    with pytest.raises(ValidationError):
        setattr(model, name, None)


def test_no_key_is_shown() -> None:
    settings = ServerTLSSettings.model_validate({"privateKey": "-----BEGIN", "serverCertificate": "cert.pem"})

    assert "BEGIN" not in repr(settings)
    assert "cert.pem" in repr(settings)


def test_an_empty_outbound_policy_is_registry_only() -> None:
    sidecar = Sidecar.model_validate({"outboundTrafficPolicy": {}})

    assert sidecar.outbound_traffic_policy is not None
    assert sidecar.outbound_traffic_policy.mode == "REGISTRY_ONLY"
