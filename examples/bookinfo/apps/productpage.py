"""The shop's page: it asks the details, the reviews and the quotes, and shows what it got."""

from __future__ import annotations

import asyncio
import os
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from workload import Workload

DETAILS_URL = os.environ.get("DETAILS_URL", "http://details:9080")
REVIEWS_URL = os.environ.get("REVIEWS_URL", "http://reviews:9080")
RATINGS_URL = os.environ.get("RATINGS_URL", "http://ratings:9080")
QUOTES_URL = os.environ.get("QUOTES_URL", "http://quotes.example.com:9090")

PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))

productpage = Workload("productpage")


async def products(request: Request) -> Response:
    """Answer with the books that the shop has."""
    return JSONResponse([{"id": "0", "title": "The Comedy of Errors"}])


async def product(request: Request) -> Response:
    """Answer with the details of a book."""
    return await _pass_on(request, f"{DETAILS_URL}/details/{request.path_params['book_id']}")


async def product_reviews(request: Request) -> Response:
    """Answer with the reviews of a book."""
    return await _pass_on(request, f"{REVIEWS_URL}/reviews/{request.path_params['book_id']}")


async def product_ratings(request: Request) -> Response:
    """Answer with the ratings of a book."""
    return await _pass_on(request, f"{RATINGS_URL}/ratings/{request.path_params['book_id']}")


async def _pass_on(request: Request, url: str) -> Response:
    content = await productpage.get_json(url, request)
    if content is None:
        return JSONResponse({"error": f"no answer from {url}"}, status_code=503)
    return JSONResponse(content)


async def login(request: Request) -> Response:
    """Sign in: no password, for this is a demonstration."""
    answer = RedirectResponse("/productpage", status_code=303)
    user = request.query_params.get("user", "")
    if user.isalnum() and len(user) <= 32:
        answer.set_cookie("end-user", user, httponly=True, samesite="lax")
    return answer


async def logout(request: Request) -> Response:
    """Sign out."""
    answer = RedirectResponse("/productpage", status_code=303)
    answer.delete_cookie("end-user")
    return answer


async def page(request: Request) -> Response:
    """Answer with the page of the one book that the shop has.

    A part that cannot be had is left out, and named in the header `x-shop-missing`.
    """
    details, reviews, quote = await asyncio.gather(
        productpage.get_json(f"{DETAILS_URL}/details/0", request),
        productpage.get_json(f"{REVIEWS_URL}/reviews/0", request),
        productpage.get_json(f"{QUOTES_URL}/quote", request),
    )
    parts = {"details": details, "reviews": reviews, "quote": quote}
    missing = [name for name, part in parts.items() if part is None]
    if reviews is not None and not reviews["ratings_available"]:
        missing.append("stars")
    return HTMLResponse(
        headers={"x-shop-missing": ", ".join(missing)} if missing else None,
        content=PAGE.substitute(
            title=escape(str(details["title"])) if details else "A book",
            quote=f"<blockquote>{escape(str(quote['quote']))}</blockquote>" if quote else "",
            user=_user(request.cookies.get("end-user")),
            details=_details(details),
            reviews=_reviews(reviews),
        ),
    )


def _user(name: str | None) -> str:
    if name:
        return f'Signed in as <b>{escape(name)}</b> · <a href="/logout">sign out</a>'
    return '<a href="/login?user=jason">Sign in as jason</a> to see version 2 of the reviews, always'


def _details(details: dict[str, object] | None) -> str:
    if details is None:
        return '<p class="sorry">Sorry, the details are not available now.</p>'
    rows = (
        f"<dt>{escape(name)}</dt><dd>{escape(str(details[name]))}</dd>"
        for name in ("author", "year", "type", "pages", "publisher", "language")
    )
    return f"<dl>{''.join(rows)}</dl>"


def _reviews(reviews: dict[str, object] | None) -> str:
    if reviews is None:
        return '<p class="sorry">Sorry, the reviews are not available now.</p>'
    color = escape(str(reviews["color"] or "none"))
    items = reviews["reviews"]
    shown = "".join(
        f"<figure><p>{escape(review['text'])}</p>{_stars(review['stars'], color)}"
        f"<figcaption>{escape(review['reviewer'])}</figcaption></figure>"
        for review in (items if isinstance(items, list) else [])
    )
    sorry = "" if reviews["ratings_available"] else '<p class="sorry">Sorry, no stars are available now.</p>'
    version = escape(str(reviews["version"]))
    return f'<p class="version {color}">reviews {version}</p>{shown}{sorry}'


def _stars(stars: int | None, color: str) -> str:
    if stars is None:
        return ""
    return f'<p class="stars {color}">{"★" * stars}{"☆" * (5 - stars)}</p>'


if __name__ == "__main__":
    productpage.serve(
        [
            Route("/", page),
            Route("/productpage", page),
            Route("/login", login),
            Route("/logout", logout),
            Route("/api/v1/products", products),
            Route("/api/v1/products/{book_id}", product),
            Route("/api/v1/products/{book_id}/reviews", product_reviews),
            Route("/api/v1/products/{book_id}/ratings", product_ratings),
        ]
    )
