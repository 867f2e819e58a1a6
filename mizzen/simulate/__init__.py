"""What a proxy does with a call, computed from the messages that it is sent. No IO, no clock.

simulator = Simulator(mizzen.translate(mesh, proxy))
verdict = simulator.verdict(Call(port=80, address="10.0.0.1", capture=Capture.OUTBOUND, authority="reviews"))
verdict.cluster                     # "outbound|80||reviews.default.svc.cluster.local"
"""

from mizzen.simulate.call import Call, Capture, ClientTls, Protocol
from mizzen.simulate.simulator import Messages, Simulator
from mizzen.simulate.verdict import Failure, Outcome, RunnersUp, RunnerUp, Verdict

__all__ = [
    "Call",
    "Capture",
    "ClientTls",
    "Failure",
    "Messages",
    "Outcome",
    "Protocol",
    "RunnerUp",
    "RunnersUp",
    "Simulator",
    "Verdict",
]
