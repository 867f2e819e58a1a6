"""What things cost: `make bench`. Every promise is a ratio of two measurements of one run."""

import os

# Processes are started from one that speaks gRPC; see tests/conftest.py.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
