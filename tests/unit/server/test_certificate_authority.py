"""The authority of a running server: changes of its folder are taken up in an order that breaks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.identity import Authority, AuthorityError, SpiffeId, rotation
from mizzen.identity.authority import new_root
from mizzen.identity.authority_files import open_authority
from mizzen.server import certificate_authority
from mizzen.server.certificate_authority import CertificateAuthority, open_certificates
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics
from mizzen.server.options import ServeOptions
from mizzen.server.workload_certificates import WorkloadCertificates, now_utc
from tests.unit.identity.test_authority_files import intermediate, written

ONE = SpiffeId("cluster.local", "shop", "one")


def client(*, synced: bool, error: str | None = None) -> xds.ClientStatus:
    held = xds.TypeStatus(
        xds.type_urls.SECRET, False, frozenset({"default", "ROOTCA"}),
        "", "", 0, "", 0, not synced, (), error, (), synced, 0, 1,
    )  # fmt: skip
    types = {xds.type_urls.SECRET: held}
    return xds.ClientStatus(1, "sidecar~1.1.1.1~one.shop~x", "one", "", "", 0, "rest", types)


class Server:
    """What looks at the authority's folder, every few milliseconds."""

    def __init__(self, options: ServeOptions) -> None:
        self.metrics = Metrics("test")
        found = open_certificates(options, self.metrics)
        assert found is not None
        self.certificates: WorkloadCertificates = found
        self.clients = [client(synced=True)]
        self.faults = Faults()
        self.authority = CertificateAuthority(found, options, lambda: self.clients, self.faults)
        self.rounds = 0

    async def renew(self) -> bool:
        self.certificates.renew({ONE})
        self.rounds += 1
        return False

    @property
    def roots(self) -> int:
        return len(self.certificates.authority.roots)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.authority.keep(self.renew))
        try:
            yield
        finally:
            task.cancel()
            self.certificates.close()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.005)

    async def goes_round(self, times: int = 3) -> None:
        reached = self.rounds + times
        await self.until(lambda: self.rounds >= reached)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_authority, "LOOK_SECONDS", 0.005)


def of_state(tmp_path: Path) -> ServeOptions:
    return ServeOptions((), state=tmp_path)


def of_user(tmp_path: Path) -> ServeOptions:
    return ServeOptions((), ca=tmp_path)


def test_without_a_place_for_keys_there_are_no_certificates() -> None:
    assert open_certificates(ServeOptions(()), Metrics("test")) is None


def test_an_authority_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match=r"root-cert\.pem"):
        open_certificates(of_user(tmp_path), Metrics("test"))


async def test_a_fault_in_renewing_is_noted_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(of_state(tmp_path))
    renew, failed = server.certificates.renew, list[None]()

    def fails(used: set[str]) -> bool:
        if not failed:
            failed.append(None)
            raise RuntimeError("a fault")
        return renew(used)

    monkeypatch.setattr(server.certificates, "renew", fails)
    async with server.running():
        await server.goes_round()
    assert [each["what"] for each in server.faults.as_json()] == ["certificates could not be renewed"]


async def test_the_new_root_signs_once_everybody_trusts_it(tmp_path: Path) -> None:
    server = Server(of_state(tmp_path))
    old = server.certificates.authority.issuer.certificate
    async with server.running():
        await server.goes_round()
        rotation.begin(tmp_path / "ca", now_utc())
        server.clients.append(client(synced=True))
        await server.until(lambda: server.roots == 2)
        signs = [server.certificates.authority.issuer.certificate != old]
        await server.until(lambda: server.certificates.authority.issuer.certificate != old)
        assert rotation.phase(tmp_path / "ca") is rotation.Phase.SIGNING
        assert signs == [False]


async def test_nothing_goes_on_while_a_proxy_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(of_state(tmp_path))
    server.clients = [client(synced=False)]
    async with server.running():
        rotation.begin(tmp_path / "ca", now_utc())
        await server.goes_round(5)
        assert rotation.phase(tmp_path / "ca") is rotation.Phase.TRUSTING
        assert server.roots == 1
        monkeypatch.setattr(certificate_authority, "LONGEST_WAIT", 0.0)
        await server.until(lambda: rotation.phase(tmp_path / "ca") is rotation.Phase.SIGNING)


async def test_each_step_waits_anew_for_a_proxy_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = [0.0]
    monkeypatch.setattr(certificate_authority, "time", SimpleNamespace(monotonic=lambda: steady[0]))
    server = Server(of_state(tmp_path))
    server.clients = [client(synced=False)]
    async with server.running():
        rotation.begin(tmp_path / "ca", now_utc())
        await server.goes_round()
        steady[0] += certificate_authority.LONGEST_WAIT
        await server.until(lambda: server.roots == 2)
        await server.goes_round(5)
        assert rotation.phase(tmp_path / "ca") is rotation.Phase.TRUSTING
        steady[0] += certificate_authority.LONGEST_WAIT
        await server.until(lambda: rotation.phase(tmp_path / "ca") is rotation.Phase.SIGNING)


async def test_a_change_while_the_new_root_takes_over_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(of_state(tmp_path))
    sign = rotation.sign

    def sign_and_finish(directory: Path, now: datetime) -> Authority:
        signed = sign(directory, now)
        rotation.finish(directory, now)
        return signed

    monkeypatch.setattr(rotation, "sign", sign_and_finish)
    old = server.certificates.authority.issuer.certificate
    async with server.running():
        rotation.begin(tmp_path / "ca", now_utc())
        await server.until(lambda: server.certificates.authority.issuer.certificate != old)
        await server.until(lambda: server.roots == 1)


async def test_a_proxy_that_refuses_its_secrets_does_not_stop_a_rotation(tmp_path: Path) -> None:
    server = Server(of_state(tmp_path))
    server.clients = [client(synced=False, error="no")]
    async with server.running():
        rotation.begin(tmp_path / "ca", now_utc())
        await server.until(lambda: rotation.phase(tmp_path / "ca") is rotation.Phase.SIGNING)


async def test_what_the_user_brings_is_taken_up_and_never_rotated(tmp_path: Path) -> None:
    root = new_root(now_utc())
    first, second = (
        intermediate(
            root, begin=now_utc() - timedelta(hours=1), end=now_utc() + timedelta(days=30), name=name
        )
        for name in "ab"
    )
    server = Server(of_user(written(tmp_path, first, [], [root])))
    async with server.running():
        await server.goes_round()
        written(tmp_path, second, [], [root])
        (tmp_path / "ca-cert.pem").touch()  # the last to be noticed
        await server.until(lambda: server.certificates.authority.issuer.certificate == second.certificate)
    assert open_authority(tmp_path, now_utc()).issuer.certificate == second.certificate


async def test_what_cannot_be_used_changes_nothing_and_is_said_until_it_can(tmp_path: Path) -> None:
    server = Server(of_state(tmp_path))
    before = server.certificates.authority.issuer.certificate
    certificate, key = tmp_path / "ca" / "ca-cert.pem", tmp_path / "ca" / "ca-key.pem"
    good = certificate.read_bytes()

    def refused() -> float | None:
        return server.metrics.registry.get_sample_value("mizzen_certificate_authority_refused")

    with capture_logs() as logs:
        async with server.running():
            for spoil, mend, words in (
                (
                    lambda: certificate.write_text("junk"),
                    lambda: certificate.write_bytes(good),
                    "not a certif",
                ),
                (lambda: key.chmod(0o644), lambda: key.chmod(0o600), "others may read it"),
            ):
                await server.goes_round()
                assert (refused(), server.certificates.warnings) == (0, [])
                spoil()
                await server.until(lambda: refused() == 1)
                await server.goes_round()
                [told] = server.certificates.as_json()["authority"]["warnings"]
                assert words in told
                mend()
                await server.until(lambda: refused() == 0)
    said = [log["event"] for log in logs if log["log_level"] == "error"]
    assert ["not a certificate" in said[0], "others may read it" in said[1], len(said)] == [True, True, 2]
    assert server.certificates.authority.issuer.certificate == before


async def test_a_corrupt_store_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "certificates.sqlite3").write_bytes(b"junk" * 1000)
    metrics = Metrics("test")
    certificates = open_certificates(of_state(tmp_path), metrics)
    assert certificates is not None
    assert certificates.secret_of(ONE) is not None
    certificates.close()
    assert metrics.registry.get_sample_value("mizzen_state_failures_total") == 1
    again = open_certificates(of_state(tmp_path), metrics)
    assert again is not None
    assert again.current(ONE) is not None
    again.close()
