"""Explains what a proxy is sent: where a call goes, and which lines of YAML say so. No IO, no clock.

from mizzen.explain.answer_text import answer_text
from mizzen.explain.question import Question
from mizzen.explain.why import ServedMesh, why

mesh = mizzen.load("mesh/")
serving = ServedMesh(mesh)
question = Question.of_request("GET", "http://reviews:9080/", ["end-user: jason"])
answer = why(question, serving.callers.sidecar("productpage-v1.default"), serving)
print(answer_text(answer))

The package itself imports nothing, so that a command which only asks a server does not load the simulator.
"""
