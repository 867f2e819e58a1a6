"""Load balancing between localities: `region/zone/subzone`, where the last part may be `*`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mizzen.config.models import LocalityFailover, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting
from mizzen.config.validation.place import Place

_TOPOLOGY_LABELS: Final = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)


def check_locality_setting(
    setting: LocalityLoadBalancerSetting, place: Place, *, has_outlier_detection: bool
) -> None:
    """Check shares and failover between localities."""
    if setting.distribute and setting.failover:
        (place / "failover").error("failover and distribute exclude each other; keep one of them")
    if setting.failover:
        for index, label in enumerate(setting.failover_priority):
            if label in _TOPOLOGY_LABELS:
                (place / "failoverPriority" / index).error(
                    f'"{label}" and failover exclude each other; leave one of them out'
                )
    for index, distribute in enumerate(setting.distribute):
        here = place / "distribute" / index / "to"
        for locality, weight in distribute.to.items():
            if not 1 <= weight <= 100:
                (here / locality).error(f"{weight} is not a share; write 1 to 100")
        if (total := sum(distribute.to.values())) != 100:
            here.error(f"the shares sum to {total}; write shares that sum to 100")
        _check_localities(tuple(distribute.to), [here / locality for locality in distribute.to])
    _check_localities(
        [distribute.from_ for distribute in setting.distribute],
        [place / "distribute" / index / "from" for index in range(len(setting.distribute))],
    )
    _check_failover(setting.failover, place)
    _warn_without_outlier_detection(setting, place, has_outlier_detection=has_outlier_detection)


def check_zone_aware_setting(
    setting: ZoneAwareLoadBalancerSetting, place: Place, *, has_outlier_detection: bool
) -> None:
    """Check failover beyond the zones that Envoy balances by itself."""
    for index, label in enumerate(setting.failover_priority):
        if label in _TOPOLOGY_LABELS:
            (place / "failoverPriority" / index).error(
                f'"{label}" is not possible here, as regions and zones are ranked already; leave it out'
            )
    _check_failover(setting.failover, place)
    _warn_without_outlier_detection(setting, place, has_outlier_detection=has_outlier_detection)


def _warn_without_outlier_detection(
    setting: LocalityLoadBalancerSetting | ZoneAwareLoadBalancerSetting,
    place: Place,
    *,
    has_outlier_detection: bool,
) -> None:
    if (setting.failover or setting.failover_priority) and not has_outlier_detection:
        (place / ("failover" if setting.failover else "failoverPriority")).warning(
            "failover has no effect without outlierDetection; write outlierDetection beside loadBalancer"
        )


def _check_failover(failover: Sequence[LocalityFailover], place: Place) -> None:
    for index, pair in enumerate(failover):
        here = place / "failover" / index
        if pair.from_ == pair.to:
            here.error(f'the region "{pair.to}" cannot take over for itself; write two regions')
        for field, region in (("from", pair.from_), ("to", pair.to)):
            if "/" in region or "*" in region:
                (here / field).error(f'"{region}" is not a region; write one without zone and wildcard')


def _check_localities(localities: Sequence[str], places: Sequence[Place]) -> None:
    """Check the form of localities, and that none covers another."""
    earlier: list[tuple[str, ...]] = []
    for locality, place in zip(localities, places, strict=True):
        parts = tuple(locality.split("/", 2))
        if "*" in locality[:-1]:
            place.error(f'"{locality}" has a wildcard before its end; write * as the last part only')
        elif not all(parts):
            place.error(f'"{locality}" has an empty part; write region, region/zone or region/zone/subzone')
        else:
            names = tuple(part for part in parts if part != "*")
            if any(_overlap(names, other) for other in earlier):
                place.error(
                    f'"{locality}" overlaps with an earlier one; write ones of which none covers another'
                )
            earlier.append(names)


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]
