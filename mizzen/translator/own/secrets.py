"""The secrets of one proxy: only those that its listeners and clusters refer to.

A proxy gets only secrets of its own namespace (Istio: pilot/pkg/xds/sds.go). Otherwise anyone who may write a
Gateway could get any certificate for a proxy of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config
from mizzen.config.group_kinds import SECRET
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.recorded.proxy_questions import ProxyQuestions
from mizzen.translator.base.memo import Memo
from mizzen.translator.own.resources import WorkloadResources
from mizzen.translator.tls.secret_names import CA_SUFFIX, FILE_CERTIFICATE, FILE_ROOT, OF_EVERY_WORKLOAD
from mizzen.translator.tls.secret_references import SecretNames, all_secrets, secret_references
from mizzen.translator.tls.secrets import (
    MANY_FILES,
    UNUSABLE_SECRET,
    WITHHELD_SECRET,
    own_secret_name,
    secrets,
)
from mizzen.xds.resource import Resource

_MANY_FILES: Final = 100
_INSTANCES: Final = 128
"""Linux's default limit of inotify instances for a user (man 7 inotify)."""


def proxy_secrets(
    mesh: ProxyQuestions,
    proxy: Proxy,
    asked: SecretNames,
    own: WorkloadResources,
    clusters: Callable[[], Iterable[Resource]],
    memo: Memo,
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """Return the secrets of `proxy`, and diagnostics for those that it does not get.

    They are those in `asked` and those of its own resources. `clusters` returns all clusters of its class.
    """
    asked = all_secrets((asked, own.secrets))
    if not asked:
        return (), ()
    namespace = proxy.namespace
    withheld: tuple[Diagnostic, ...] = ()
    if proxy.is_unproven:
        withheld = tuple(_withheld(mesh, asked.certificates | asked.roots, namespace))
        asked = asked.filtered(lambda name: own_secret_name(name, namespace) is None)
    made, diagnostics = secrets(asked, lambda name: mesh.secret(namespace, name), memo, namespace=namespace)
    names = asked.certificates | asked.roots
    unserved = (own_secret_name(name, namespace) for name in names.difference(one.name for one in made))
    absent = {name for name in unserved if name is not None and mesh.secret(namespace, name) is None}
    watched = frozenset(one.name for one in made if one.name.startswith((FILE_CERTIFICATE, FILE_ROOT)))
    many = _many_files(watched, lambda: chain(own.listeners, own.clusters, clusters()))
    return made, (*withheld, *diagnostics, *_elsewhere(mesh, absent, namespace), *many)


def _many_files(watched: frozenset[str], users: Callable[[], Iterable[Resource]]) -> Iterator[Diagnostic]:
    """Warn of more files than an Envoy can watch. It needs an inotify instance for each secret in files, and
    if there are too many it does not reject them, but exits."""
    if len(watched) < _MANY_FILES:
        return
    first = next((one for one in users() if secret_references(one).filtered(watched.__contains__)), None)
    origin = next((each for each in first.origins if isinstance(each, Origin)), None) if first else None
    yield Diagnostic(
        Severity.WARNING,
        MANY_FILES,
        f"a proxy reads {len(watched)} certificates from files, beginning here, and Envoy needs an inotify "
        f"instance for each: where there are no more it ends at once, and Linux gives a user {_INSTANCES}; "
        "raise fs.inotify.max_user_instances on the machine of the proxy, or use credentialName",
        origin or Origin(""),
    )


def _withheld(mesh: ProxyQuestions, names: Collection[str], namespace: str) -> Iterator[Diagnostic]:
    """Yield a warning for each Secret that a proxy is not sent because it has not proven its identity."""
    for name in sorted({own_secret_name(name, namespace) for name in names} - {None}, key=str):
        config = mesh.secret(namespace, str(name))
        if config is not None:
            yield Diagnostic(
                Severity.WARNING,
                WITHHELD_SECRET,
                f"Secret {namespace}/{name} is not sent to proxies that do not prove their identity by a "
                "certificate; let them connect to --tls-address, with --tls-client-ca, or start the server "
                "with --secrets-to-anyone",
                config.origin,
            )


def _elsewhere(mesh: ProxyQuestions, names: Collection[str], namespace: str) -> Iterator[Diagnostic]:
    """Yield a warning for each absent Secret that a different namespace has. The analysis of the mesh reports
    those that no namespace has."""
    if not names:
        return
    for config in _secrets_named(mesh, names):
        if config.namespace != namespace:
            yield Diagnostic(
                Severity.WARNING,
                UNUSABLE_SECRET,
                f"Secret {config.name} is asked for by proxies of namespace {namespace}, and a proxy gets "
                f"only Secrets of its own namespace: connections that need it fail; move it to {namespace}",
                config.origin_of("metadata", "namespace"),
                "metadata.namespace",
            )


def _secrets_named(mesh: ProxyQuestions, names: Collection[str]) -> list[Config[Any]]:
    """Return the Secrets with one of these names, of all namespaces, in the order of their keys."""
    return sorted((each for each in mesh.configs(SECRET) if each.name in names), key=lambda each: each.key)


def why_not_sent(mesh: ProxyQuestions, proxy: Proxy, wanted: SecretNames, memo: Memo) -> str:
    """Return why `proxy` is not sent the only secret in `wanted`; empty if it is sent."""
    namespace = proxy.namespace
    name = next(iter(wanted.certificates | wanted.roots))
    if name in OF_EVERY_WORKLOAD:
        return "" if mesh.has_certificate(proxy) else "workloads get no certificates"
    made, diagnostics = secrets(wanted, lambda own: mesh.secret(namespace, own), memo, namespace=namespace)
    own = own_secret_name(name, namespace)
    if made:
        withheld = _withheld(mesh, [name], namespace) if proxy.is_unproven else ()
        return next((each.message for each in withheld), "")
    if diagnostics:
        return f"{diagnostics[0].origin}: {diagnostics[0].message}"
    if own is None:
        return f"a proxy gets only Secrets of its own namespace {namespace}, by credentialName: NAME"
    # Roots may also be in the Secret of the certificate.
    names = dict.fromkeys((own, own.removesuffix(CA_SUFFIX) if wanted.roots else own))
    elsewhere = next(iter(_secrets_named(mesh, names)), None)
    if elsewhere is not None:
        return (
            f"Secret {elsewhere.name} is in namespace {elsewhere.namespace} ({elsewhere.origin}), and a "
            f"proxy gets only Secrets of its own namespace {namespace}"
        )
    return f"there is no Secret {' or '.join(names)} in namespace {namespace}"
