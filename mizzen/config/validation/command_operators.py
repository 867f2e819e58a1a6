"""Envoy's command operators, such as `%REQ(x-user)%`, in the values of headers and in access logs.

For a header or a log line that Envoy cannot read, it rejects all routes or the whole listener, so this module
refuses what Envoy would reject. The names and rules are those of Envoy 1.40, which accepts all that the
versions from 1.36 on accept:
https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mizzen.config.validation.cel import cel_problem

_OPERATOR: Final = re.compile(r"%([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]+))?%", re.DOTALL)
_HEADER: Final = re.compile(r"|:?[-!#$%&'*+.^_`|~A-Za-z0-9]+")
_NEW_LINE: Final = re.compile(r"%[-_0^#]*[1-9]*[EO]?n|\n")
_LONGEST: Final = 2**64 - 1
_DEEPEST: Final = 5

Problem = str | None
"""What is wrong with the arguments of a command, beginning with a verb; None if nothing is."""


@dataclass(frozen=True, slots=True)
class _Command:
    """The arguments that a command takes in parentheses; `length`: a length may
    follow, as in `%REQ(x):5%`."""

    check: Callable[[str], Problem]
    example: str
    length: bool = False

    def problem(self, arguments: str, *, has_length: bool) -> Problem:
        return self.check(arguments) or ("takes no length" if has_length and not self.length else None)


def header_command_problem(value: str) -> str | None:
    """Return what Envoy would reject in the commands of a header's value, and what would be right.

    A percent sign itself is written `%%`.
    """
    return _problem(value, _IN_HEADERS)


def access_log_command_problem(text: str) -> str | None:
    """Return the same for a text of an access log, where Envoy knows different commands."""
    return _problem(text, _IN_ACCESS_LOGS)


def _problem(text: str, commands: Mapping[str, _Command]) -> str | None:
    position = 0
    while (position := text.find("%", position)) >= 0:
        if text.startswith("%%", position):
            position += 2
            continue
        found = _OPERATOR.match(text, position)
        if found is None or not _is_length(found[3] or "0"):
            return (
                f"the % at position {position + 1} begins no command; write %COMMAND%, %COMMAND(arguments)% "
                "or %COMMAND(arguments):LENGTH%, or %% for a percent"
            )
        name, arguments, length = found[1], found[2] or "", found[3]
        if problem := _command_problem(commands, name, arguments, has_length=length is not None):
            return problem
        position = found.end()
    return None


def _is_length(digits: str) -> bool:
    number = digits.lstrip("0") or "0"
    return len(number) <= len(str(_LONGEST)) and int(number) <= _LONGEST


def _command_problem(
    commands: Mapping[str, _Command], name: str, arguments: str, *, has_length: bool
) -> str | None:
    command = commands.get(name)
    if command is None:
        close = difflib.get_close_matches(name, commands, n=1, cutoff=0.7)
        meant = f"did you mean %{close[0]}%?" if close else "write one of them, or %% for a percent"
        return f"%{name}% is none of Envoy's commands here; {meant}"
    problem = command.problem(arguments, has_length=has_length)
    return f"%{name}% {problem}; write it as in {command.example}" if problem else None


def _nothing(arguments: str) -> Problem:
    return "takes no arguments" if arguments else None


def _anything(_: str) -> Problem:
    return None


def _something(arguments: str) -> Problem:
    return None if arguments else "needs an argument"


def _expression(arguments: str) -> Problem:
    return cel_problem(arguments) if arguments else "needs an expression"


def _header(arguments: str) -> Problem:
    if not arguments:
        return "needs the name of a header"
    names = arguments.split("?")
    if len(names) > 2:
        return "takes one alternative header only"
    wrong = next((name for name in names if not _HEADER.fullmatch(name)), None)
    return None if wrong is None else f'names "{wrong}", which is no header'


def _time_format(arguments: str) -> Problem:
    return "may have no line break in its format" if _NEW_LINE.search(arguments) else None


def _filter_state(arguments: str) -> Problem:
    key, *rest = arguments.split(":")
    if not key:
        return "needs the key of a filter state"
    how, field = (rest[0] if rest else ""), (rest[1] if len(rest) > 1 else "")
    if how not in ("", "PLAIN", "TYPED", "FIELD"):
        return f'knows no way "{how}" to write a filter state, just PLAIN, TYPED and FIELD'
    if (how == "FIELD") is not bool(field):
        return "takes a field's name with FIELD, and only with it"
    return None


def _per_request_state(arguments: str) -> Problem:
    # In a header's value Envoy reads %PER_REQUEST_STATE(key)% as %FILTER_STATE(key:PLAIN)%.
    return _filter_state(f"{arguments}:PLAIN")


def _duration(arguments: str) -> Problem:
    points = arguments.split(":")
    if len(points) not in (2, 3):
        return "needs two points in time"
    if len(points) == 3 and points[2] not in ("ms", "us", "ns"):
        return f'knows no unit "{points[2]}", just ms, us and ns'
    return None


def _metadata(arguments: str) -> Problem:
    kind = arguments.split(":")[0]
    if kind in _METADATA:
        return None
    return f'knows no metadata of "{kind}", just of {", ".join(_METADATA)}'


_METADATA: Final = (
    "DYNAMIC",
    "CLUSTER",
    "ROUTE",
    "UPSTREAM_HOST",
    "LISTENER",
    "LISTENER_FILTER_CHAIN",
    "VIRTUAL_HOST",
)


def _choice(given: str, known: tuple[str, ...]) -> Problem:
    return None if not given or given in known else f'knows no "{given}", just {", ".join(known)}'


def _grpc_status(arguments: str) -> Problem:
    return _choice(arguments, ("CAMEL_STRING", "SNAKE_STRING", "NUMBER"))


def _query_parameters(arguments: str) -> Problem:
    return _choice(arguments, ("ORIG", "DECODED"))


def _path(arguments: str) -> Problem:
    # Envoy ignores arguments after the second.
    query, source, *_ = [*arguments.split(":"), ""]
    return _choice(query, ("WQ", "NQ")) or _choice(source, ("ORIG", "PATH", "ORIG_OR_PATH"))


def _server_name(arguments: str) -> Problem:
    fallback, source, *_ = [*arguments.split(":"), ""]
    return _choice(fallback, ("SNI_ONLY", "SNI_FIRST", "HOST_FIRST")) or _choice(
        source, ("ORIG_OR_HOST", "HOST", "ORIG")
    )


def _coalesce(arguments: str) -> Problem:
    """Check the JSON of COALESCE: Envoy 1.40 crashes on JSON other than an object instead of rejecting it."""
    return _coalesce_within(arguments, _DEEPEST)


def _coalesce_within(arguments: str, depth: int) -> Problem:
    if not depth:
        return "is nested too deep"
    try:
        content = json.loads(arguments, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return "needs a JSON object"
    operators = content.get("operators") if isinstance(content, dict) else None
    if not isinstance(operators, list) or not operators:
        return 'needs a JSON object with a list of "operators"'
    for operator in operators:
        if problem := _operator_problem(operator, depth):
            return problem
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _operator_problem(operator: Any, depth: int) -> Problem:
    given = {"command": operator} if isinstance(operator, str) else operator
    if not isinstance(given, dict) or not isinstance(given.get("command"), str):
        return 'has an operator that is neither a command\'s name nor an object with a "command"'
    name, argument, length = given["command"], given.get("param", ""), given.get("max_length", 1)
    if not isinstance(argument, str):
        return f'has for {name} a "param" that is no text'
    if not isinstance(length, int) or isinstance(length, bool) or not 0 < length < 2**63:
        return f'has for {name} a "max_length" that is no positive number'
    command = _EVERYWHERE.get(name)
    if command is None:
        return f'has an operator "{name}", which is none of Envoy\'s commands'
    if name == "COALESCE":
        return _coalesce_within(argument, depth - 1)
    problem = command.problem(argument, has_length="max_length" in given)
    return f"has an operator {name} that {problem}" if problem else None


_ALONE: Final = """
ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS
CUSTOM_FLAGS DOWNSTREAM_CX_RTT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS
DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED
DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN
DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN
DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256
DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1
DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER
DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL DOWNSTREAM_PEER_OTHERNAME_SAN
DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS
DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID
DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED
DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME LISTENER_NAME
LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION
RESPONSE_CODE RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES
RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME ROUTE_RESOLUTION_COUNT
ROUTE_RESOLUTION_TIME_US SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID
UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED
UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED
UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT
UPSTREAM_HOST_NAME UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT
UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN
UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN
UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_PORT
UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP
UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED
UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME
"""
_HEADERS: Final = "REQ REQUEST_HEADER RESP RESPONSE_HEADER RESPONSE_TRAILER STREAM_INFO_REQ TRAILER"
_TIMES: Final = """
DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_START EMIT_TIME EMIT_TIME_LOCAL START_TIME START_TIME_LOCAL
UPSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START
"""
_ADDRESSES: Final = """
DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
"""

_EVERYWHERE: Final[Mapping[str, _Command]] = {
    **{name: _Command(_nothing, f"%{name}%") for name in _ALONE.split()},
    **{name: _Command(_header, f"%{name}(x-user)%", length=True) for name in _HEADERS.split()},
    **{name: _Command(_time_format, f"%{name}(%Y-%m-%d)%") for name in _TIMES.split()},
    **{name: _Command(_anything, f"%{name}%") for name in _ADDRESSES.split()},
    "RESPONSE_CODE_DETAILS": _Command(_anything, "%RESPONSE_CODE_DETAILS%"),
    "CLUSTER_METADATA": _Command(_something, "%CLUSTER_METADATA(namespace:key)%"),
    "UPSTREAM_METADATA": _Command(_something, "%UPSTREAM_METADATA(namespace:key)%"),
    "DYNAMIC_METADATA": _Command(_something, "%DYNAMIC_METADATA(namespace:key)%", length=True),
    "METADATA": _Command(_metadata, "%METADATA(ROUTE:namespace:key)%", length=True),
    "ENVIRONMENT": _Command(_something, "%ENVIRONMENT(NAME)%", length=True),
    "QUERY_PARAM": _Command(_something, "%QUERY_PARAM(name)%", length=True),
    "QUERY_PARAMS": _Command(_query_parameters, "%QUERY_PARAMS(DECODED)%", length=True),
    "PATH": _Command(_path, "%PATH(NQ)%", length=True),
    "REQUESTED_SERVER_NAME": _Command(_server_name, "%REQUESTED_SERVER_NAME%"),
    "GRPC_STATUS": _Command(_grpc_status, "%GRPC_STATUS(NUMBER)%"),
    "FILTER_STATE": _Command(_filter_state, "%FILTER_STATE(key:PLAIN)%", length=True),
    "UPSTREAM_FILTER_STATE": _Command(_filter_state, "%UPSTREAM_FILTER_STATE(key:PLAIN)%", length=True),
    "COMMON_DURATION": _Command(_duration, "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)%"),
    "CEL": _Command(_expression, "%CEL(request.path)%", length=True),
    "COALESCE": _Command(
        _coalesce, '%COALESCE({"operators":["REQUESTED_SERVER_NAME","HOSTNAME"]})%', length=True
    ),
}
_IN_HEADERS: Final = {
    **_EVERYWHERE,
    "PER_REQUEST_STATE": _Command(_per_request_state, "%PER_REQUEST_STATE(key)%"),
}
_IN_ACCESS_LOGS: Final = {
    **_EVERYWHERE,
    # Belongs to an extension that is named to Envoy wherever it is used.
    "REQ_WITHOUT_QUERY": _Command(_header, "%REQ_WITHOUT_QUERY(:path)%", length=True),
}
