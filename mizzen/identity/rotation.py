"""Changing the root of an authority in steps, so that workloads always trust each other's certificates.

    begin    A new root is made, and trusted beside the old one: root-cert.pem has both. The old one signs.
    sign     Once every proxy trusts both, the new one signs. Until `finish`, its certificates bring the new
             root signed by the old one, for peers that have not yet received the new root.
    finish   Only the new root is trusted. Before this, every certificate of the old one must be replaced.

From `begin` to `sign` the new root is in the folder `next/`. Each step can be repeated after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from mizzen.identity.authority import (
    Authority,
    AuthorityError,
    certificates_of,
    cross_signed,
    new_root,
    pem,
)
from mizzen.identity.authority_files import (
    CERTIFICATE,
    CHAIN,
    KEY,
    ROOTS,
    open_authority,
    open_or_create_authority,
)
from mizzen.identity.private_file import write_private
from mizzen.identity.workload_certificate import private_key_pem

NEXT: Final = "next"
_SIGNS: Final = "signs"
"""A file in `next/`. Once it exists, the new root is the authority, even if its
files are not all copied yet."""
_DONE: Final = "done"
"""The name of `next/` once its files are copied."""


class Phase(StrEnum):
    """The state of a rotation."""

    REST = "no rotation"
    TRUSTING = "the new root is trusted; the old one signs"
    SIGNING = "the new root signs; the old one is trusted"


def open_state_authority(directory: Path, now: datetime) -> Authority:
    """Return the authority of a state directory; make one with a new root if there never was one.

    Raises AuthorityError if there is one that cannot be used.
    """
    with _locked(directory):
        _complete(directory)
        return open_or_create_authority(directory, now)


def phase(directory: Path) -> Phase:
    """Return the state of the rotation in a directory with an authority."""
    if (directory / NEXT).exists():
        return Phase.TRUSTING
    several = len(set(certificates_of((directory / ROOTS).read_bytes()))) > 1
    return Phase.SIGNING if several else Phase.REST


def begin(directory: Path, now: datetime) -> Authority:
    """Make a new root and trust it. Raises AuthorityError if a rotation is already under way."""
    with _locked(directory):
        authority = open_authority(directory, now)
        if authority.issuer.certificate not in authority.roots:
            raise AuthorityError(
                f"{directory / CERTIFICATE}: is an intermediate; its rotation is yours: add the new root to "
                f"{ROOTS}, then exchange {CERTIFICATE}, {KEY} and {CHAIN}, then take the old root out"
            )
        if len(authority.roots) > 1:
            raise AuthorityError(f"{directory}: a rotation is under way; end it first: mizzen ca finish")
        waiting = directory / NEXT
        if waiting.exists():  # a `begin` was interrupted: its root was never trusted
            shutil.rmtree(waiting)
        root = new_root(now)
        cross = cross_signed(root, authority.issuer, now)
        waiting.mkdir(mode=0o700)
        write_private(waiting / KEY, private_key_pem(root.key))
        write_private(waiting / CHAIN, pem([cross]))
        write_private(waiting / CERTIFICATE, pem([root.certificate]))
        write_private(directory / ROOTS, pem([*authority.roots, root.certificate]))
        return open_authority(directory, now)


def sign(directory: Path, now: datetime) -> Authority:
    """Let the new root sign; call this only when all proxies trust it. Raises
    AuthorityError if there is none."""
    with _locked(directory):
        waiting = directory / NEXT
        if not waiting.exists():
            raise AuthorityError(f"{directory}: no rotation is under way; begin one: mizzen ca rotate")
        write_private(waiting / _SIGNS, b"")
        _complete(directory)
        return open_authority(directory, now)


def finish(directory: Path, now: datetime) -> Authority:
    """Trust only the root that signs. Raises AuthorityError if no rotation is under
    way, or the new root does not sign yet."""
    with _locked(directory):
        authority = open_authority(directory, now)
        if len(authority.roots) == 1:
            raise AuthorityError(f"{directory}: no rotation is under way: one root is trusted")
        if (directory / NEXT).exists():
            raise AuthorityError(
                f"{directory}: the new root does not sign yet: a running server lets it, once every proxy "
                "trusts it"
            )
        write_private(directory / ROOTS, pem([authority.issuer.certificate]))
        write_private(directory / CHAIN, b"")
        return open_authority(directory, now)


def _complete(directory: Path) -> None:
    waiting = directory / NEXT
    if (waiting / _SIGNS).exists():
        for name in (CHAIN, CERTIFICATE, KEY):
            write_private(directory / name, (waiting / name).read_bytes())
        waiting.rename(directory / _DONE)
    if (directory / _DONE).exists():
        shutil.rmtree(directory / _DONE)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from changing the same authority. Raises AuthorityError
    if the system refuses an operation."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AuthorityError(f"{error.filename or directory}: {reason}") from error
