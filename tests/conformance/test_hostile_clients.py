"""Clients that are too many at once cost the server a bounded amount of memory."""

from tests.conformance.hostile import measure


async def test_a_thousand_that_come_at_once_are_served_in_bounded_memory() -> None:
    """They are owed 0.5 GB together; what is written and not read yet must not be held for all of them."""
    damage = await measure("a_thousand_at_once", 3)
    assert damage.requests == 1000, "all were served"
    assert damage.most - damage.before < 100, "46 MB are usual, and 145 without `concurrent_starts`"
    assert damage.delays, "the others were served meanwhile"
