"""The update of a proxy, made once for all that go from one snapshot to the same next one."""

from mizzen import xds
from mizzen.server.proxy_update import ProxyUpdates

CDS, EDS, SDS = xds.type_urls.CLUSTER, xds.type_urls.ENDPOINT, xds.type_urls.SECRET


def snapshot(**clusters: bytes) -> xds.Snapshot:
    return xds.Snapshot.of(xds.Resource(CDS, name, value) for name, value in clusters.items())


def test_the_names_that_are_new_or_changed_are_told_by_type() -> None:
    old, new = snapshot(a=b"1", b=b"1"), snapshot(a=b"2", c=b"1")
    update = ProxyUpdates().between(old, new)
    assert update is not None
    assert {type_url: set(names) for type_url, names in update.changes} == {CDS: {"a", "c"}}
    assert update.snapshot is new
    assert update.later is None
    assert update.touches(CDS, EDS)
    assert not update.touches(EDS)


def test_removals_alone_are_an_update_without_names() -> None:
    update = ProxyUpdates().between(snapshot(a=b"1"), snapshot())
    assert update is not None
    assert update.changes == ()


def test_snapshots_of_the_same_collections_need_no_update() -> None:
    old = snapshot(a=b"1")
    assert ProxyUpdates().between(old, old) is None
    assert ProxyUpdates().between(old, old.with_collection(old.collection(CDS))) is None


def test_proxies_with_the_same_snapshots_share_the_update() -> None:
    updates, old, new = ProxyUpdates(), snapshot(a=b"1"), snapshot(a=b"2")
    assert updates.between(old, new) is updates.between(old, new)
    assert updates.between(snapshot(a=b"1"), new) is not updates.between(old, new)


def test_a_type_that_comes_or_goes_is_touched() -> None:
    without = snapshot(a=b"1")
    with_secret = without.with_collection(xds.Snapshot.of([xds.Resource(SDS, "s", b"1")]).collection(SDS))
    came, went = ProxyUpdates().between(without, with_secret), ProxyUpdates().between(with_secret, without)
    assert came is not None
    assert went is not None
    assert came.touches(SDS)
    assert went.changes == ()
