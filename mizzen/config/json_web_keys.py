"""JSON Web Key Sets (RFC 7517): whether a text is one, and whether it holds secret keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "oct": ("k",),
}
_BASE64URL: Final = re.compile(r"[-_A-Za-z0-9]+=*")
_NAMES: Final = frozenset({"crv"})
_PUBLIC: Final = ("kty", "use", "alg", "kid", "n", "e", "crv", "x", "y")
_KEY_TYPES: Final = ", ".join(_REQUIRED)


def key_set_problem(text: str) -> str | None:
    """`text` must be a key set in JSON, or a single key. The message does not quote the text."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return 'the key set is not JSON; write {"keys": [...]}'
    if not isinstance(content, dict):
        return 'the key set is not an object; write {"keys": [...]}'
    if "keys" not in content:
        return _key_problem(content, "the key")
    if not isinstance(content["keys"], list):
        return "the key set's `keys` is not a list; write a list of keys"
    for index, key in enumerate(content["keys"]):
        if problem := _key_problem(key, f"keys[{index}]"):
            return problem
    return None


def has_keys(text: str) -> bool:
    """Tell whether a valid key set has a key; if it has none, Envoy refuses every token."""
    return bool(json.loads(text).get("keys"))


def tells_secrets(text: str) -> bool:
    """Tell whether a text holds private or symmetric keys, which Envoy does not
    need. False if it is not a key set."""
    if key_set_problem(text) is not None:
        return False
    content = json.loads(text)
    keys = content.get("keys", [content])
    return any("d" in key or key["kty"] == "oct" for key in keys)


def public_key_set(text: str) -> tuple[str, str | None]:
    """Return the public keys of a fetched text as a key set, and None; or an empty text, and the reason.

    Left out: keys that are private, symmetric, broken or of an unknown kind, and all fields that are not
    needed to verify a signature.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "", "the answer is not JSON"
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, list):
        return "", "the answer is not a key set: it has no list of keys"
    good = [key for key in keys if _key_problem(key, "") is None and key["kty"] != "oct"]
    if not good:
        return "", "the key set has no public key of a known kind"
    public = [{name: key[name] for name in _PUBLIC if isinstance(key.get(name), str)} for key in good]
    return json.dumps({"keys": public}, separators=(",", ":")), None


def _key_problem(key: Any, what: str) -> str | None:
    if not isinstance(key, dict):
        return f"{what} is not an object; write a key with kty and what its kind needs"
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        return f"{what} has no kty of a known kind; write one of {_KEY_TYPES}"
    for name in _REQUIRED[kind]:
        value = key.get(name)
        if not isinstance(value, str) or not (name in _NAMES or _BASE64URL.fullmatch(value)):
            return f"{what} has no {name} in base64url, which a key of kind {kind} needs"
    return None
