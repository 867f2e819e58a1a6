"""`mizzen token`: prints a token by which a proxy proves who it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mizzen.cli.failure import Failure
from mizzen.cli.state_directory import check_owner, check_state


def token(
    state: Annotated[Path, typer.Option("--state", help="The state directory of the server.", metavar="DIR")],
    service_account: Annotated[str, typer.Option("--service-account", help="The service account.")],
    namespace: Annotated[str, typer.Option("--namespace", help="Its namespace.")] = "default",
    ttl: Annotated[str, typer.Option("--ttl", help="How long it holds.", metavar="DURATION")] = "1h",
) -> None:
    """Print a token for a service account: its bearer counts as that service account until it expires.

    The key that signs it is in the state directory; the first call makes the key.
    """
    from datetime import UTC, datetime, timedelta

    from mizzen.config.models.types import parse_duration
    from mizzen.identity.token import TokenKeyError, issue_token, open_or_create_key

    try:
        lifetime = parse_duration(ttl)
    except ValueError as error:
        raise Failure(f"--ttl {ttl}: {error}", exit_code=2) from error
    if not timedelta(seconds=1) <= lifetime <= timedelta(days=366):
        raise Failure(f"--ttl {ttl}: is out of range; give 1s to 8784h, such as 1h", exit_code=2)
    try:
        check_state(state)
        check_owner(state)
        key = open_or_create_key(state)
        typer.echo(issue_token(key, namespace, service_account, datetime.now(UTC), lifetime))
    except (TokenKeyError, OSError) as error:
        raise Failure(str(error)) from error
    except ValueError as error:
        raise Failure(str(error), exit_code=2) from error
