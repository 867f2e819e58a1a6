"""Which configuration files there are: folders walked, with what hinders it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from mizzen.config import Diagnostic, Origin, ParsedFile, Severity
from mizzen.config.codes import SKIPPED_KIND, UNREADABLE
from mizzen.config.yaml_documents import unreadable_file

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""What files of a folder end in. A file that is named itself may end in anything."""

MESH_TEST_SUFFIXES: Final = (".mesh-test.yaml", ".mesh-test.yml")
"""What files with tests of a mesh end in: no configuration, whoever names them."""

Wanted = Callable[[str], bool]
"""Tells by its name whether a file of a folder is listed."""


def is_configuration(name: str) -> bool:
    """Tell whether a file of this name holds configuration."""
    return name.endswith(SUFFIXES) and not is_mesh_test(name)


def is_mesh_test(name: str) -> bool:
    """Tell whether a file of this name holds tests of a mesh."""
    return name.endswith(MESH_TEST_SUFFIXES)


_UNSPEAKABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""In a name: what no log, terminal or JSON can show as it is."""


class Stamp(NamedTuple):
    """What changes when a file does: compared before its content is."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int
    device: int


@dataclass(slots=True)
class Listing:
    """The files of some paths by name, the folders that they are in, and the paths that cannot be read.

    A problem with a folder leaves unknown what is in it: its files must not be counted as gone. `linked`
    are the files that are symbolic links, `targets` what these mean, where it lies elsewhere.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: dict[str, ParsedFile] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)

    def unknown(self, file: str) -> bool:
        """Tell whether it cannot be known if a file is there, as a folder above it cannot be read."""
        return any(
            problem.broken and (file == path or file.startswith(path.rstrip("/") + "/"))
            for path, problem in self.problems.items()
        )

    def keep(self, earlier: Listing) -> None:
        """Hold the stamps of an earlier listing in the place of equal ones.

        Small objects that are made anew at each look come to lie between whatever is made then, and keep
        its memory from going back to the system after it has gone.
        """
        for name, stamp in earlier.files.items():
            if self.files.get(name) == stamp:
                self.files[name] = stamp

    def passes_over(self, path: str) -> bool:
        """Tell whether a path is none that the listing would have: not now, and not if it has just gone.

        Editors write beside a file before they put the new one in its place. Names with two dots are not
        among these: Kubernetes swaps such links under the files that it mounts.
        """
        name = os.path.basename(path)  # noqa: PTH119
        if name.startswith("..") or (is_configuration(name) and not name.startswith((".", "#"))):
            return False
        if path in self.files or path in self.folders or path in self.problems or path in self.targets:
            return False
        return not Path(path).is_dir()


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file's status."""
    return Stamp(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def list_files(roots: Iterable[str], wanted: Wanted = is_configuration) -> Listing:
    """Walk the paths `roots`: a file stands for itself, a folder for its `wanted` files, at any depth.

    Entries whose name begins with a dot or `#` (hidden files, Kubernetes' `..data`, editors' copies) are left
    out. Symbolic links are followed, but a link to a folder that is read anyway is not: links among a few
    folders make more paths than there is time.
    """
    listing = Listing()
    for root in roots:
        try:
            status = Path(root).stat()
        except OSError as error:
            listing.problems[root] = _unreadable(root, error)
            continue
        if stat.S_ISDIR(status.st_mode):
            before = len(listing.files) + len(listing.problems)
            _walk(root, status, listing, wanted)
            if len(listing.files) + len(listing.problems) == before:
                listing.problems[root] = _empty(root, wanted)
        elif wanted is is_configuration and is_mesh_test(root):
            listing.problems[root] = _not_configuration(root)
        else:
            _add(root, status, listing)
            if Path(root).is_symlink():
                listing.linked.add(root)
                listing.targets.add(os.path.realpath(root))
    return listing


def _walk(root: str, status: os.stat_result, listing: Listing, wanted: Wanted) -> None:
    """Read a folder and those in it, each once: first by its own path, then by links from elsewhere."""
    walked: set[tuple[int, int]] = set()
    folders, linked = deque([(root, status)]), deque[tuple[str, os.stat_result]]()
    while folders or linked:
        folder, status = (folders or linked).popleft()
        identity = (status.st_dev, status.st_ino)
        if identity in walked or folder in listing.folders:
            continue
        walked.add(identity)
        listing.folders[folder] = identity
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            listing.problems[folder] = _unreadable(folder, error)
            continue
        for entry in entries:
            if entry.name.startswith((".", "#")):
                continue
            if _UNSPEAKABLE.search(entry.name):
                _refuse_name(entry, listing, wanted)
                continue
            inner = _enter(entry, listing, wanted)
            if inner is not None:
                (linked if entry.is_symlink() else folders).append((entry.path, inner))


def _refuse_name(entry: os.DirEntry[str], listing: Listing, wanted: Wanted) -> None:
    if wanted(entry.name):
        shown = entry.path.encode("unicode_escape").decode()
        message = "has a name with control characters or bytes that are not UTF-8; rename it"
        listing.problems[shown] = unreadable_file(shown, message)


def _enter(entry: os.DirEntry[str], listing: Listing, wanted: Wanted) -> os.stat_result | None:
    """List an entry of a folder; return its status if it is a folder itself."""
    is_wanted = wanted(entry.name)
    try:
        if not is_wanted and not entry.is_dir():
            return None
        status = entry.stat()
    except FileNotFoundError:
        if is_wanted and entry.is_symlink():
            listing.problems[entry.path] = unreadable_file(
                entry.path, "is a symbolic link to nothing; correct or remove it"
            )
        return None
    except OSError as error:
        if is_wanted:
            listing.problems[entry.path] = _unreadable(entry.path, error)
        return None
    if stat.S_ISDIR(status.st_mode):
        return status
    _add(entry.path, status, listing)
    if entry.is_symlink():
        listing.linked.add(entry.path)
        listing.targets.add(os.path.realpath(entry.path))
    return None


def _add(path: str, status: os.stat_result, listing: Listing) -> None:
    if stat.S_ISREG(status.st_mode):
        listing.files[path] = stamp_of(status)
    else:
        listing.problems[path] = unreadable_file(path, "is neither a file nor a folder; give one of them")


def _unreadable(path: str, error: OSError) -> ParsedFile:
    if isinstance(error, FileNotFoundError):
        return unreadable_file(path, "does not exist; put it there or correct the path")
    return unreadable_file(path, why_unreadable(error))


_CURES: Final = {
    errno.EACCES: "give this user the right to read it",
    errno.EPERM: "give this user the right to read it",
    errno.ELOOP: "the link leads back to itself; correct or remove it",
    errno.ENAMETOOLONG: "shorten its name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EAGAIN: "it is no ordinary file; give one of YAML",
}


def why_unreadable(error: OSError) -> str:
    """Say why a path cannot be read, and what would be right."""
    reason = (error.strerror or str(error)).lower()
    cure = _CURES.get(error.errno or 0, "make it readable")
    return f"cannot be read: {reason}; {cure}"


def read_file(path: str, limit: int) -> bytes:
    """Read up to `limit` bytes of a file. A FIFO or device that took its place meanwhile does not block.

    Raises:
        OSError: it cannot be read, or has nothing to read now as no file has.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:  # noqa: PTH123
        data: bytes | None = file.read(limit)
    if data is None:
        raise BlockingIOError(errno.EAGAIN, "nothing to read")
    return data


def _not_configuration(root: str) -> ParsedFile:
    """Return what is known of a file with tests where configuration is named, as `mesh/*` in a shell does."""
    message = "holds tests of a mesh and is not read here; `mizzen test` runs them"
    return ParsedFile(root, diagnostics=(Diagnostic(Severity.INFO, SKIPPED_KIND, message, Origin(root)),))


def _empty(root: str, wanted: Wanted) -> ParsedFile:
    suffixes = SUFFIXES if wanted is is_configuration else MESH_TEST_SUFFIXES
    message = f"has no files ending in {', '.join(suffixes)}; is this the right folder?"
    return ParsedFile(root, diagnostics=(Diagnostic(Severity.WARNING, UNREADABLE, message, Origin(root)),))
