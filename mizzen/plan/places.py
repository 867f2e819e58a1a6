"""Where the lines of a changed part are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mizzen.explain.origins import PartOrigins, Places
from mizzen.translator.listeners.authorization import RuleName
from mizzen.xds import type_urls

Place = Callable[[PartOrigins], Places]
"""Finds the lines of the part that a change is of."""


def of_listener(name: str) -> Place:
    """Return what finds a listener."""
    return lambda origins: origins.listener(name)


def of_filter_chain(listener: str, index: int, chain: Any) -> Place:
    """Return what finds the FilterChain at `index` of a listener, -1 for its default one."""
    names = tuple(chain.filter_chain_match.server_names)
    return lambda origins: origins.filter_chain(listener, index, name=chain.name, server_names=names)


def of_virtual_host(configuration: str, host: str) -> Place:
    """Return what finds a virtual host of a route configuration."""
    return lambda origins: origins.virtual_host(configuration, host)


def of_route(configuration: str, host: str, index: int) -> Place:
    """Return what finds the route at `index` of a virtual host."""
    return lambda origins: origins.route(configuration, host, index)


def of_cluster(name: str) -> Place:
    """Return what finds a cluster, and its endpoints."""
    return lambda origins: origins.cluster(name)


def of_policy_rule(name: str) -> Place:
    """Return what finds a rule of an AuthorizationPolicy, by the name that it has in Envoy."""
    rule = RuleName.parse(name)
    return lambda origins: origins.policy_rule(rule) if rule is not None else ()


def of_token_rule(provider: str) -> Place:
    """Return what finds a rule of a RequestAuthentication, by the name of its provider."""
    return lambda origins: origins.token_rule(provider)[1]


def of_policies(listener: str, kind: str) -> Place:
    """Return what finds the security policies of a kind of which a listener is made."""
    return lambda origins: origins.policies(listener, (kind,))


def of_secret(name: str) -> Place:
    """Return what finds a secret."""
    return lambda origins: origins.resource(type_urls.SECRET, name)
