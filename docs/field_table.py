"""Writes fields.md, the table of the fields that are read, from the models.

Written anew with: python docs/field_table.py > docs/fields.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mizzen.config.document import GroupKind
from mizzen.config.group_kinds import DESTINATION_RULE, SIDECAR
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_config_text import UNSERVED_FIELDS
from mizzen.config.mesh_networks import WITHOUT_EFFECT
from mizzen.config.models import SPECS
from mizzen.config.models.fields import LeafField, leaf_fields
from mizzen.config.validation.unserved_fields import UNSERVED

_POLICY: Final = "spec.trafficPolicy"
SAME_AS: Final = {
    DESTINATION_RULE: {
        **{
            f"{_POLICY}.portLevelSettings[].{block}": f"{_POLICY}.{block}"
            for block in ("loadBalancer", "connectionPool", "outlierDetection", "tls")
        },
        "spec.subsets[].trafficPolicy": _POLICY,
    },
    SIDECAR: {"spec.inboundConnectionPool": "spec.ingress[].connectionPool"},
}
"""By kind: paths below which there are the same fields as below another."""

_INTRODUCTION: Final = """\
# Fields

What Mizzen reads of each kind: every field of Istio's API, by the name and type that it has there
(`istio.io/api`). `[]` marks a list or a map. A field either takes effect, as under Istio, or its remark
says that it does not; giving such a field is a warning (MZ0001). Giving a deprecated field is a warning too
(IST0002), but for `targetPort`, which Istio refuses where it is deprecated.

## Where the rules are not Istio's

Istio's validation is followed rule by rule, with these exceptions:

* Refused here, because Envoy refuses it together with all else in the same message: a status of 600 in
  `directResponse` and `fault.abort`; a line break in what becomes a part of a header (`redirect`, `rewrite`,
  names of headers), or more of it than Envoy takes; an empty name of a query parameter or of what is hashed;
  a ring of more than 8388608 entries; percentages below 0 or above 100 in `warmup`, `retryBudget` and the
  deprecated `fault.delay.percent`; a negative `consecutiveErrors`, `ttl` or `warmupDurationSecs`; an `sni` of
  more than 255 bytes; `verifyCertificateSpki` and `verifyCertificateHash` of a wrong length; a command
  (`%REQ(x-user)%`) in a header's value or in MeshConfig's `accessLogFormat` that Envoy 1.40 does not know, or
  whose arguments it does not take. What is beyond a small grammar of `%CEL(...)%` is left to Envoy.
* A warning here: a `redirectCode` that Envoy cannot give (300, 304 to 306 and those above 308), for which
  requests fail; a port 0 in `portLevelSettings`.
* Allowed here: an IPv6 address among the hosts of a Gateway; `./name` among the gateways of a VirtualService.
* A match is said to be without effect (IST0131) only if every request that fits it fits an earlier one too.
  Istio says so of more, some of which are reached.

This page is made from the models: `python docs/field_table.py > docs/fields.md`.
"""


_MESH_CONFIG: Final = """\
## MeshConfig

The settings of the whole mesh, from the file of `--mesh-config` or from the ConfigMap `istio`; the defaults
are istiod's; `enableAutoMtls` is true only where certificates are served
([decisions/0100](decisions/0100-automatic-mutual-tls.md)). A field without
effect is a warning (MZ0016). `meshNetworks` may stand in the ConfigMap's key `data.meshNetworks` as well,
where Istio has it ([decisions/0007](decisions/0007-networks-and-dual-stack.md)). `defaultConfig` is Istio's
ProxyConfig; a proxy may bring one of its own in the key `PROXY_CONFIG` of its node's metadata
([node.md](node.md)), which counts for it in place of `defaultConfig`.

| field | type | remark |
|---|---|---|"""


def field_table() -> str:
    """Return the whole page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(kind) for kind in SPECS), _mesh_config()])


def _section(kind: GroupKind) -> str:
    rows = [f"| `{path}` | {kind_of_value} | {remark} |" for path, kind_of_value, remark in _rows(kind)]
    return "\n".join([f"## {kind}", "", "| field | type | remark |", "|---|---|---|", *rows, ""])


def _mesh_config() -> str:
    served = [
        f"| `{leaf.path[1:]}` | {_type(leaf)} | {_remark_on_network(leaf.path[1:])} |"
        for leaf in leaf_fields(MeshConfig, "", into_maps=True)
    ]
    unserved = [f"| `{path}` |  | takes no effect: {reason} |" for path, reason in UNSERVED_FIELDS.items()]
    return "\n".join([_MESH_CONFIG, *served, *unserved, ""])


def _remark_on_network(path: str) -> str:
    reason = WITHOUT_EFFECT.get(path.removeprefix("meshNetworks."))
    return f"takes no effect: {reason}" if reason else ""


def _rows(kind: GroupKind) -> Iterator[tuple[str, str, str]]:
    same = SAME_AS.get(kind, {})
    told: set[str] = set()
    for leaf in leaf_fields(SPECS[kind]):
        repeated = next((path for path in same if leaf.path.startswith(path + ".")), None)
        if repeated is None:
            yield leaf.path, _type(leaf), _remark(kind, leaf)
        elif repeated not in told:
            told.add(repeated)
            yield repeated, "", f"as `{same[repeated]}`"


def _type(leaf: LeafField) -> str:
    name, _, members = leaf.type.partition(" ")
    if members:
        return ", ".join(f"`{member}`" for member in members.split("|"))
    return name.removeprefix("google.protobuf.")


def _remark(kind: GroupKind, leaf: LeafField) -> str:
    for path, reason in UNSERVED[kind].items():
        if leaf.path.removesuffix("[]") == path or leaf.path.startswith((path + ".", path + "[].")):
            return f"takes no effect: {reason}"
    return f"deprecated: {leaf.deprecated}" if leaf.deprecated else ""


if __name__ == "__main__":
    print(field_table(), end="")
