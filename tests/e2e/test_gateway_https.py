"""HTTPS at a gateway: certificates from Secrets and files, client certificates, SNI, TLS passed through."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cryptography import x509

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import greeting
from tests.authority import Authority, Certificate, secret
from tests.e2e.conftest import Rules
from tests.forked_mizzen import mizzen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

PORT = 8443
_RATE = 300
_CLIENTS = 10
_REQUESTS_A_CONNECTION = 20
ROUTES = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: shop}
    spec:
      hosts: ["*.example.com"]
      gateways: [ingress]
      http: [{route: [{destination: {host: reviews}}]}]
"""


@dataclass
class Shop:
    """A gateway in front of a service, and the authority that its certificates come from."""

    gateway: Caller
    authority: Authority

    async def get(
        self, host: str, context: ssl.SSLContext | None = None, authority: str = ""
    ) -> httpx.Response:
        """Send an HTTPS request for `host`, on a connection of its own."""
        context = context or self.authority.client_context()
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as client:
            return await client.get(
                f"https://{self.gateway.address}:{PORT}/",
                headers={"host": authority or host},
                extensions={"sni_hostname": host},
            )

    async def certificate(self, host: str) -> x509.Certificate:
        """Return the certificate that the gateway shows for `host`."""
        _reader, writer = await asyncio.open_connection(
            self.gateway.address, PORT, ssl=self.authority.client_context(), server_hostname=host
        )
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(shown)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(mesh: LiveMesh) -> Shop:
    await mesh.workload("reviews", version="v1")
    mesh.write("routes.yaml", ROUTES)
    return Shop(await mesh.gateway(), Authority())


def server(name: str, host: str, tls: str) -> str:
    """Return one HTTPS server of a Gateway."""
    port = f"{{number: {PORT}, name: {name}, protocol: HTTPS}}"
    return f"{{port: {port}, hosts: [{host}], tls: {tls}}}"


def gateway(*servers: str) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {{name: ingress}}
        spec:
          selector: {{istio: ingressgateway}}
          servers: [{", ".join(servers)}]
    """


async def test_a_certificate_from_a_secret(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    issued = shop.authority.issue("shop.example.com")
    mesh.write("secret.yaml", secret("shop-cert", issued))
    await rules(gateway(server("https", "shop.example.com", "{mode: SIMPLE, credentialName: shop-cert}")))
    answer = await shop.get("shop.example.com")
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"
    assert (await shop.certificate("shop.example.com")).serial_number == issued.serial


async def test_a_plain_server_after_tls_takes_what_is_not_tls(
    mesh: LiveMesh, shop: Shop, rules: Rules
) -> None:
    mesh.write("secret.yaml", secret("shop-cert", shop.authority.issue("shop.example.com")))
    plain = f"{{port: {{number: {PORT}, name: http, protocol: HTTP}}, hosts: [shop.example.com]}}"
    await rules(
        gateway(server("https", "shop.example.com", "{mode: SIMPLE, credentialName: shop-cert}"), plain)
    )
    assert (await shop.get("shop.example.com")).json()["headers"]["x-forwarded-proto"] == "https"
    answer = await shop.gateway.at(PORT).get("http://shop.example.com/")
    assert answer.json()["headers"]["x-forwarded-proto"] == "http"


async def test_a_certificate_from_files(tmp_path: Path, mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    issued = shop.authority.issue("files.example.com")
    certificate, key = issued.write(tmp_path, "files")
    tls = f"{{mode: SIMPLE, serverCertificate: {certificate}, privateKey: {key}}}"
    await rules(gateway(server("https", "files.example.com", tls)))
    assert (await shop.get("files.example.com")).status_code == 200
    assert (await shop.certificate("files.example.com")).serial_number == issued.serial


async def test_a_certificate_whose_files_come_later(
    tmp_path: Path, mesh: LiveMesh, shop: Shop, rules: Rules
) -> None:
    """Envoy refuses it, and would take the same bytes a second time without a look at the files, also from a
    control plane that knows nothing of the refusal."""
    folder = tmp_path / "later"
    names = f"serverCertificate: {folder}/files.pem, privateKey: {folder}/files-key.pem"
    await rules(gateway(server("https", "later.example.com", f"{{mode: SIMPLE, {names}}}")))
    [rejected] = (await mesh.status())["rejections"]
    assert rejected["type"] == "SDS"
    assert "rules.yaml:" in str(rejected["resources"])

    assert mesh.control_plane is not None
    mesh.control_plane.kill()
    await mesh.control_plane.stop()
    await mesh.start_control_plane()

    async def is_rejected() -> bool:
        return [each["type"] for each in (await mesh.status())["rejections"]] == ["SDS"]

    await eventually(is_rejected, "the control plane says again what the gateway refuses")
    folder.mkdir()
    shop.authority.issue("later.example.com").write(folder, "files")

    async def is_served() -> bool:
        try:
            return (await shop.get("later.example.com")).status_code == 200
        except (httpx.TransportError, ssl.SSLError):
            return False

    await eventually(is_served, "the gateway shows the certificate")
    await mesh.settled()
    assert (await mesh.status())["rejections"] == []


async def test_client_certificates_are_demanded(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    clients = Authority("clients")
    mesh.write(
        "secret.yaml",
        secret("mutual-cert", shop.authority.issue("mutual.example.com"), clients.certificate),
    )
    await rules(gateway(server("https", "mutual.example.com", "{mode: MUTUAL, credentialName: mutual-cert}")))
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await shop.get("mutual.example.com")
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await shop.get("mutual.example.com", with_certificate(shop, Authority().issue("stranger")))
    answer = await shop.get("mutual.example.com", with_certificate(shop, clients.issue("a-client.example")))
    who = answer.json()["headers"]["x-forwarded-client-cert"]
    assert 'Subject="CN=a-client.example"' in who
    assert "DNS=a-client.example" in who


def with_certificate(shop: Shop, certificate: Certificate) -> ssl.SSLContext:
    """Return the settings of a client that shows this certificate."""
    context = shop.authority.client_context()
    directory = Path(shop.gateway.envoy.child.log).parent
    context.load_cert_chain(*certificate.write(directory, "client"))
    return context


async def test_a_new_certificate_needs_no_new_connection(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    first, second = (shop.authority.issue("shop.example.com") for _ in range(2))
    mesh.write("secret.yaml", secret("rotated", first))
    await rules(gateway(server("https", "shop.example.com", "{mode: SIMPLE, credentialName: rotated}")))
    context = shop.authority.client_context()
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as client:
        url = f"https://{shop.gateway.address}:{PORT}/"
        arguments = {"headers": {"host": "shop.example.com"}}
        sni = {"sni_hostname": "shop.example.com"}

        async def serial_of_connection() -> int:
            answer = await client.get(url, extensions=sni, **arguments)
            assert answer.status_code == 200
            stream = answer.extensions["network_stream"]
            shown = stream.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(shown).serial_number

        assert await serial_of_connection() == first.serial
        mesh.write("secret.yaml", secret("rotated", second))

        async def rotated() -> bool:
            assert await serial_of_connection() == first.serial, "the open connection goes on"
            return (await shop.certificate("shop.example.com")).serial_number == second.serial

        await eventually(rotated, "new connections see the new certificate")
        assert await serial_of_connection() == first.serial


async def test_client_certificates_may_be_optional(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    clients = Authority("clients")
    mesh.write(
        "secret.yaml",
        secret("optional-cert", shop.authority.issue("optional.example.com"), clients.certificate),
    )
    tls = "{mode: OPTIONAL_MUTUAL, credentialName: optional-cert}"
    await rules(gateway(server("https", "optional.example.com", tls)))
    answer = await shop.get("optional.example.com")
    assert answer.status_code == 200
    assert "x-forwarded-client-cert" not in answer.json()["headers"]
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await shop.get("optional.example.com", with_certificate(shop, Authority().issue("stranger")))
    answer = await shop.get("optional.example.com", with_certificate(shop, clients.issue("a-client.example")))
    assert "DNS=a-client.example" in answer.json()["headers"]["x-forwarded-client-cert"]


async def test_a_revoked_client_is_refused(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    clients = Authority("clients")
    good, revoked = clients.issue("good.example"), clients.issue("revoked.example")
    document = secret("revoking", shop.authority.issue("revoking.example.com"), clients.certificate)
    document["data"]["ca.crl"] = base64.b64encode(clients.revocations()).decode()
    mesh.write("secret.yaml", document)
    tls = "{mode: MUTUAL, credentialName: revoking}"
    await rules(gateway(server("https", "revoking.example.com", tls)))
    for client in (good, revoked):
        assert (await shop.get("revoking.example.com", with_certificate(shop, client))).status_code == 200

    document["data"]["ca.crl"] = base64.b64encode(clients.revocations(revoked)).decode()
    mesh.write("secret.yaml", document)

    async def is_refused() -> bool:
        try:
            await shop.get("revoking.example.com", with_certificate(shop, revoked))
        except (httpx.TransportError, ssl.SSLError):
            return True
        return False

    await eventually(is_refused, "a certificate that is revoked while the gateway runs is refused")
    assert (await shop.get("revoking.example.com", with_certificate(shop, good))).status_code == 200


async def test_certificates_change_under_load_without_a_failed_request(
    mesh: LiveMesh, shop: Shop, rules: Rules
) -> None:
    """300 requests a second, some of them on connections of their own."""
    host = "loaded.example.com"
    mesh.write("secret.yaml", secret("loaded", shop.authority.issue(host)))
    await rules(gateway(server("https", host, "{mode: SIMPLE, credentialName: loaded}")))
    context = shop.authority.client_context()
    answers: Counter[str] = Counter()
    stopping = asyncio.Event()

    async def client() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stopping.is_set():
            async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as http:
                for _ in range(_REQUESTS_A_CONNECTION):
                    try:
                        answer = await http.get(
                            f"https://{shop.gateway.address}:{PORT}/",
                            headers={"host": host},
                            extensions={"sni_hostname": host},
                        )
                        answers[str(answer.status_code)] += 1
                    except httpx.TransportError as error:
                        answers[repr(error)] += 1
                    due = max(due + _CLIENTS / _RATE, loop.time() - 1)
                    await asyncio.sleep(max(0.0, due - loop.time()))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CLIENTS):
            tasks.create_task(client())
        try:
            for _ in range(3):
                issued = shop.authority.issue(host)
                mesh.write("secret.yaml", secret("loaded", issued))

                async def shown(serial: int = issued.serial) -> bool:
                    return (await shop.certificate(host)).serial_number == serial

                await eventually(shown, "new connections see the new certificate")
                enough = answers.total() + _RATE

                async def went_on(enough: int = enough) -> bool:
                    return answers.total() >= enough

                await eventually(went_on, "requests go on")
        finally:
            stopping.set()
    assert set(answers) == {"200"}, answers


async def test_the_server_name_picks_the_server(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    one, two = shop.authority.issue("one.example.com"), shop.authority.issue("two.example.com")
    mesh.write("secret.yaml", [secret("one", one), secret("two", two)])
    await rules(
        gateway(
            server("https-one", "one.example.com", "{mode: SIMPLE, credentialName: one}"),
            server("https-two", "two.example.com", "{mode: SIMPLE, credentialName: two}"),
        )
    )
    for host, issued in (("one.example.com", one), ("two.example.com", two)):
        assert (await shop.certificate(host)).serial_number == issued.serial
        assert (await shop.get(host)).status_code == 200
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await shop.get("three.example.com")
    answer = await shop.get("one.example.com", authority="two.example.com")
    assert answer.status_code == 404, "each server has hosts of its own"


async def test_a_missing_secret_hurts_only_its_server(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    mesh.write("secret.yaml", secret("one", shop.authority.issue("one.example.com")))
    await rules(
        gateway(
            server("https-one", "one.example.com", "{mode: SIMPLE, credentialName: one}"),
            server("https-two", "two.example.com", "{mode: SIMPLE, credentialName: missing}"),
        )
    )
    assert (await shop.get("one.example.com")).status_code == 200
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await shop.get("two.example.com")
    code, out, _ = await mizzen("analyze", str(mesh.config))
    assert code == 1
    assert "rules.yaml:" in out
    assert "there is no Secret missing" in out


async def test_tls_is_passed_through(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    issued = shop.authority.issue("bank.example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.write(mesh.directory, "bank"))
    bank = await mesh.tcp_server("bank", 9443, context)
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {{name: pass}}
        spec:
          selector: {{istio: ingressgateway}}
          servers:
            - port: {{number: 9444, name: tls, protocol: TLS}}
              hosts: ["*.example.com"]
              tls: {{mode: PASSTHROUGH}}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: bank}}
        spec:
          hosts: [bank.example.com]
          gateways: [pass]
          tls:
            - match: [{{port: 9444, sniHosts: [bank.example.com]}}]
              route: [{{destination: {{host: bank.internal.test, port: {{number: 443}}}}}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: bank}}
        spec:
          hosts: [bank.internal.test]
          ports: [{{number: 443, name: tls, protocol: TLS, targetPort: 9443}}]
          resolution: STATIC
          endpoints: [{{address: {bank.address}}}]
    """)
    client = shop.authority.client_context()
    address = shop.gateway.address
    assert await greeting(address, 9444, context=client, server_name="bank.example.com") == "bank"
    assert await greeting(address, 9444, context=client, server_name="other.example.com") == ""


async def test_http_is_redirected_to_https(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    mesh.write("secret.yaml", secret("one", shop.authority.issue("one.example.com")))
    await rules(
        gateway(
            "{port: {number: 8080, name: http, protocol: HTTP}, hosts: [one.example.com],"
            " tls: {httpsRedirect: true}}",
            server("https", "one.example.com", "{mode: SIMPLE, credentialName: one}"),
        )
    )
    answer = await shop.gateway.get("http://one.example.com/a?b=c")
    assert answer.status_code == 301
    assert answer.headers["location"] == "https://one.example.com/a?b=c"
    assert (await shop.get("one.example.com")).status_code == 200


async def test_old_versions_of_tls_are_refused(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    mesh.write("secret.yaml", secret("one", shop.authority.issue("one.example.com")))
    tls = "{mode: SIMPLE, credentialName: one, minProtocolVersion: TLSV1_3}"
    await rules(gateway(server("https", "one.example.com", tls)))
    old = shop.authority.client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await shop.get("one.example.com", old)
    assert (await shop.get("one.example.com")).status_code == 200


async def test_a_private_key_is_shown_nowhere(mesh: LiveMesh, shop: Shop, rules: Rules) -> None:
    issued = shop.authority.issue("one.example.com")
    document = secret("one", issued)
    mesh.write("secret.yaml", document)
    await rules(gateway(server("https", "one.example.com", "{mode: SIMPLE, credentialName: one}")))
    served = await mesh.http.get(f"http://{mesh.admin}/debug/resources", params={"proxy": "ingress.default"})
    assert "kubernetes://one" in served.text
    status = (await mesh.http.get(f"http://{mesh.admin}/status")).text
    for said in (served.text, status, mesh.log()):
        assert document["data"]["tls.key"][:60] not in said
        assert issued.key.decode().splitlines()[1] not in said
