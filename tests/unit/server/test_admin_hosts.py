"""Under which names the admin address answers."""

from __future__ import annotations

import httpx
import pytest

from mizzen.server.address import Address
from mizzen.server.admin import application
from mizzen.server.admin_hosts import Hosts
from tests.unit.server.test_admin import Server

LOOPBACK = Address("127.0.0.1", 15014)
OPEN = Address("0.0.0.0", 15014)


@pytest.mark.parametrize(
    ("admin", "header", "answered"),
    [
        (LOOPBACK, "127.0.0.1:15014", True),
        (LOOPBACK, "localhost:15014", True),
        (LOOPBACK, "LocalHost.", True),
        (LOOPBACK, "[::1]:15014", True),
        (LOOPBACK, "prometheus.test", True),
        (LOOPBACK, "", True),
        (LOOPBACK, "evil.test:15014", False),
        (LOOPBACK, "127.0.0.1.evil.test", False),
        (LOOPBACK, "[::1].evil.test", False),
        (LOOPBACK, ".", False),
        (LOOPBACK, ":15014", False),
        (LOOPBACK, "10.0.0.7:15014", False),
        (OPEN, "10.0.0.7:15014", True),
        (OPEN, "evil.test", False),
        (Address("mizzen.test", 1), "mizzen.test:1", True),
    ],
)
def test_which_hosts_are_known(admin: Address, header: str, answered: bool) -> None:
    assert Hosts(admin, ["prometheus.test"]).has(header) is answered


async def test_who_asks_under_another_name_is_told_what_to_do() -> None:
    transport = httpx.ASGITransport(app=application(Server(), Hosts(LOOPBACK)))
    async with httpx.AsyncClient(transport=transport, base_url="http://evil.test") as asking:
        answer = await asking.get("/status")
    assert answer.status_code == 421
    assert answer.text.startswith("'evil.test' is not a name of this admin address; ")
    assert "--admin-host NAME" in answer.text
