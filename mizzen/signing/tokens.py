"""The service by which an agent renews its token: a lifetime is asked for, and a token is the answer.

It stands in proto/token.proto too. Both messages are protobuf's own.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration as Lifetime
from google.protobuf.wrappers_pb2 import StringValue as Token

TOKEN_SERVICE: Final = "mizzen.v1.TokenService"  # noqa: S105 - a name
CREATE_TOKEN: Final = "CreateToken"  # noqa: S105 - a name

__all__ = ["CREATE_TOKEN", "TOKEN_SERVICE", "Lifetime", "Token"]
