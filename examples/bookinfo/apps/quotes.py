"""A server outside the mesh, without a sidecar: the quotes.example.com of the shop's ServiceEntry."""

from __future__ import annotations

from itertools import cycle

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from workload import Workload

QUOTES = cycle(
    (
        "Every why hath a wherefore.",
        "We came into the world like brother and brother, and now let's go hand in hand.",
        "There's a time for all things.",
        "Was there ever any man thus beaten out of season?",
    )
)

quotes = Workload("quotes")


async def quote(request: Request) -> Response:
    """Answer with the next quote."""
    return JSONResponse({"quote": next(QUOTES), "host": request.headers.get("host")})


if __name__ == "__main__":
    quotes.serve([Route("/quote", quote)])
