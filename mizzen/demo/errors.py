"""What can keep the demonstration from running."""


class DemoError(Exception):
    """The demonstration cannot run; the message says why and what to do, in words for the user."""
