import os
import subprocess
import sys
from pathlib import Path

import pytest

import mizzen as package
from mizzen.testing.ports import free_port
from tests.unit.cli.conftest import Command

COMMANDS = ["demo", "serve", "status", "translate", "analyze", "bootstrap", "version"]


def test_help_names_every_command(mizzen: Command) -> None:
    ended = mizzen("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert f" {command} " in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(mizzen: Command, command: str) -> None:
    ended = mizzen(command, "--help")
    assert ended.code == 0
    assert "Usage" in ended.out


def test_the_version(mizzen: Command) -> None:
    assert mizzen("version").out == f"mizzen {package.__version__}\n"


def test_the_version_as_an_option(mizzen: Command) -> None:
    assert mizzen("--version").out == f"mizzen {package.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_says_bool_of_no_flag(mizzen: Command, command: str) -> None:
    shown = mizzen(command, "--help").out
    assert f"\n    mizzen {command}" in shown
    assert "bool" not in shown.lower()


@pytest.mark.parametrize("command", ["analyze", "serve", "translate", "status"])
def test_help_shows_no_type_of_python_and_nothing_hidden(mizzen: Command, command: str) -> None:
    shown = mizzen(command, "--help").out
    assert "list[" not in shown
    assert "Path]" not in shown
    usage, _, _ = shown.partition("\n")
    assert ("PATH" in usage) == (command == "analyze")
    assert "[more]" not in usage


def test_help_keeps_words_in_brackets(mizzen: Command) -> None:
    assert "[redacted]" in mizzen("translate", "--help").out
    assert "REGION[/ZONE[/SUBZONE]]" in mizzen("bootstrap", "--help").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_commands(shell: str) -> None:
    run = [sys.executable, "-c", "from mizzen.cli.main import commands; commands(prog_name='mizzen')"]
    shells = {"COMP_WORDS": "mizzen ana", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "mizzen ana"}
    asked = {**os.environ, **shells, "_MIZZEN_COMPLETE": f"complete_{shell}"}
    asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = subprocess.run(run, env=asked, capture_output=True, text=True, check=False)
    assert "analyze" in done.stdout
    assert "bootstrap" not in done.stdout


def test_help_loads_nothing_that_is_slow() -> None:
    """Loading Envoy's messages or pydantic takes longer than a person wants to wait for `--help`."""
    program = (
        "import sys\n"
        "sys.argv = ['mizzen', '--help']\n"
        "from mizzen.cli.main import app\n"
        "try:\n    app()\n"
        "except SystemExit:\n    pass\n"
        "slow = {'pydantic', 'grpc', 'google.protobuf', 'yaml', 'structlog', 'uvicorn', 'mizzen.mesh'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "--config", "x", "--grpc-address", "15010"), "--grpc-address: '15010' is not an address"),
        (("serve", "--config", "x", "--tls-cert", "c.pem"), "--tls-cert and --tls-key belong together"),
        (("serve", "--config", "x", "--tls-client-ca", "c.pem"), "--tls-client-ca needs"),
        (("status", "--admin", "nowhere"), "--admin: 'nowhere' is not an address"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(
    mizzen: Command, arguments: tuple[str, ...], said: str
) -> None:
    ended = mizzen(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_a_missing_option_is_named(mizzen: Command) -> None:
    ended = mizzen("serve")
    assert ended.code == 2
    assert "--config" in ended.err
    assert "Traceback" not in ended.err


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    """`mizzen analyze | head -1`: the pipe closes while there is more to say."""
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: '%d_'}\nspec: {}\n---\n"
    (tmp_path / "many.yaml").write_text("".join(text % number for number in range(2000)))
    with subprocess.Popen(
        [sys.executable, "-m", "mizzen", "analyze", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    "command", ["analyze mesh.yaml >&-", "analyze - <&- >&- 2>&-", "clusters web --config mesh.yaml >&-"]
)
def test_standard_streams_may_be_closed(tmp_path: Path, command: str) -> None:
    (tmp_path / "mesh.yaml").write_text(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\n"
        "spec: {hosts: [web.internal], ports: [{number: 80, name: http}], resolution: STATIC,"
        " workloadSelector: {labels: {app: web}}}\n---\n"
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        "metadata: {name: web}\nspec: {address: 10.0.0.1, labels: {app: web}}\n"
    )
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m mizzen {command}"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a_}\nspec: {}\n")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mizzen", "analyze", str(tmp_path), "-o", "json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "mizzen: [Errno 28] No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("why", "http://shop/", "--from", "shop-1"),
        ("describe", "shop"),
        ("clusters", "shop-1"),
        ("diff", "shop-1"),
        ("status",),
    ],
    ids=lambda command: command[0],
)
def test_whoever_asks_a_server_does_not_load_what_answers(command: tuple[str, ...]) -> None:
    """It would take longer than the answer."""
    program = (
        "import sys\n"
        f"sys.argv = ['mizzen', *{command!r}, '--admin', '127.0.0.1:{free_port()}']\n"
        "from mizzen.cli.main import command_line\n"
        "try:\n    command_line()\n"
        "except SystemExit:\n    pass\n"
        "slow = {'grpc', 'google.protobuf', 'mizzen.config', 'mizzen.mesh.snapshot', 'mizzen.translator'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "no server answers" in done.stderr
    assert done.stdout.strip() == "[]"
