"""Codes of the findings that this package makes itself; Istio's own analysis codes keep Istio's numbers."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "IST0106"
"""SchemaValidationError: the document is not what its kind allows."""

SCHEMA_WARNING: Final = "IST0133"
"""SchemaWarning: the document is allowed, and still probably not what was meant."""

UNREADABLE: Final = "MZ0010"
"""A file or folder cannot be read: absent, not permitted, too big, binary."""

SYNTAX: Final = "MZ0011"
"""The text is not YAML, or YAML that is refused for safety (depth, alias expansion)."""

NOT_A_DOCUMENT: Final = "MZ0012"
"""YAML that cannot be told for a Kubernetes object: no kind, apiVersion or name."""

SKIPPED_KIND: Final = "MZ0013"
"""A kind that a mesh does not read; nothing is lost by it."""

UNSERVED_KIND: Final = "MZ0014"
"""A kind that means something to Istio and takes no effect here."""

DUPLICATE_DOCUMENT: Final = "MZ0015"
"""The same kind, namespace and name are written twice."""

UNSERVED_MESH_FIELD: Final = "MZ0016"
"""A field of MeshConfig that takes no effect here."""

AMBIGUOUS_KEY: Final = "MZ0017"
"""A key that YAML reads as something else than its letters."""

UNFILLED: Final = "MZ0018"
"""A placeholder of a template, as Helm's, that nobody filled in."""
