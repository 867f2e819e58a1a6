"""Access logs as MeshConfig asks for them (Istio: "Envoy Access Logs", mesh-wide settings)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import extension_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.formatter.req_without_query.v3 import req_without_query_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.translator.base.typed_config import pack, typed

_TEXT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% '
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)

_WITHOUT_QUERY: Final = "%REQ_WITHOUT_QUERY"
"""A command that needs an extension in Envoy."""

_JSON_FORMAT: Final = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}


def access_logs(mesh_config: MeshConfig) -> tuple[Any, ...]:
    """Return the access logs of a connection manager or TCP proxy: none unless `accessLogFile` is set."""
    if not mesh_config.access_log_file:
        return ()
    log_format = substitution_format_string_pb2.SubstitutionFormatString()
    if mesh_config.access_log_encoding == "JSON":
        fields = _json_fields(mesh_config.access_log_format)
        log_format.json_format.update(fields)
        text = json.dumps(fields)
    else:
        text = mesh_config.access_log_format or _TEXT_FORMAT
        log_format.text_format_source.inline_string = text if text.endswith("\n") else text + "\n"
    if _WITHOUT_QUERY in text:
        formatter = req_without_query_pb2.ReqWithoutQuery()
        log_format.formatters.append(
            typed(extension_pb2.TypedExtensionConfig, "envoy.formatter.req_without_query", formatter)
        )
    file_log = file_pb2.FileAccessLog(path=mesh_config.access_log_file, log_format=log_format)
    return (accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=pack(file_log)),)


def _json_fields(text: str) -> Mapping[str, Any]:
    """Return the fields of a JSON log. A format that is not a JSON object is ignored, as in Istio."""
    try:
        fields = json.loads(text) if text else None
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) and fields else _JSON_FORMAT


def listener_access_logs(mesh_config: MeshConfig) -> tuple[Any, ...]:
    """Return the access logs of a listener, which record connections that matched no filter chain."""
    if mesh_config.disable_envoy_listener_log:
        return ()
    logs = access_logs(mesh_config)
    for log in logs:
        log.filter.response_flag_filter.flags.append("NR")
    return logs
