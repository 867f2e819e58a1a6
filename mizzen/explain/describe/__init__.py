"""Describes one service, workload or Gateway: what applies to it, from which lines, and what looks wrong.

mesh = mizzen.load("mesh/")
print(description_text(describe(mesh, "reviews.default", analyze(mesh))))
"""
