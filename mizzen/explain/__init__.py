"""What a proxy is sent, told to people: where a call goes, and which lines of YAML say so. No IO, no clock.

mesh = mizzen.load("mesh/")
serving = ServedMesh(mesh)
question = Question.of_request("GET", "http://reviews:9080/", ["end-user: jason"])
answer = why(question, serving.callers.sidecar("productpage-v1.default"), serving)
print(answer_text(answer))
"""

from mizzen.explain.answer import Answer, Hop, Lost, Step
from mizzen.explain.answer_text import answer_text
from mizzen.explain.callers import DeclaredCallers, UnknownCallerError
from mizzen.explain.origins import PartOrigins
from mizzen.explain.question import Question, QuestionError
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.why import ServedMesh, Serving, why

__all__ = [
    "Answer",
    "DeclaredCallers",
    "Hop",
    "Lost",
    "PartOrigins",
    "Question",
    "QuestionError",
    "ServedMesh",
    "ServedProxy",
    "Serving",
    "Step",
    "UnknownCallerError",
    "answer_text",
    "why",
]
