"""`mizzen why`: shows where a call goes, and which lines of YAML say so."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.admin_client import ADMIN
from mizzen.cli.failure import Failure
from mizzen.cli.options import AdminAddress, FilesAsked, MeshConfigPath, NoCertificates, NodeOfFiles
from mizzen.cli.proxy_of_files import files_answer

if TYPE_CHECKING:
    from mizzen.cli.contained_answer import FilesAnswer
    from mizzen.explain.answer import Answer
    from mizzen.explain.question import Question
    from mizzen.explain.why import ServedMesh
    from mizzen.mesh.proxy.node import Proxy
    from mizzen.mesh.snapshot import Mesh


class Output(StrEnum):
    """The form of the answer."""

    TEXT = "text"
    JSON = "json"


def why(
    call: Annotated[
        list[str] | None,
        typer.Argument(help="The request, as GET http://reviews:9080/path; GET may be left out."),
    ] = None,
    config: FilesAsked = None,
    caller: Annotated[str, typer.Option("--from", help="The workload that calls.", metavar="WORKLOAD")] = "",
    gateway: Annotated[
        str, typer.Option("--gateway", help="The Gateway that is called from outside.", metavar="NAME")
    ] = "",
    node: NodeOfFiles = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "-H", "--header", help="A header of the request; may be repeated.", metavar="NAME: VALUE"
        ),
    ] = None,
    http2: Annotated[bool, typer.Option("--http2", help="The client speaks HTTP/2.")] = False,
    tcp: Annotated[str, typer.Option("--tcp", help="A connection without HTTP.", metavar="HOST:PORT")] = "",
    tls: Annotated[bool, typer.Option("--tls", help="The client itself speaks TLS.")] = False,
    sni: Annotated[
        str, typer.Option("--sni", help="The server name of the client's TLS.", metavar="NAME")
    ] = "",
    claims: Annotated[
        str,
        typer.Option("--claims", help="The claims of a valid token in the request.", metavar="JSON"),
    ] = "",
    mesh_config: MeshConfigPath = None,
    no_certificates: NoCertificates = False,
    admin: AdminAddress = ADMIN,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the answer.")] = Output.TEXT,
) -> None:
    """Tell where a call goes, from listener to endpoint, and which lines of the configuration say so.

    At each step it names the closest candidate that was not chosen, and the first condition that it failed.
    With --config it reads files: diagnostics go to standard error, and valid documents count. Else it asks a
    running server. Exit 3 if a valid document is left out by a fault of Mizzen.
    """
    words = list(call or ())
    question = _question(words, header or (), tcp, http2=http2, tls=tls, sni=sni, claims=claims)
    if sum(map(bool, (caller, gateway, node))) != 1:
        raise Failure("say who is called by whom: one of --from WORKLOAD, --gateway NAME, --node FILE", 2)
    paths = [*(config or ()), *map(Path, words)]
    if paths:
        files = files_answer(paths, mesh_config, certificates_served=not no_certificates)
        _show(_of_files(files, question, caller, gateway, node), output)
        files.exit_if_not_whole()
    elif node is not None or mesh_config is not None or no_certificates:
        raise Failure("--node, --mesh-config and --no-certificates go with --config", exit_code=2)
    else:
        _show(_of_server(admin, question, caller, gateway), output)


def _of_files(files: FilesAnswer, question: Question, caller: str, gateway: str, node: Path | None) -> Answer:
    from mizzen.explain.why import ServedMesh, why

    def made(mesh: Mesh) -> Answer:
        serving = ServedMesh(mesh)
        return why(question, _caller(serving, caller, gateway, node), serving)

    return files.answer(made, lambda mesh: [_caller(ServedMesh(mesh), caller, gateway, node)])


def _show(answer: Answer, output: Output) -> None:
    from mizzen.explain.answer_text import answer_text

    if output is Output.JSON:
        from mizzen.cli.table_output import print_json

        print_json(answer.as_dict())
    else:
        typer.echo(answer_text(answer), nl=False)


def _of_server(admin: str, question: Question, caller: str, gateway: str) -> Answer:
    """Ask the server, which answers for the proxies that are connected to it."""
    from mizzen.cli.admin_client import admin_address, ask
    from mizzen.explain.answer import Answer

    words = {**question.as_query(), **({"gateway": gateway} if gateway else {"from": caller})}
    return Answer.from_dict(ask(admin_address(admin), "/debug/why", "hops", words, files=True))


def _question(
    words: list[str],
    headers: list[str] | tuple[str, ...],
    tcp: str,
    *,
    http2: bool,
    tls: bool,
    sni: str,
    claims: str,
) -> Question:
    """Read the call from the front of `words`, and remove its words."""
    import time
    from dataclasses import replace

    from mizzen.explain.question import Question, QuestionError

    try:
        if tcp:
            return Question.of_connection(tcp, tls=tls, server_name=sni)
        if not words:
            raise Failure("say which call: mizzen why GET http://reviews:9080/path, or --tcp HOST:PORT", 2)
        method = "GET" if any(sign in words[0] for sign in ":/.") else words.pop(0)
        if not words:
            raise Failure(_no_url(method), exit_code=2)
        question = Question.of_request(
            method, words.pop(0), headers, http2=http2, tls=tls, server_name=sni, claims=claims
        )
        return replace(question, moment=time.time())
    except QuestionError as error:
        raise Failure(str(error), exit_code=2) from error


def _no_url(word: str) -> str:
    if word.isupper():
        return f"say which URL: mizzen why {word} http://reviews:9080/path"
    return f'"{word}" is no URL; write http://{word}/, or --tcp {word}:PORT for a connection without HTTP'


def _caller(serving: ServedMesh, caller: str, gateway: str, node: Path | None) -> Proxy:
    from mizzen.cli.loading import load_node
    from mizzen.explain.callers import UnknownCallerError

    try:
        if node is not None:
            return load_node(node)
        return serving.callers.gateway(gateway) if gateway else serving.callers.sidecar(caller)
    except UnknownCallerError as error:
        raise Failure(f"{'--gateway' if gateway else '--from'}: {error}", exit_code=2) from error
