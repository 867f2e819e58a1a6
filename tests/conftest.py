"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The same examples each time, and no clock: a change is judged by what it changes, on a machine of any speed.
# `make search` tries other examples each time.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

# The tests start processes from one that speaks gRPC. gRPC's handlers of fork() belong to programs that go on
# speaking it in the child; in a child that is about to become another program they can end it instead.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
