"""The stars that each reviewer gave."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from workload import Workload

ratings = Workload("ratings")


async def stars(request: Request) -> Response:
    """Answer with the stars of each reviewer of a book."""
    return JSONResponse({"id": request.path_params["book_id"], "ratings": {"Reviewer1": 5, "Reviewer2": 4}})


if __name__ == "__main__":
    ratings.serve([Route("/ratings/{book_id}", stars)])
