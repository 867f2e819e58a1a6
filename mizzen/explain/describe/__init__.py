"""All about one service or workload: what applies to it, from where, and what is odd about it.

mesh = mizzen.load("mesh/")
print(description_text(describe(mesh, "reviews.default", analyze(mesh))))
"""
