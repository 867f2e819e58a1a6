"""The rules of PeerAuthentication.

https://istio.io/latest/docs/reference/config/security/peer_authentication/
"""

from __future__ import annotations

from mizzen.config.document import Config
from mizzen.config.models import PeerAuthentication
from mizzen.config.validation.labels import check_selector
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem


def check_peer_authentication(config: Config[PeerAuthentication], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a PeerAuthentication."""
    policy = config.spec
    selector = policy.selector
    if selector is not None:
        whom = "every workload of the namespace"
        check_selector(selector.match_labels, place / "selector", "matchLabels", whom)
    if "port_level_mtls" not in policy.model_fields_set:
        return
    here = place / "portLevelMtls"
    if not policy.port_level_mtls:
        here.error("portLevelMtls has no port; write one such as 8080, or leave portLevelMtls out")
    elif (selector is None or not selector.match_labels) and not place.lost("selector"):
        here.error("portLevelMtls is for selected workloads only; write selector.matchLabels too")
    for number in policy.port_level_mtls:
        (here / str(number)).check(port_number_problem(number))
