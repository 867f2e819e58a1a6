from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mizzen.cli.main import command_line


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def mizzen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process: `mizzen("analyze", "a.yaml")`."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr("sys.argv", ["mizzen", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            command_line()
        written = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else int(code is not None), written.out, written.err)

    return run
