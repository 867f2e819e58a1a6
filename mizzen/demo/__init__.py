"""The demonstration: a whole mesh on this machine, with real Envoys, and checks of what it does.

A room of its own, above the server (it starts one, as a process) and below the command line (which calls it).
"""

from mizzen.demo.errors import DemoError
from mizzen.demo.options import DemoOptions

__all__ = ["DemoError", "DemoOptions", "check", "run"]


async def run(options: DemoOptions) -> int:
    """Run the shop and show it until Ctrl-C; return 0, or 1 after a failure, which stderr tells."""
    # Imported late: whoever only starts an Envoy with this room needs nothing of the rest.
    from mizzen.demo import session

    return await session.run(options)


async def check(options: DemoOptions) -> int:
    """Run the shop, check it with real requests and print the table; return 0 only if everything was seen."""
    from mizzen.demo import session

    return await session.check(options)
