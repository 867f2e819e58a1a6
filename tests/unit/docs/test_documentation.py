"""The documentation names everything that a user can write or meet, and nothing that is not there."""

from __future__ import annotations

import inspect
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from starlette.routing import Route

import mizzen
from mizzen import xds
from mizzen.cli.main import commands
from mizzen.config.mesh_config_text import UNSERVED_FIELDS
from mizzen.mesh.proxy.metadata import KEYS
from mizzen.server.address import Address
from mizzen.server.admin import application
from mizzen.server.admin_hosts import Hosts
from mizzen.server.metrics import Metrics, Tally
from mizzen.server.status import proxy_status

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "mizzen").rglob("*.py")))
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
COMMANDS: dict[str, click.Command] = typer.main.get_command(commands).commands  # type: ignore[attr-defined]
OPTIONS = {
    name: {
        flag for option in command.params for flag in (*option.opts, *option.secondary_opts) if "-" in flag
    }
    for name, command in COMMANDS.items()
}


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def quoted(text: str) -> set[str]:
    """All that stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def first_cells(text: str) -> list[str]:
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]


def test_every_code() -> None:
    known = set(re.findall(r'"((?:IST|MZ)\d{4})"', SOURCE))
    listed = re.findall(r"(?:IST|MZ)\d{4}", "\n".join(first_cells(text_of("codes.md"))))
    assert sorted(listed) == sorted(known)


def test_every_metric() -> None:
    families = Metrics("0").registry.collect()
    known = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    documented = {
        name for cell in first_cells(text_of("operations.md")) for name in re.findall(r"mizzen_[a-z_]+", cell)
    }
    assert documented == known


def test_every_label_of_a_metric() -> None:
    documented = dict(re.findall(r"(mizzen_[a-z_]+)\{([a-z,]+)\}", text_of("operations.md")))
    metrics = Metrics("0")
    for metric in vars(metrics).values():
        if isinstance(metric, Tally):
            assert documented.pop(f"{metric.name}_total") == metric.label
        names = getattr(metric, "_labelnames", ())
        if names:
            total = metric._name + ("_total" if metric._type == "counter" else "")
            assert documented.pop(total).split(",") == list(names)
    assert documented == {}


def test_every_admin_path() -> None:
    class Nothing:
        ready = True

    routes = application(Nothing(), Hosts(Address("127.0.0.1", 0))).routes  # type: ignore[arg-type]
    paths = {route.path for route in routes if isinstance(route, Route)}
    documented = {
        path.removeprefix("GET ").partition("?")[0]
        for path in quoted(text_of("operations.md"))
        if path.startswith("GET ")
    }
    assert documented == paths


def test_every_field_of_the_status_of_a_proxy() -> None:
    held = xds.TypeStatus(
        type_url=xds.type_urls.CLUSTER,
        wildcard=True,
        names=frozenset(),
        sent_version="",
        sent_nonce="",
        sent_at=0.0,
        accepted_version="",
        accepted_at=0.0,
        pending=False,
        stuck=(),
        error=None,
        error_names=(),
        synced=True,
        bytes_sent=0,
        responses=0,
    )
    client = xds.ClientStatus(1, "id", "group", "peer", "/a/b", 0.0, "rest", {held.type_url: held})
    status: dict[str, Any] = proxy_status(client, None, None, 0.0)
    (of_type,) = status["types"].values()
    section = text_of("operations.md").partition("### The status")[2].partition("The states are")[0]
    proxies = section.partition("proxies ")[2].partition("rejections ")[0]
    documented = set(re.findall(r"[a-z_]+", re.sub(r'\([^)]*\)|"[^"]*"', "", proxies)))
    assert documented == {*status, *of_type}


def test_every_environment_variable() -> None:
    read = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', SOURCE))
    assert read
    documented = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in read if f"`{name}" not in documented] == []
    named = set(re.findall(r"\bMIZZEN_[A-Z_]+", documented))
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert [name for name in named if name not in read and name not in compose] == []


def test_every_variable_of_the_composition() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert {cell.strip("`") for cell in first_cells(text_of("docker-compose.md")) if "`" in cell} == used


def test_every_key_of_a_nodes_metadata() -> None:
    cells = first_cells(text_of("node.md").partition("## Metadata")[2])
    listed = [key for cell in cells for key in re.findall(r"`([^`]+)`", cell)]
    assert sorted(listed) == sorted(KEYS)


def test_every_field_of_mesh_config_without_effect() -> None:
    section = text_of("fields.md").partition("## MeshConfig")[2]
    assert set(UNSERVED_FIELDS) <= quoted(section)
    assert {"outboundTrafficPolicy.mode", "defaultConfig.gatewayTopology.numTrustedProxies"} <= quoted(
        section
    )
    assert "`ALLOW_ANY_DYNAMIC_DNS`" in section


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option(command: str) -> None:
    page = text_of("cli.md")

    def section_of(name: str) -> str:
        return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]

    section = section_of(command)
    for other in re.findall("The options are those of `([a-z]+)`", section):
        section += section_of(other)
    if OPTIONS[command]:
        flags = {
            flag for span in quoted(section) for flag in re.findall(r"(?<![\w-])--?[a-zA-Z][-a-z0-9]*", span)
        }
        assert OPTIONS[command] <= flags
        known = set.union(*OPTIONS.values(), {"--help", "-h", "-c"})
        assert flags <= known


def shell_lines(page: Path) -> list[str]:
    """Lines that begin with a command of this project, and what is quoted within lines."""
    text = page.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return [line for line in (*lines, *quoted(text)) if line.startswith(("mizzen ", "make ", "python -m "))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_there_with_their_options(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in shell_lines(page):
        words = shlex.split(line.replace("[", " ").replace("]", " "), comments=True)
        if "--" in words:  # what follows is the command of another program
            words = words[: words.index("--")]
        if words[0] == "make":
            assert words[1] in targets, line
        elif words[0] == "python":
            module = ROOT / words[2].replace(".", "/")
            assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), line
        elif words[1] in COMMANDS:
            flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            assert flags <= OPTIONS[words[1]] | {"--help"}, line
        else:
            assert words[1] == "COMMAND" or not words[1].islower() or not words[1].isalpha(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_this_repository_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:mizzen|tests|examples|benchmarks|docs)/[\w./-]+)`", text):
        packaged = f'= "{path}"' in PROJECT
        assert (ROOT / path).exists() or (ROOT / f"{path}.py").exists() or packaged, path


@pytest.mark.parametrize("page", ["python-api.md", "bootstrap.md"])
def test_python_runs_as_it_is_written(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = text_of(page)
    fenced = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^    (?:from|import) .*\n(?:(?:    .*)?\n)*)", text, re.MULTILINE)
    assert fenced or indented
    for block in (*fenced, *map(textwrap.dedent, indented)):
        exec(compile(block, page, "exec"), {})


def test_every_public_name() -> None:
    page = text_of("python-api.md")
    listed = {re.match(r"`mizzen\.(\w+)", cell)[1] for cell in first_cells(page) if cell.startswith("`")}  # type: ignore[index]
    assert listed == {*mizzen.__all__}
    for function in (mizzen.load, mizzen.translate):
        parameters = inspect.signature(function).parameters.values()
        starred = {inspect.Parameter.VAR_POSITIONAL: "*"}
        written = ", ".join(
            f"{starred.get(each.kind, '')}{each.name}"
            + ("" if each.default is inspect.Parameter.empty else f"={each.default!r}")
            for each in parameters
        )
        assert f"`mizzen.{function.__name__}({written})`" in page


def test_decisions_are_numbered_once() -> None:
    numbers = [page.name[:4] for page in (DOCS / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))


def test_verbs_beside_istioctls_are_commands() -> None:
    cells = [
        line.split("|")[2] for line in text_of("coming-from-istio.md").splitlines() if "| `istioctl" in line
    ]
    told = [words.split() for cell in cells for words in quoted(cell)]
    named = {words[1] for words in told if words[0] == "mizzen"}
    # Of some things only Envoy itself knows.
    assert {words[0] for words in told} == {"mizzen", "curl"}
    assert len(cells) > 10
    assert named <= set(COMMANDS)
