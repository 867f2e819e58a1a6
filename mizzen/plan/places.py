"""Functions that find the lines of a changed part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mizzen.config.document import GroupKind
from mizzen.explain.origins import PartOrigins, Places
from mizzen.translator.filters.authorization import RuleName
from mizzen.xds import type_urls

Place = Callable[[PartOrigins], Places]
"""Finds the lines of a changed part."""


def of_listener(name: str) -> Place:
    """Return a finder of a listener's lines."""
    return lambda origins: origins.listener(name)


def of_filter_chain(listener: str, index: int, chain: Any) -> Place:
    """Return a finder of the lines of a listener's FilterChain at `index`, -1 for the default one."""
    names = tuple(chain.filter_chain_match.server_names)
    return lambda origins: origins.filter_chain(listener, index, name=chain.name, server_names=names)


def of_virtual_host(configuration: str, host: str) -> Place:
    """Return a finder of the lines of a virtual host of a route configuration."""
    return lambda origins: origins.virtual_host(configuration, host)


def of_route(configuration: str, host: str, index: int) -> Place:
    """Return a finder of the lines of the route at `index` of a virtual host."""
    return lambda origins: origins.route(configuration, host, index)


def of_cluster(name: str) -> Place:
    """Return a finder of the lines of a cluster and its endpoints."""
    return lambda origins: origins.cluster(name)


def of_policy_rule(name: str) -> Place:
    """Return a finder of the lines of a rule of an AuthorizationPolicy, given its name in Envoy."""
    rule = RuleName.parse(name)
    return lambda origins: origins.policy_rule(rule) if rule is not None else ()


def of_token_rule(provider: str) -> Place:
    """Return a finder of the lines of a rule of a RequestAuthentication, given the name of its provider."""
    return lambda origins: origins.token_rule(provider)[1]


def of_policies(listener: str, kind: GroupKind) -> Place:
    """Return a finder of the lines of a listener's security policies of one kind."""
    return lambda origins: origins.policies(listener, (kind,))


def of_secret(name: str) -> Place:
    """Return a finder of a secret's lines."""
    return lambda origins: origins.resource(type_urls.SECRET, name)
