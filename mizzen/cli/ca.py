"""`mizzen ca`: shows the certificate authority of a server from its files, and rotates it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mizzen.cli.failure import Failure
from mizzen.cli.state_directory import check_owner, check_state

if TYPE_CHECKING:
    from datetime import datetime

    from mizzen.identity.authority import Authority
    from mizzen.identity.certificate_store import CertificateStore

_SHOWN: Final = 5


class Action(StrEnum):
    """What to do with the authority."""

    STATUS = "status"
    CREATE = "create"
    ROTATE = "rotate"
    FINISH = "finish"


class Output(StrEnum):
    """The form of the status."""

    TEXT = "text"
    JSON = "json"


def ca(
    action: Annotated[Action, typer.Argument(help="What to do.", metavar="ACTION")] = Action.STATUS,
    state: Annotated[
        Path | None,
        typer.Option("--state", help="The state directory of the server.", metavar="DIR"),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option("--ca", help="The authority that you bring, if the server has one.", metavar="DIR"),
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the status.")] = Output.TEXT,
    force: Annotated[
        bool, typer.Option("--force", help="Finish although certificates of the old root are still valid.")
    ] = False,
) -> None:
    """Show the certificate authority of a server, or change its root.

    status (the default) says what is in force. create makes the authority before the first start of the
    server, if its root is needed by then. rotate makes a new root: the running server gives it to every
    proxy beside the old one, and then lets it sign. finish ends the trust in the old root.
    """
    from mizzen.identity import rotation
    from mizzen.identity.authority import AuthorityError
    from mizzen.identity.authority_files import ROOTS

    if state is None and authority is None:
        raise Failure("say which authority: --state DIR or --ca DIR", exit_code=2)
    if action is not Action.STATUS and authority is not None:
        raise Failure(
            f"{authority}: you rotate the authority that you bring: add the new root to root-cert.pem, then "
            "exchange ca-cert.pem, ca-key.pem and cert-chain.pem, then remove the old root",
            exit_code=2,
        )
    if state is not None and action is not Action.CREATE:
        check_state(state)
    directory = authority if authority is not None else _of_state(state, creates=action is Action.CREATE)
    try:
        if action is Action.CREATE:
            rotation.open_state_authority(directory, _now())
            typer.echo(f"the certificate authority is there; its root: {directory / ROOTS}")
        elif action is Action.ROTATE:
            rotation.begin(directory, _now())
            typer.echo("a new root is made; a running server gives it to every proxy, and then lets it sign")
        elif action is Action.FINISH:
            _check_that_nothing_breaks(directory, state, force=force)
            rotation.finish(directory, _now())
            typer.echo("only the new root is trusted from now on")
        else:
            _show(directory, state, output)
    except BrokenPipeError:
        raise  # the reader of the output has ended: no failure to tell of
    except (AuthorityError, OSError) as error:
        raise Failure(str(error)) from error


def _of_state(state: Path | None, *, creates: bool) -> Path:
    from mizzen.identity.authority_files import FOLDER, ROOTS

    assert state is not None
    directory = state / FOLDER
    try:
        if creates:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
        elif not (directory / ROOTS).exists():
            raise Failure(f"{state}: there is no certificate authority; mizzen ca create --state {state}")
        check_owner(directory)
    except OSError as error:
        raise Failure(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error
    return directory


def _check_that_nothing_breaks(directory: Path, state: Path | None, *, force: bool) -> None:
    from mizzen.identity.authority import fingerprint
    from mizzen.identity.authority_files import open_authority

    now = _now()
    authority = open_authority(directory, now)
    signing = fingerprint(authority.issuer.certificate)
    held = [one for root, several in _in_force(state, now).items() if root != signing for one in several]
    if not held or force:
        return
    held.sort(key=lambda one: one[1], reverse=True)
    named = [f"  {identity} until {until:%Y-%m-%d %H:%M:%S} UTC" for identity, until in held[:_SHOWN]]
    more = [f"  and {len(held) - _SHOWN} more"] if len(held) > _SHOWN else []
    one = len(held) == 1
    number = f"{len(held)} certificate{'' if one else 's'} of the old root still hold{'s' if one else ''}"
    raise Failure(
        "\n".join(
            (
                f"{number}, and would no longer be trusted:",
                *named,
                *more,
                "the server replaces those that it gives to connected proxies within minutes after the new "
                "root signs; an agent renews its own as always, before four fifths of its life are over; "
                "wait, or --force",
            )
        )
    )


def _show(directory: Path, state: Path | None, output: Output) -> None:
    from mizzen.identity import rotation
    from mizzen.identity.authority_files import open_authority

    now = _now()
    told = _told(open_authority(directory, now), directory, state, now)
    told["rotation"] = str(rotation.phase(directory))
    if output is Output.JSON:
        from mizzen.cli.table_output import print_json

        print_json(told)
        return
    held = told["workload_certificates"]
    typer.echo(f"directory    {told['directory']}")
    typer.echo(f"issuer       {told['issuer']}")
    typer.echo(f"             {told['fingerprint']}")
    typer.echo(f"until        {told['until']}")
    typer.echo(f"rotation     {told['rotation']}")
    for root in told["roots"]:
        certificates = f"{root['workload_certificates']} workload certificates"
        typer.echo(f"root         {root['name']}, until {root['until']}, {certificates}")
        typer.echo(f"             {root['fingerprint']}")
    following = f", the next renewal is due at {told['next_renewal']}" if told["next_renewal"] else ""
    typer.echo(f"in force     {held} workload certificates{following}")


def _told(authority: Authority, directory: Path, state: Path | None, now: datetime) -> dict[str, Any]:
    from mizzen.identity.authority import fingerprint

    in_force = _in_force(state, now)
    renewals = _renewals(state, now)
    return {
        "directory": str(directory),
        "issuer": authority.issuer.certificate.subject.rfc4514_string(),
        "fingerprint": fingerprint(authority.issuer.certificate),
        "until": authority.ends.isoformat(),
        "roots": [
            {
                "name": root.subject.rfc4514_string(),
                "fingerprint": fingerprint(root),
                "until": root.not_valid_after_utc.isoformat(),
                "workload_certificates": len(in_force.get(fingerprint(root), ())),
            }
            for root in authority.roots
        ],
        "workload_certificates": sum(map(len, in_force.values())),
        "next_renewal": min(renewals).isoformat(timespec="seconds") if renewals else None,
    }


def _in_force(state: Path | None, now: datetime) -> dict[str, list[tuple[str, datetime]]]:
    store = _store(state)
    if store is None:
        return {}
    try:
        return store.in_force(now)
    finally:
        store.close()


def _renewals(state: Path | None, now: datetime) -> list[datetime]:
    from mizzen.identity.renewal import renewal_time

    store = _store(state)
    if store is None:
        return []
    try:
        return [renewal_time(each) for each in store.read(now)]
    finally:
        store.close()


def _store(state: Path | None) -> CertificateStore | None:
    import sqlite3

    from mizzen.identity.certificate_store import FILE, CertificateStore

    if state is None or not (state / FILE).exists():
        return None
    try:
        return CertificateStore(state)
    except sqlite3.Error as error:
        raise Failure(f"{state / FILE}: cannot be read ({error})") from error


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)
