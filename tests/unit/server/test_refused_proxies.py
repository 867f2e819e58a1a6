from mizzen.server.refused_proxies import REMEMBERED_SECONDS, RefusedProxies


def test_who_is_refused_again_and_again_is_one_line_for_as_long_as_he_comes() -> None:
    now = 100.0
    refusals = RefusedProxies(lambda: now)
    refusals.add("bad id")
    now += 10
    refusals.add("bad type")
    refusals.add("bad id")
    now += 2.5
    assert refusals.as_json() == [
        {"reason": "bad type", "times": 1, "seconds_ago": 2.5},
        {"reason": "bad id", "times": 2, "seconds_ago": 2.5},
    ]
    now += REMEMBERED_SECONDS
    assert refusals.as_json() == []


def test_what_is_remembered_is_bounded() -> None:
    refusals = RefusedProxies(lambda: 0.0)
    for number in range(1000):
        refusals.add(f"bad id {number}")
    held = refusals.as_json()
    assert len(held) == 100
    assert held[-1]["reason"] == "bad id 999"


def test_the_last_second_of_the_minute_counts_and_times_are_rounded() -> None:
    now = 0.0
    refusals = RefusedProxies(lambda: now)
    refusals.add("bad id")
    now = 60.0
    assert [each["seconds_ago"] for each in refusals.as_json()] == [60.0]
    now = 60.001
    assert refusals.as_json() == []
    now = 1.23456
    assert [each["seconds_ago"] for each in refusals.as_json()] == [1.235]
