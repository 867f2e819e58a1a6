"""Codes of the diagnostics of this package. Istio's own analysis codes keep Istio's numbers."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "IST0106"
"""SchemaValidationError: the document does not have the form of its kind."""

SCHEMA_WARNING: Final = "IST0133"
"""SchemaWarning: the document is valid, but probably not what was meant."""

UNREADABLE: Final = "MZ0010"
"""A file or folder cannot be read: it is absent, not permitted, too big, or binary."""

SYNTAX: Final = "MZ0011"
"""The text is not YAML, or YAML that is refused for safety (depth, alias expansion)."""

NOT_A_DOCUMENT: Final = "MZ0012"
"""YAML that is not a Kubernetes object: it has no kind, apiVersion or name."""

SKIPPED_KIND: Final = "MZ0013"
"""A kind that a mesh does not read; skipping it loses nothing."""

UNSERVED_KIND: Final = "MZ0014"
"""A kind that Istio acts on and that takes no effect here."""

DUPLICATE_DOCUMENT: Final = "MZ0015"
"""Two documents have the same kind, namespace and name."""

UNSERVED_MESH_FIELD: Final = "MZ0016"
"""A field of MeshConfig that takes no effect here."""

AMBIGUOUS_KEY: Final = "MZ0017"
"""A key that YAML reads as something other than its letters."""

UNFILLED: Final = "MZ0018"
"""A template's placeholder (such as Helm's) that is not filled in."""

UNTRANSLATABLE: Final = "MZ0105"
"""A document that Mizzen fails to check or translate, by a fault of its own."""
