"""Small configuration files, and what a batch says of them."""

from __future__ import annotations

from pathlib import Path

from mizzen.sources import Batch, FileSource


class Folder:
    """A folder of configuration files in a temporary place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)

    def write(self, name: str, *sidecars: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(self.document(sidecar) for sidecar in sidecars))
        return file

    @staticmethod
    def document(name: str) -> str:
        return (
            f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\n"
            "spec: {egress: [{hosts: ['./*']}]}\n---\n"
        )

    def source(self, **options: int) -> FileSource:
        return FileSource([self.path], **options)

    def told(self, batch: Batch) -> dict[str, list[str] | str | None]:
        """Say a batch in short: file -> names of its documents, or what is wrong with it, or None."""
        short: dict[str, list[str] | str | None] = {}
        for name, parsed in batch.items():
            relative = str(Path(name).relative_to(self.path)) if Path(name) != self.path else "."
            if parsed is None:
                short[relative] = None
            elif parsed.diagnostics:
                short[relative] = parsed.diagnostics[0].message
            else:
                short[relative] = [document.name for document in parsed.documents]
        return short
