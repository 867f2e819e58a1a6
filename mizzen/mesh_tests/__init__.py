"""Tests that users keep beside the YAML of their mesh: a call, and where it must go. No IO, no clock.

    found = read_mesh_tests(data, "shop.mesh-test.yaml")
    tested = MeshUnderTest(mesh)
    for test in found.tests:
        result = tested.run(test)
        print(result.passed, result_text(result))

The page docs/mesh-tests.md describes the files.
"""

from mizzen.mesh_tests.ends import CallEnd, Ending
from mizzen.mesh_tests.judgement import Wrong, judge
from mizzen.mesh_tests.model import DestinationWeight, Expectation, MeshTest, MeshTestDocument
from mizzen.mesh_tests.reading import MeshTestFile, PlacedTest, read_mesh_tests
from mizzen.mesh_tests.result_text import result_text
from mizzen.mesh_tests.under_test import MeshUnderTest, Result

__all__ = [
    "CallEnd",
    "DestinationWeight",
    "Ending",
    "Expectation",
    "MeshTest",
    "MeshTestDocument",
    "MeshTestFile",
    "MeshUnderTest",
    "PlacedTest",
    "Result",
    "Wrong",
    "judge",
    "read_mesh_tests",
    "result_text",
]
