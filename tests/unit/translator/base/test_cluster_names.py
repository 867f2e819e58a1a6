"""Names of clusters, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.translator.base.cluster_names import (
    ClusterName,
    inbound_cluster_name,
    outbound_cluster_name,
    parse_cluster_name,
    sni_dnat_cluster_name,
)

HOSTS = st.from_regex(r"[a-z0-9*][a-z0-9.-]{0,20}", fullmatch=True)
SUBSETS = st.from_regex(r"([a-z0-9][a-z0-9-]{0,9})?", fullmatch=True)


@given(st.integers(1, 65535), SUBSETS, HOSTS)
def test_a_name_says_its_parts(port: int, subset: str, host: str) -> None:
    expected = ClusterName("outbound", port, subset, host)

    assert parse_cluster_name(outbound_cluster_name(port, subset, host)) == expected
    assert parse_cluster_name(sni_dnat_cluster_name(port, subset, host)) == expected
    assert parse_cluster_name(inbound_cluster_name(port)) == ClusterName("inbound", port)


@pytest.mark.parametrize(
    "name", ["BlackHoleCluster", "", "outbound|x||a", "a|1||b", "outbound|1|b", "xds-grpc"]
)
def test_other_names_have_no_parts(name: str) -> None:
    assert parse_cluster_name(name) is None
