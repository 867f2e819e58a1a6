"""A question to `mizzen why` as the query of a URL, as the command and the form of the page send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import QueryParams

from mizzen.explain.question import Question, QuestionError

_LONGEST: Final = 8192


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question, and where the call begins: at the workload `caller`, or at the Gateway `gateway`."""

    question: Question
    caller: str
    gateway: str


def asked_question(words: QueryParams) -> AskedQuestion:
    """Read `method`, `url`, `header` (several, or one a line), `http2`, `tls`, `sni` and `claims`, or `tcp`
    instead of a URL; and `from` or `gateway`. Raises QuestionError."""
    if sum(map(len, words.values())) > _LONGEST:
        raise QuestionError(f"the question is longer than {_LONGEST} characters")
    caller, gateway = words.get("from", "").strip(), words.get("gateway", "").strip()
    if bool(caller) == bool(gateway):
        raise QuestionError("say who is called by whom: one of a workload (from) and a Gateway (gateway)")
    headers = [line.strip() for each in words.getlist("header") for line in each.splitlines()]
    http2, tls = bool(words.get("http2")), bool(words.get("tls"))
    server_name = words.get("sni", "").strip()
    if tcp := words.get("tcp", "").strip():
        question = Question.of_connection(tcp, tls=tls, server_name=server_name)
    else:
        question = Question.of_request(
            words.get("method", "").strip() or "GET",
            words.get("url", "").strip(),
            [header for header in headers if header],
            http2=http2,
            tls=tls,
            server_name=server_name,
            claims=words.get("claims", "").strip(),
        )
    return AskedQuestion(question, caller, gateway)
