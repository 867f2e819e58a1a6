"""SPIFFE IDs in Istio's form: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT (pkg/spiffe)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

NAME: Final = r"((?!\.{1,2}(?:/|:|$))[A-Za-z0-9._-]+)"
"""A trust domain, namespace or service account, as a group of a pattern: the characters that SPIFFE allows
(SPIFFE-ID, section 2). Other characters could have a meaning, as `;` has in x-forwarded-client-cert."""

_FORM: Final = re.compile(rf"spiffe://{NAME}/ns/{NAME}/sa/{NAME}")


class SpiffeIdError(ValueError):
    """The text is not a SPIFFE ID in Istio's form; the message shows the form."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """The identity of a workload."""

    trust_domain: str
    namespace: str
    service_account: str

    def __post_init__(self) -> None:
        # Istio writes "." for "@" in a trust domain, since a SPIFFE trust domain may not contain "@".
        object.__setattr__(self, "trust_domain", self.trust_domain.replace("@", "."))
        if _FORM.fullmatch(str(self)) is None:
            raise SpiffeIdError(
                f"{str(self)!r} is no identity; write spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a SPIFFE ID. Raises SpiffeIdError if the form is wrong."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise SpiffeIdError(
                f"{text!r} is no identity; write spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT"
            )
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    def aliases(self, trust_domains: Iterable[str]) -> frozenset[SpiffeId]:
        """Return this identity, and the same service account in each of `trust_domains`."""
        return frozenset({self, *(replace(self, trust_domain=domain) for domain in trust_domains)})
