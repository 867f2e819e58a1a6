"""Delegation: routes of one VirtualService that replace one rule of a second one, the root.

The rules are Istio's MergeHTTPRoutes (pilot/pkg/model/virtualservice.go).
"""

from __future__ import annotations

from collections.abc import Mapping

from mizzen.config.models import HTTPMatchRequest, HTTPRoute, StringMatch

_INHERITED = (
    "rewrite",
    "direct_response",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirror_percent",
    "mirror_percentage",
    "cors_policy",
    "headers",
)


def merge_route(root: HTTPRoute, leaf: HTTPRoute) -> HTTPRoute | None:
    """Return the delegate's rule `leaf`, narrowed by the root's rule; None if their
    matches exclude each other."""
    matches = merge_matches(root.match, leaf.match)
    if matches is None:
        return None
    changes: dict[str, object] = {"match": matches, "name": _joined_name(root.name, leaf.name)}
    for attribute in _INHERITED:
        if getattr(leaf, attribute) is None:
            changes[attribute] = getattr(root, attribute)
    if not leaf.mirrors:
        changes["mirrors"] = root.mirrors
    return leaf.model_copy(update=changes)


def merge_matches(
    root: tuple[HTTPMatchRequest, ...], leaf: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """Return the merged matches: each pair of a root's and a leaf's match that can hold together.

    None if a match of the leaf fits none of the root's: then the whole rule is void.
    """
    if not root:
        return leaf
    if not leaf:
        return root
    merged: list[HTTPMatchRequest] = []
    for narrow in leaf:
        possible = [_merge_match(wide, narrow) for wide in root if not conflicts(wide, narrow)]
        if not possible:
            return None
        merged.extend(possible)
    return tuple(merged)


def _joined_name(root: str, leaf: str) -> str:
    return f"{root}-{leaf}" if root and leaf else root or leaf


def _merge_match(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    return leaf.model_copy(
        update={
            "name": _joined_name(root.name, leaf.name),
            "uri": leaf.uri or root.uri,
            "scheme": leaf.scheme or root.scheme,
            "method": leaf.method or root.method,
            "authority": leaf.authority or root.authority,
            "headers": {**root.headers, **leaf.headers},
            "without_headers": {**root.without_headers, **leaf.without_headers},
            "query_params": {**root.query_params, **leaf.query_params},
            "port": leaf.port or root.port,
            "source_labels": {**root.source_labels, **leaf.source_labels},
            "source_namespace": leaf.source_namespace or root.source_namespace,
            "gateways": leaf.gateways or root.gateways,
            "stat_prefix": leaf.stat_prefix or root.stat_prefix,
        }
    )


def conflicts(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    """Return True if `leaf` does not narrow `root`."""
    texts = (
        (root.uri, leaf.uri),
        (root.scheme, leaf.scheme),
        (root.method, leaf.method),
        (root.authority, leaf.authority),
    )
    if any(_text_conflicts(wide, narrow) for wide, narrow in texts):
        return True
    if (
        _map_conflicts(root.headers, leaf.headers)
        or _map_conflicts(root.without_headers, leaf.without_headers)
        or _map_conflicts(root.query_params, leaf.query_params)
    ):
        return True
    if root.ignore_uri_case != leaf.ignore_uri_case:
        return True
    if root.port and leaf.port and root.port != leaf.port:
        return True
    if root.source_namespace and leaf.source_namespace != root.source_namespace:
        return True
    if any(root.source_labels.get(key, value) != value for key, value in leaf.source_labels.items()):
        return True
    return bool(root.gateways and leaf.gateways and not set(leaf.gateways) <= set(root.gateways))


def _map_conflicts(root: Mapping[str, StringMatch], leaf: Mapping[str, StringMatch]) -> bool:
    return any(_text_conflicts(root.get(key), match) for key, match in leaf.items())


def _text_conflicts(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    if root is None or leaf is None:
        return False
    # A regular expression on one side excludes every match on the other: nothing can be proved about the two.
    if (root.regex and (leaf.regex or leaf.prefix or leaf.exact)) or (
        leaf.regex and (root.regex or root.prefix or root.exact)
    ):
        return True
    if root.exact:
        return bool(leaf.prefix) or leaf.exact != root.exact
    if root.prefix:
        if leaf.prefix:
            return not leaf.prefix.startswith(root.prefix)
        if leaf.exact:
            return not leaf.exact.startswith(root.prefix)
    return True
