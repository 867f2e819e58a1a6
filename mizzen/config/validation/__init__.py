"""The rules of Istio's kinds beyond the types of their fields: what is wrong with one configuration.

They are those of Istio's own validation (istio.io/istio/pkg/config/validation). An error has the code IST0106
and keeps the configuration out of force; a warning has IST0133 or a code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mizzen.config import group_kinds
from mizzen.config.document import Config, GroupKind
from mizzen.config.validation.annotations import check_annotations
from mizzen.config.validation.authorization_policy import check_authorization_policy
from mizzen.config.validation.deprecated_fields import check_deprecated_fields
from mizzen.config.validation.destination_rule import check_destination_rule
from mizzen.config.validation.gateway import check_gateway
from mizzen.config.validation.peer_authentication import check_peer_authentication
from mizzen.config.validation.place import Place
from mizzen.config.validation.request_authentication import check_request_authentication
from mizzen.config.validation.service_entry import check_service_entry
from mizzen.config.validation.sidecar import check_sidecar
from mizzen.config.validation.unserved_fields import check_unserved_fields
from mizzen.config.validation.virtual_service import check_virtual_service
from mizzen.config.validation.workload import check_workload_entry, check_workload_group

Validator = Callable[[Config[Any], Place], None]
"""Reports, at the place of the spec, all that is wrong with a configuration, in the order of its fields where
the rules have one."""


def _validator(check: Validator) -> Validator:
    """Return a validator that checks the kind's own rules and the rules that all kinds share."""

    def validate(config: Config[Any], place: Place) -> None:
        check_annotations(config, place.diagnostics)
        check(config, place)
        check_deprecated_fields(config, place)
        check_unserved_fields(config, place)

    return validate


VALIDATORS: Final[Mapping[GroupKind, Validator]] = {
    group_kinds.AUTHORIZATION_POLICY: _validator(check_authorization_policy),
    group_kinds.DESTINATION_RULE: _validator(check_destination_rule),
    group_kinds.GATEWAY: _validator(check_gateway),
    group_kinds.PEER_AUTHENTICATION: _validator(check_peer_authentication),
    group_kinds.REQUEST_AUTHENTICATION: _validator(check_request_authentication),
    group_kinds.SERVICE_ENTRY: _validator(check_service_entry),
    group_kinds.SIDECAR: _validator(check_sidecar),
    group_kinds.VIRTUAL_SERVICE: _validator(check_virtual_service),
    group_kinds.WORKLOAD_ENTRY: _validator(check_workload_entry),
    group_kinds.WORKLOAD_GROUP: _validator(check_workload_group),
}
"""The validator of each kind."""

__all__ = ["VALIDATORS", "Validator"]
