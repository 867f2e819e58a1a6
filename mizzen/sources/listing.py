"""Lists configuration files: walks folders, and records paths that cannot be read."""

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
"""Suffixes of files that are read from folders. A path that is given itself may have any suffix."""

MESH_TEST_SUFFIXES: Final = (".mesh-test.yaml", ".mesh-test.yml")
"""Suffixes of files with tests of a mesh. They are never read as configuration, even if given themselves."""

Wanted = Callable[[str], bool]
"""Returns True if a file of a folder is listed, by its name."""


def is_configuration(name: str) -> bool:
    """True if a file with this name has configuration."""
    return name.endswith(SUFFIXES) and not is_mesh_test(name)


def is_mesh_test(name: str) -> bool:
    """True if a file with this name has tests of a mesh."""
    return name.endswith(MESH_TEST_SUFFIXES)


_UNSPEAKABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters of a name that logs, terminals and JSON cannot show unchanged."""


class Stamp(NamedTuple):
    """The properties of a file that change with its content; they are compared before the content."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int
    device: int


@dataclass(slots=True)
class Listing:
    """The files of some paths by name, their folders, and the paths that cannot be read.

    If a folder has a problem, its content is unknown: its files must not count as gone. `linked` are the
    files that are symbolic links, `targets` the real paths of these.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: dict[str, ParsedFile] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)

    def unknown(self, file: str) -> bool:
        """True if it is not known whether a file exists, because a folder above it cannot be read."""
        return any(
            problem.broken and (file == path or file.startswith(path.rstrip("/") + "/"))
            for path, problem in self.problems.items()
        )

    def reuse_stamps(self, earlier: Listing) -> None:
        """Replace stamps by equal ones of an earlier listing.

        Otherwise each scan would allocate small objects between larger ones, and after those are freed, their
        memory could not be returned to the system.
        """
        for name, stamp in earlier.files.items():
            if self.files.get(name) == stamp:
                self.files[name] = stamp

    def ignores(self, path: str) -> bool:
        """True if a change of this path cannot concern the listing, even if the path has just gone.

        Such paths are the temporary files of editors. Names that begin with two dots are never ignored:
        Kubernetes swaps such links to update mounted files.
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
    """List the paths `roots`: a file itself, and for a folder its `wanted` files, at any depth.

    Entries whose name begins with a dot or `#` (hidden files, Kubernetes' `..data`, editors' copies) are left
    out. Symbolic links are followed, except to folders that are read anyway: with links among a few folders
    the number of paths would explode.
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
    """Read a folder and its subfolders, each once: first by their own paths, then by links."""
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
    errno.EAGAIN: "it is not an ordinary file; give a YAML file",
}


def why_unreadable(error: OSError) -> str:
    """Return why a path cannot be read, and what would be right."""
    reason = (error.strerror or str(error)).lower()
    cure = _CURES.get(error.errno or 0, "make it readable")
    return f"cannot be read: {reason}; {cure}"


def read_file(path: str, limit: int) -> bytes:
    """Read up to `limit` bytes of a file. If a FIFO or device has replaced the file, the call does not block.

    Raises:
        OSError: the file cannot be read, or is a FIFO or device without data.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        data = piece = os.read(descriptor, min(limit, _PIECE))
        while piece and len(data) < limit:
            piece = os.read(descriptor, min(limit - len(data), max(len(data), _PIECE)))
            data += piece
        return data
    except BlockingIOError:
        raise BlockingIOError(errno.EAGAIN, "nothing to read") from None
    finally:
        os.close(descriptor)


_PIECE: Final = 64 * 1024
"""Most files are smaller. A read allocates as much as it asks for, so to ask for the limit would take longer
than all the rest."""


def _not_configuration(root: str) -> ParsedFile:
    """Return the diagnostic for a file with tests that was given as configuration, as by `mesh/*` in a
    shell."""
    message = "holds tests of a mesh and is not read here; `mizzen test` runs them"
    return ParsedFile(root, diagnostics=(Diagnostic(Severity.INFO, SKIPPED_KIND, message, Origin(root)),))


def _empty(root: str, wanted: Wanted) -> ParsedFile:
    suffixes = SUFFIXES if wanted is is_configuration else MESH_TEST_SUFFIXES
    message = f"has no files ending in {', '.join(suffixes)}; is this the right folder?"
    return ParsedFile(root, diagnostics=(Diagnostic(Severity.WARNING, UNREADABLE, message, Origin(root)),))
