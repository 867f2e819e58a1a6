"""All about one service or workload: what applies to it, from where, and what is odd about it.

mesh = mizzen.load("mesh/")
print(description_text(describe(mesh, "reviews.default", analyze(mesh))))
"""

from mizzen.explain.describe.describe import UnknownNameError, describe, describe_service
from mizzen.explain.describe.description import Description
from mizzen.explain.describe.description_text import description_text

__all__ = ["Description", "UnknownNameError", "describe", "describe_service", "description_text"]
