"""The demonstration: a whole mesh on this machine, with real Envoys, and checks of its behaviour.

A package of its own, above the server, which it starts as a process, and below the command line, which calls
it.
"""

from mizzen.demo.errors import DemoError
from mizzen.demo.options import DemoOptions

__all__ = ["DemoError", "DemoOptions", "check", "run"]


async def run(options: DemoOptions) -> int:
    """Run the shop and show it until Ctrl-C; return 0, or 1 after a failure that stderr reports."""
    # Imported late: code that only starts an Envoy with this package does not need the rest.
    from mizzen.demo import session

    return await session.run(options)


async def check(options: DemoOptions) -> int:
    """Run the shop, check it with real requests and print the table; return 0 only if every check passed."""
    from mizzen.demo import session

    return await session.check(options)
