"""The agent beside an Envoy: it keeps the key, has the certificate signed, and renews it."""

from mizzen.agent.agent import Agent, AgentOptions
from mizzen.agent.signing import AgentError

__all__ = ["Agent", "AgentError", "AgentOptions"]
