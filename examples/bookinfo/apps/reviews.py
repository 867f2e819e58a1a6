"""The reviews of a book. VERSION decides about the stars: v1 shows none, v2 black ones, v3 red ones."""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from workload import Workload

RATINGS_URL = os.environ.get("RATINGS_URL", "http://ratings:9080")
COLORS = {"v2": "black", "v3": "red"}
REVIEWS = {
    "Reviewer1": "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
    "Reviewer2": "Absolutely fun and entertaining. The play lacks thematic depth when compared to others.",
}

reviews = Workload("reviews")


async def book_reviews(request: Request) -> Response:
    """Answer with the reviews of a book; those versions that show stars ask the ratings for them."""
    color = COLORS.get(reviews.version)
    rating = None
    if color is not None:
        rating = await reviews.get_json(f"{RATINGS_URL}/ratings/{request.path_params['book_id']}", request)
    stars = rating.get("ratings") if rating is not None else None
    return JSONResponse(
        {
            "id": request.path_params["book_id"],
            "version": reviews.version,
            "color": color,
            "ratings_available": color is None or rating is not None,
            "reviews": [
                {
                    "reviewer": reviewer,
                    "text": text,
                    "stars": stars.get(reviewer) if isinstance(stars, dict) else None,
                }
                for reviewer, text in REVIEWS.items()
            ],
        }
    )


if __name__ == "__main__":
    reviews.serve([Route("/reviews/{book_id}", book_reviews)])
