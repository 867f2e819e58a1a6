"""What the tests of features share: one mesh for each file, and rules that go when their test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from mizzen.testing.live_mesh import LiveMesh
from tests.forked_mizzen import launch

Rules = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveMesh]:
    async with LiveMesh(tmp_path_factory.mktemp("mesh"), launch=launch) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def rules(mesh: LiveMesh) -> AsyncIterator[Rules]:
    """Put YAML in force, and wait until every proxy has it; again, and it takes the place of the last.

    It is taken away after the test.
    """
    written = False

    async def apply(text: str) -> None:
        nonlocal written
        written = True
        await mesh.apply("rules.yaml", text)

    yield apply
    if written:
        mesh.remove("rules.yaml")
