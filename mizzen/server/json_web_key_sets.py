"""Fetches a JSON Web Key Set over HTTP, from an address in a user's document.

    keys = await fetch_key_set("https://issuer.example/keys", seconds=5)

The author of a document chooses where the request goes, so the request must be harmless: it is a GET without
data of its own, never to link-local addresses (clouds have metadata services there), with a bound on time,
size and redirects; and from the answer only public keys are used.
Source: RFC 7517; OpenID Connect Discovery 1.0, section 4.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx

from mizzen.config.json_web_keys import public_key_set
from mizzen.config.validation.request_authentication import key_uri_problem

LARGEST: Final = 256 * 1024
"""Most bytes of an answer; those of large issuers have some 5,000."""
MOST_REDIRECTS: Final = 3
DEFAULT_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 2.0
"""Longest time to connect to each address of a host, so that a dead address leaves time for the next."""
_METADATA: Final = tuple(
    map(ipaddress.ip_network, ("fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24"))
)
"""Metadata services that are not at link-local addresses: of AWS, Alibaba, Azure, Oracle."""
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
_LOOKUPS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="mizzen-lookup")
"""Threads for DNS lookups alone: a hanging lookup cannot be ended, and must not block other work."""
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "mizzen"}


class KeySetError(Exception):
    """The keys could not be fetched. The message says why, without any text of the answer."""


async def fetch_key_set(uri: str, *, discovered: bool = False, seconds: float = DEFAULT_SECONDS) -> str:
    """Return the public keys at `uri`, as a key set in JSON with at least one key.

    `discovered`: `uri` is that of an issuer's OpenID Connect configuration, which has the URI of the keys.
    `seconds` bounds the whole call. Raises KeySetError.
    """
    try:
        async with asyncio.timeout(seconds):
            if discovered:
                uri = _keys_uri(await _get(uri), uri)
            text = await _get(uri)
    except TimeoutError:
        raise KeySetError(f"no whole answer within {seconds:g} s") from None
    keys, problem = public_key_set(text)
    if problem is not None:
        raise KeySetError(problem)
    return keys


def _keys_uri(text: str, asked: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise KeySetError("the issuer's configuration is not JSON") from None
    uri = found.get("jwks_uri") if isinstance(found, dict) else None
    if not isinstance(uri, str) or key_uri_problem(uri) is not None:
        raise KeySetError("the issuer's configuration has no jwks_uri of http or https")
    _check_step(asked, uri)
    return uri


def _check_step(from_uri: str, to_uri: str) -> None:
    if from_uri.startswith("https:") and not to_uri.startswith("https:"):
        raise KeySetError(
            "it leads from https to http, where an attacker in the network could change the keys"
        )


async def _get(uri: str) -> str:
    # No proxies and no credentials from the environment: the request must go to the checked address.
    context = await asyncio.to_thread(ssl.create_default_context)
    bound = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=bound) as client:
        for _ in range(MOST_REDIRECTS + 1):
            status, headers, body = await _ask(client, httpx.URL(uri))
            if status == 200:
                return _text(body)
            if status not in (301, 302, 303, 307, 308) or "location" not in headers:
                raise KeySetError(f"the answer has status {status}")
            target = _joined(uri, headers["location"])
            _check_step(uri, target)
            uri = target
    raise KeySetError(f"there are more than {MOST_REDIRECTS} redirects")


def _joined(uri: str, location: str) -> str:
    try:
        target = str(httpx.URL(uri).join(location))
    except (httpx.InvalidURL, ValueError):
        target = ""
    if key_uri_problem(target) is not None:
        raise KeySetError("it redirects to a target that is not an http or https URI")
    return target


async def _ask(client: httpx.AsyncClient, url: httpx.URL) -> tuple[int, httpx.Headers, bytes]:
    """Try the addresses of the host in turn until one answers."""
    failure = ""
    for address in await _addresses(url):
        # Connect to the address that was checked: a second lookup of the name could give a different one.
        target = url.copy_with(host=address)
        host = url.netloc.decode("ascii")
        try:
            async with client.stream(
                "GET",
                target,
                headers={**_HEADERS, "host": host},
                extensions={"sni_hostname": url.host} if url.scheme == "https" else {},
            ) as answer:
                return answer.status_code, answer.headers, await _body(answer)
        except httpx.HTTPError as error:
            failure = _reason(error)
        except (httpx.InvalidURL, ValueError, OSError):
            failure = "the request cannot be made"
    raise KeySetError(failure or "the host has no address")


async def _addresses(url: httpx.URL) -> list[str]:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().run_in_executor(
            _LOOKUPS, lambda: socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        )
    except (OSError, UnicodeError):
        raise KeySetError("the host's name is not known") from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if any(not is_allowed(each) for each in addresses):
        raise KeySetError("the host is at an address of the local link, where no keys are fetched from")
    return addresses


def is_allowed(address: str) -> bool:
    """True if keys may be fetched from an address. Link-local addresses (metadata services of clouds are
    there), unspecified and multicast addresses are forbidden. Private addresses and this machine are allowed,
    because issuers run there."""
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in _TRANSLATED else None
        found = found.ipv4_mapped or found.sixtofour or translated or found
    is_nobodys = found.is_link_local or found.is_unspecified or found.is_multicast
    return not (is_nobodys or any(found in network for network in _METADATA))


async def _body(answer: httpx.Response) -> bytes:
    if answer.status_code != 200:
        return b""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise KeySetError("the answer is compressed, though that was not asked for")
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > LARGEST:
            raise KeySetError(f"the answer has more than {LARGEST // 1024} KiB")
    return bytes(body)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise KeySetError("the answer is not JSON") from None


def _reason(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "nothing can be connected to there"
    return "the connection broke, or what answers does not speak HTTP"
