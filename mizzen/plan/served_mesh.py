"""What a running server serves, as plain values for JSON, and what new documents would change.

The server sends its documents, settings and proxies (`told`), a client reads them (`ServedMesh.from_dict`),
and `change_to` compares them with documents that are not served yet. No secret is sent, see
`mizzen.config.plain_documents`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import TypeAdapter

from mizzen.config import Config, ConfigChange, ConfigKey, MeshConfig
from mizzen.config.group_kinds import SECRET
from mizzen.config.plain_documents import (
    from_plain,
    lines_from_plain,
    origin_from_plain,
    plain,
    plain_key,
    plain_origin,
)
from mizzen.identity.authority import new_root, pem
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh

_PROXIES: Final[TypeAdapter[tuple[Proxy, ...]]] = TypeAdapter(tuple[Proxy, ...])


def told(mesh: Mesh, proxies: Iterable[Proxy]) -> dict[str, Any]:
    """Return what a server serves to these proxies, in the form that `ServedMesh.from_dict` reads."""
    return {
        "documents": [[plain(config), plain_origin(config)] for config in mesh.documents()],
        "mesh_config": mesh.mesh_config.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "domain": mesh.settings.domain,
        "certificates_served": mesh.settings.certificates_served,
        "proxies": _PROXIES.dump_python(tuple(proxies), mode="json", by_alias=True, exclude_unset=True),
    }


@dataclass(frozen=True, slots=True)
class ServedMesh:
    """What a server serves: documents by key, each with its place, and the proxies."""

    documents: Mapping[ConfigKey, tuple[Mapping[str, Any], Mapping[str, Any]]]
    mesh_config: MeshConfig
    domain: str
    certificates_served: bool
    proxies: tuple[Proxy, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ServedMesh:
        """Return what `told` wrote. Raises ValueError if it has the form of a different version of Mizzen."""
        try:
            return cls(
                {plain_key(content): (content, place) for content, place in values["documents"]},
                MeshConfig.model_validate(values["mesh_config"]),
                values["domain"],
                values["certificates_served"],
                _PROXIES.validate_python(values["proxies"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the server sends its configuration in a different form: {error!r}") from error

    def mesh(self, configs: Iterable[Config[Any]]) -> Mesh:
        """Return the mesh as it is served; `configs` are its documents (`ServedChange.served`)."""
        return Mesh.build(
            configs,
            self.mesh_config,
            domain=self.domain,
            certificates_served=self.certificates_served,
        )


@dataclass(frozen=True, slots=True)
class ServedChange:
    """The documents that are served, and how new documents change them."""

    served: tuple[Config[Any], ...]
    change: ConfigChange


def change_to(served: ServedMesh, new: Iterable[Config[Any]], kept: Iterable[ConfigKey]) -> ServedChange:
    """Return what `new` documents change. Documents in `kept` stay in force: a server that refuses the new
    version of a document keeps the old one."""
    before: list[Config[Any]] = []
    updated: list[Config[Any]] = []
    moved: dict[ConfigKey, Config[Any]] = {}
    seen = set(kept)
    for config in new:
        seen.add(config.key)
        content, place = served.documents.get(config.key, (None, None))
        if content is not None and place is not None and content == plain(config):
            # Both sides get the same object for an unchanged document, so that nothing of it is compared.
            origin = origin_from_plain(place, config.key)
            before.append(replace(config, origin=origin, lines=lines_from_plain(place)))
            moved[config.key] = config
            continue
        updated.append(config)
        if content is not None and place is not None:
            before.extend(_served(content, place))
    for key in served.documents.keys() - {config.key for config in before} - {each.key for each in updated}:
        before.extend(_served(*served.documents[key]))
    removed = tuple(key for key in served.documents if key not in seen)
    return ServedChange(tuple(before), ConfigChange(tuple(updated), removed, moved))


def _served(content: Mapping[str, Any], place: Mapping[str, Any]) -> Iterable[Config[Any]]:
    """Yield a document as it is served. A Secret gets placeholder values, as the server sends none."""
    if plain_key(content).group_kind == SECRET:
        content = {key: value for key, value in content.items() if key != "digests"} | {
            "stringData": {name: _stand_in(name) for name in content["digests"]}
        }
    config = from_plain(content, place)
    if config is not None:
        yield config


def _stand_in(name: str) -> str:
    certificate, key = _certificate_and_key()
    return key if name in ("tls.key", "key") else certificate


@cache
def _certificate_and_key() -> tuple[str, str]:
    root = new_root(datetime(2000, 1, 1, tzinfo=UTC), timedelta(days=36500))
    key = root.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem([root.certificate]).decode(), key.decode()
