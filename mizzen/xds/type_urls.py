"""The resource types of xDS, by the type URL under which they travel.

The order of `PUSH_ORDER` and the sets `FULL_STATE`, `UNRESOLVED` and `UNTRIED` are the facts about types that
the protocol itself knows; everything else treats a type URL as an opaque string, so that any further type can
be served too.
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
"""Types of which every state-of-the-world response lists all that the client may keep ("Deleting Resources").

The specification names Listener and Cluster. Envoy reads scoped routes the same way, and a full list is right
under either reading.
"""

UNRESOLVED: Final = frozenset({VIRTUAL_HOST})
"""Types of which an incremental server says that a name does not exist with a `Resource` of that name without
a body, instead of `removed_resources`: Envoy holds back a request until its virtual host is spoken of
("Subscribing to Resources" in
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds).
"""

UNTRIED: Final = frozenset({SECRET})
"""Types of which a client may accept bytes that it refused before without trying them again: Envoy keeps the
hash of a secret that it refuses."""

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
"""What goes first when several types have news ("Eventual consistency considerations")."""

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
    """The name of the discovery service of a type, as people say it ("CDS"); the message's name if it has
    none.
    """
    return _SHORT.get(type_url) or type_url.rpartition("/")[2]


def push_rank(type_url: str) -> int:
    """The place of a type in `PUSH_ORDER`; types that are not listed come last."""
    try:
        return PUSH_ORDER.index(type_url)
    except ValueError:
        return len(PUSH_ORDER)
