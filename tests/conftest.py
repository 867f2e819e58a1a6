"""What holds for all tests."""

from __future__ import annotations

import os

# The tests start processes from one that speaks gRPC. gRPC's handlers of fork() belong to programs that go on
# speaking it in the child; in a child that is about to become another program they can end it instead.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
