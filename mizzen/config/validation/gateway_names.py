"""Names of gateways, as a VirtualService gives them."""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.config.validation.hosts import dns_label_problem, fqdn_problem
from mizzen.config.validation.place import Place


def check_gateway_names(names: Sequence[str], place: Place) -> None:
    """Check names: `namespace/name`, `name` or `./name` in the own namespace, `mesh`, `name.namespace` (old).

    Istio's validation refuses `./name`, although its look-up accepts it.
    """
    for index, name in enumerate(names):
        here = place / index
        namespace, slash, short = name.partition("/")
        if slash:
            if namespace != ".":
                here.check(dns_label_problem(namespace, "namespace"))
            here.check(dns_label_problem(short, "name of a Gateway"))
        elif here.check(fqdn_problem(name)) and "." in name:
            gateway, its_namespace, *_ = name.split(".")
            here.warning(f'"{name}" is an old way to name a Gateway; write "{its_namespace}/{gateway}"')
