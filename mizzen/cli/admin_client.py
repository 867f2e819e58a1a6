"""Questions to a running server at its admin address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    import httpx

ADMIN = "127.0.0.1:15014"
"""The default admin address of a server."""

_TIMEOUT = 10.0
_HINT = "is `mizzen serve` running, and is this its --admin-address?"
_FILES = " To ask files, give --config PATH"


def admin_address(text: str) -> str:
    """Return the address that --admin names, as a client can call it. Raises Failure if it is invalid."""
    from mizzen.server.address import Address

    try:
        address = Address.parse(text.removeprefix("http://").rstrip("/"), example=ADMIN)
    except ValueError as error:
        raise Failure(f"--admin: {error}", exit_code=2) from error
    return str(Address("127.0.0.1", address.port) if address.host == "0.0.0.0" else address)  # noqa: S104


def ask(
    address: str, path: str, wanted: str, parameters: Mapping[str, str] | None = None, *, files: bool = False
) -> dict[str, Any]:
    """Return the JSON object with which the server at the admin `address` answers; it has the key `wanted`.

    `files`: the command can read files too, and a failure says so. Raises Failure with the server's message
    if the server refuses, and with what answers there if it is not a server.
    """
    hint = _HINT + (_FILES if files else "")
    answer = _answer(address, path, parameters or {}, hint)
    if answer.status_code == 421:  # a server, called by a name that it does not accept
        raise Failure(f"{address}: {answer.text.strip()}")
    if answer.status_code in (400, 404) and parameters and answer.text.strip() != "Not Found":
        raise Failure(answer.text.strip(), exit_code=2)
    try:
        state = answer.json()
    except ValueError:
        state = None
    if answer.status_code != 200 or not isinstance(state, dict) or wanted not in state:
        raise Failure(f"what answers at {address} is not a Mizzen server (HTTP {answer.status_code}); {hint}")
    return state


def _answer(address: str, path: str, parameters: Mapping[str, str], hint: str) -> httpx.Response:
    import httpx

    try:
        # HTTP_PROXY is ignored: the server is on this machine, or its address was given on purpose.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT) as client:
            return client.get(f"http://{address}{path}", params=parameters)
    except httpx.TimeoutException as error:
        raise Failure(f"the server at {address} did not answer within {_TIMEOUT:g} s") from error
    except httpx.HTTPError as error:
        raise Failure(f"no server answers at {address} ({error}); {hint}") from error
