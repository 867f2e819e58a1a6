"""`python -m mizzen`: the same as the command `mizzen`."""

from mizzen.cli.main import app

app()
