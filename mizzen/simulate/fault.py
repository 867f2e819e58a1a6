"""What the fault filter injects.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/fault/v3/fault.proto
"""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.http.fault.v3 import fault_pb2

from mizzen.simulate.seconds import seconds
from mizzen.simulate.typed_config import unpacked
from mizzen.simulate.verdict import Fault

TYPE: Final = str(fault_pb2.HTTPFault.DESCRIPTOR.full_name)
_DENOMINATORS: Final = (100, 10_000, 1_000_000)
_GRPC_OK_STATUS: Final = 200


def fault_of(packed: Any) -> Fault | None:
    """Return the fault of a typed configuration; None if it injects nothing."""
    message = unpacked(packed, fault_pb2.HTTPFault)
    if message is None or not (message.HasField("abort") or message.HasField("delay")):
        return None
    abort = message.abort
    status = abort.http_status
    if abort.WhichOneof("error_type") == "grpc_status":
        # A gRPC error is a response with status 200 and the code in a header.
        status = _GRPC_OK_STATUS
    return Fault(
        abort_status=status,
        abort_percent=percent(abort.percentage) if status else 0.0,
        delay=seconds(message.delay.fixed_delay),
        delay_percent=percent(message.delay.percentage),
    )


def percent(fraction: Any) -> float:
    """Return a FractionalPercent as a number from 0 to 100."""
    return float(min(100.0, 100 * fraction.numerator / _DENOMINATORS[fraction.denominator]))
