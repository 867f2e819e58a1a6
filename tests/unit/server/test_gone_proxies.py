"""Who has gone stays listed for an hour."""

from mizzen.server.gone_proxies import REMEMBERED_SECONDS, GoneProxies


def test_a_proxy_has_gone_with_its_last_stream_and_is_forgotten_after_an_hour() -> None:
    now = 0.0
    gone = GoneProxies(lambda: now)
    gone.came("node")
    gone.came("node")
    gone.went("node", "a.default", "sidecar")
    assert gone.as_json() == []
    gone.went("node", "a.default", "sidecar")
    now = 1.5
    listed = {"id": "a.default", "node_id": "node", "type": "sidecar", "seconds_ago": 1.5}
    assert gone.as_json() == [listed]
    assert [gone.seconds_gone(name) for name in ("a", "a.default", "node", "b")] == [1.5, 1.5, 1.5, None]
    now = REMEMBERED_SECONDS
    assert gone.as_json() == [{**listed, "seconds_ago": 3600.0}]
    now += 1
    assert gone.as_json() == []


def test_who_comes_back_is_not_gone() -> None:
    gone = GoneProxies(lambda: 0.0)
    gone.came("node")
    gone.went("node", "a.default", "sidecar")
    gone.came("node")
    assert gone.as_json() == []
    gone.went("node", "a.default", "sidecar")
    assert len(gone.as_json()) == 1


def test_what_is_remembered_is_bounded() -> None:
    gone = GoneProxies(lambda: 0.0)
    for number in range(10_100):
        gone.came(str(number))
        gone.went(str(number), str(number), "sidecar")
    listed = gone.as_json()
    assert (len(listed), listed[-1]["id"]) == (10_000, "10099")
