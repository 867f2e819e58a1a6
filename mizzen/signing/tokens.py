"""The service by which an agent renews its token: the request is a lifetime, the response a token.

It is also defined in proto/token.proto. Both messages are protobuf's own.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration as Lifetime
from google.protobuf.wrappers_pb2 import StringValue as Token

TOKEN_SERVICE: Final = "mizzen.v1.TokenService"  # noqa: S105 - a name
CREATE_TOKEN: Final = "CreateToken"  # noqa: S105 - a name

__all__ = ["CREATE_TOKEN", "TOKEN_SERVICE", "Lifetime", "Token"]
