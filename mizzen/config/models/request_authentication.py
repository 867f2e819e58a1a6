"""RequestAuthentication: the JSON Web Tokens that a workload accepts.

https://istio.io/latest/docs/reference/config/security/request_authentication/
"""

from __future__ import annotations

from mizzen.config.models.base import IstioModel
from mizzen.config.models.selector import PolicyTargetReference, TypeWorkloadSelector
from mizzen.config.models.types import Bool, Duration


class JWTHeader(IstioModel):
    """A header that holds a token, after `prefix`."""

    name: str = ""
    prefix: str = ""


class ClaimToHeader(IstioModel):
    """A claim of a valid token that is forwarded in a header."""

    header: str = ""
    claim: str = ""


class JWTRule(IstioModel):
    """One issuer: its keys, and where its tokens stand in a request.

    The keys are in `jwks`, at `jwks_uri`, or where the issuer's OpenID Connect discovery says.
    """

    issuer: str = ""
    audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: tuple[JWTHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    from_cookies: tuple[str, ...] = ()
    forward_original_token: Bool = False
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    timeout: Duration | None = None
    space_delimited_claims: tuple[str, ...] = ()


class RequestAuthentication(IstioModel):
    """The tokens that the selected workloads check. A request without a token passes."""

    selector: TypeWorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    jwt_rules: tuple[JWTRule, ...] = ()
