"""The resource types of xDS, by the type URL under which they travel.

`PUSH_ORDER`, `FULL_STATE`, `UNRESOLVED` and `UNTRIED` are the facts about types that the protocol needs. All
other code treats a type URL as an opaque string, so that any further type can be served too.
"""

from typing import Final

_PREFIX: Final = "type.googleapis.com/"

CLUSTER: Final = _PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = _PREFIX + "envoy.config.listener.v3.Listener"
ROUTE: Final = _PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTE: Final = _PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST: Final = _PREFIX + "envoy.config.route.v3.VirtualHost"
SECRET: Final = _PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
RUNTIME: Final = _PREFIX + "envoy.service.runtime.v3.Runtime"
EXTENSION_CONFIG: Final = _PREFIX + "envoy.config.core.v3.TypedExtensionConfig"

RESOURCE: Final = _PREFIX + "envoy.service.discovery.v3.Resource"
"""The wrapper in which a state-of-the-world response carries a resource that has a TTL ("SotW TTL")."""

FULL_STATE: Final = frozenset({LISTENER, CLUSTER, SCOPED_ROUTE})
"""Types whose state-of-the-world responses list everything: the client deletes what is absent ("Deleting
Resources").

The specification names Listener and Cluster. Envoy treats scoped routes the same way, and a full list is
correct under either reading.
"""

UNRESOLVED: Final = frozenset({VIRTUAL_HOST})
"""Types for which an incremental server answers a name that does not exist with a `Resource` of that name
without a body, instead of `removed_resources`. Envoy delays a request until it has an answer for the virtual
host ("Subscribing to Resources" in
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds).
"""

UNTRIED: Final = frozenset({SECRET})
"""Types for which a client may accept bytes that it rejected before, without trying them again: Envoy keeps
the hash of a secret that it rejects."""

PUSH_ORDER: Final = (
    CLUSTER,
    ENDPOINT,
    SECRET,
    RUNTIME,
    EXTENSION_CONFIG,
    LISTENER,
    SCOPED_ROUTE,
    ROUTE,
    VIRTUAL_HOST,
)
"""The order of sending when several types have changes ("Eventual consistency considerations")."""

_SHORT: Final = {
    CLUSTER: "CDS",
    ENDPOINT: "EDS",
    LISTENER: "LDS",
    ROUTE: "RDS",
    SCOPED_ROUTE: "SRDS",
    VIRTUAL_HOST: "VHDS",
    SECRET: "SDS",
    RUNTIME: "RTDS",
    EXTENSION_CONFIG: "ECDS",
}


def short_name(type_url: str) -> str:
    """The short name of a type's discovery service ("CDS"); the message's name if there is none."""
    return _SHORT.get(type_url) or type_url.rpartition("/")[2]


def push_rank(type_url: str) -> int:
    """The index of a type in `PUSH_ORDER`; types that are not listed come last."""
    try:
        return PUSH_ORDER.index(type_url)
    except ValueError:
        return len(PUSH_ORDER)
