"""The details of a book, from a small table."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from workload import Workload

BOOKS = {
    "0": {
        "title": "The Comedy of Errors",
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "Folio Press",
        "language": "English",
    }
}

details = Workload("details")


async def book(request: Request) -> Response:
    """Answer with one book, or 404."""
    found = BOOKS.get(request.path_params["book_id"])
    if found is None:
        return JSONResponse({"error": "no such book"}, status_code=404)
    return JSONResponse({"id": request.path_params["book_id"], **found})


if __name__ == "__main__":
    details.serve([Route("/details/{book_id}", book)])
