"""docker-compose.yml, run for real: capture, sidecars, the ingress, who may do what, and an edited rule."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mizzen.demo.loopback import pick_port
from mizzen.demo.security import TokenIssuer

pytestmark = [pytest.mark.docker, pytest.mark.optional("needs a Docker Engine")]

ROOT = Path(__file__).parents[2]
PARTS = ("docker-compose.yml", "Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE")
PYTHON_IMAGE = "python:3.11-slim-bookworm"
ENVOY_IMAGE = "envoyproxy/envoy:v1.40.0"
ANSWER_SECONDS = 90.0


def _run(*command: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    if check and finished.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed:\n{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}")
    return finished


def _compose_command() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and _run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    pytest.skip("neither `docker compose` nor docker-compose is installed")


def _require_engine() -> None:
    if not shutil.which("docker"):
        pytest.skip("the docker command is not installed")
    if _run("docker", "info", check=False).returncode != 0:
        pytest.skip("no Docker Engine is reachable")
    for image in (PYTHON_IMAGE, ENVOY_IMAGE):
        if _run("docker", "image", "inspect", image, check=False).returncode != 0:
            pulled = _run("docker", "pull", image, check=False)
            if pulled.returncode != 0:
                pytest.skip(f"the image {image} is neither here nor can it be pulled")


@dataclass(frozen=True)
class Project:
    """A running copy of the repository's docker-compose.yml."""

    directory: Path
    url: str
    compose: tuple[str, ...]

    def __call__(self, *arguments: str, check: bool = True) -> str:
        return _run(*self.compose, *arguments, cwd=self.directory, check=check).stdout

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask the ingress."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.get(self.url + path, headers=named, timeout=10.0, trust_env=False)

    def versions(self, requests: int) -> Counter[str]:
        """Count which versions of the reviews answer."""
        answers = (self.get("/api/v1/products/0/reviews") for _ in range(requests))
        return Counter(
            str(answer.json()["version"]) if answer.is_success else str(answer.status_code)
            for answer in answers
        )

    def run_in(self, service: str, program: str, *arguments: str) -> str:
        """Run a Python program in a container; return what it prints."""
        return self("exec", "-T", service, "python3", "-c", program, *arguments)

    def ask_from(self, service: str, url: str, token: str = "") -> tuple[int, dict[str, str], str]:
        """Call a URL as the program of a workload would: from its network namespace, captured.

        The status is 0 if the connection is closed without an answer.
        """
        program = (
            "import json, sys, urllib.error, urllib.request\n"
            "headers = {'authorization': 'Bearer ' + sys.argv[2]} if sys.argv[2] else {}\n"
            "asked = urllib.request.Request(sys.argv[1], headers=headers)\n"
            "try: answer = urllib.request.urlopen(asked, timeout=10)\n"
            "except urllib.error.HTTPError as error: answer = error\n"
            "except ConnectionResetError: sys.exit(print(json.dumps([0, {}, ''])))\n"
            "print(json.dumps([answer.status, dict(answer.headers), answer.read().decode()]))\n"
        )
        status, headers, body = json.loads(self.run_in(service, program, url, token))
        return status, {name.lower(): value for name, value in headers.items()}, body


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The shop, up."""
    _require_engine()
    compose = _compose_command()
    directory = tmp_path
    for part in PARTS:
        shutil.copy(ROOT / part, directory / part)
    for part in ("mizzen", "examples", "requirements"):
        shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
    port = pick_port("127.0.0.1", 18080, strict=False)
    (directory / ".env").write_text(
        f"SHOP_PORT={port}\nMIZZEN_NETWORK=10.213.78\nCOMPOSE_PROJECT_NAME=mizzentest\n"
    )
    project = Project(directory, f"http://127.0.0.1:{port}", tuple(compose))
    # The host's network, for pip may have to reach an index that only the host reaches.
    for target, image in (("control-plane", "mizzen:local"), ("sidecar", "mizzen-sidecar:local")):
        build = ("docker", "build", "--network", "host", "--target", target, "--tag", image, ".")
        _run(*build, cwd=directory)
    try:
        project("up", "--detach", "--no-build")
        _wait_until_it_answers(project)
        yield project
    finally:
        project("down", "--volumes", "--timeout", "2", check=False)


def _wait_until_it_answers(project: Project) -> None:
    """Wait until every part of the shop has started: docker-compose does not."""
    deadline = time.monotonic() + ANSWER_SECONDS
    answer = "nobody answers"
    while time.monotonic() < deadline:
        try:
            page = project.get("/productpage", cookie="end-user=jason")
            versions = project.versions(30) if page.is_success and "Sorry" not in page.text else Counter()
        except httpx.TransportError as error:
            answer = str(error)
        else:
            if set(versions) == {"v1", "v2", "v3"}:
                return
            answer = f"{page.status_code}, {dict(versions)}"
        time.sleep(0.2)
    logs = project("logs", "--tail", "20", check=False)
    pytest.fail(f"the shop does not answer at {project.url}: {answer}\n{logs[-6000:]}")


def test_docker_compose_runs_the_shop(project: Project) -> None:
    # One test, for the shop takes long to start, and parallel workers would each start one of their own.
    _the_page_comes_through_the_ingress(project)
    _the_versions_share_the_traffic(project)
    _what_goes_in_and_out_is_captured(project)
    _only_declared_hosts_can_be_called(project)
    _every_proxy_has_accepted_everything(project)
    _workloads_speak_mutual_tls_and_nothing_else(project)
    _tokens_and_paths_are_checked(project)
    _the_control_plane_serves_who_proves_an_identity(project)
    _nobody_has_more_than_needed(project)
    _an_edited_rule_is_followed(project)


def _the_page_comes_through_the_ingress(project: Project) -> None:
    page = project.get("/productpage", cookie="end-user=jason")
    assert page.status_code == 200
    assert "The Comedy of Errors" in page.text
    assert "stars black" in page.text  # jason sees version 2, which has the stars from the ratings
    assert project.get("/productpage", host="nobody.example.com").status_code == 404
    assert project.get("/no/such/path").status_code == 404


def _the_versions_share_the_traffic(project: Project) -> None:
    counts = project.versions(100)
    assert set(counts) == {"v1", "v2", "v3"}
    assert counts["v1"] > counts["v3"]


def _what_goes_in_and_out_is_captured(project: Project) -> None:
    # DNS gives one of three addresses; that jason always gets version 2 is the sidecar's doing.
    answers = [
        project.get("/api/v1/products/0/reviews", end_user="jason").json()["version"] for _ in range(12)
    ]
    assert answers == ["v2"] * 12
    # Both sidecars of a call have left their mark: the caller's on the request, the callee's on the answer.
    status, headers, body = project.ask_from("productpage-v1", "http://details:9080/echo")
    assert status == 200
    arrived = json.loads(body)["headers"]
    assert "x-request-id" in arrived
    assert headers["server"] == "envoy"
    assert "x-envoy-upstream-service-time" in headers
    # The tour's rules hold on the sidecar.
    assert project.ask_from("productpage-v1", "http://tour:9080/teapot")[0] == 418


def _only_declared_hosts_can_be_called(project: Project) -> None:
    assert project.ask_from("productpage-v1", "http://quotes.example.com:9090/quote")[0] == 200
    assert project.ask_from("productpage-v1", "http://control-plane:9080/")[0] == 502


def _every_proxy_has_accepted_everything(project: Project) -> None:
    status = json.loads(project("exec", "-T", "control-plane", "mizzen", "status", "-o", "json"))
    assert len(status["proxies"]) == 7
    states = {held["state"] for proxy in status["proxies"] for held in proxy["types"].values()}
    assert states == {"ACKED"}
    assert status["rejections"] == []


def _workloads_speak_mutual_tls_and_nothing_else(project: Project) -> None:
    # quotes-v1 has no sidecar, so it calls in plain text.
    assert project.ask_from("quotes-v1", "http://details:9080/echo")[0] == 0
    _, _, body = project.ask_from("productpage-v1", "http://details:9080/echo")
    told = json.loads(body)["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/bookinfo-productpage" in told.split(";")


def _tokens_and_paths_are_checked(project: Project) -> None:
    right = project("exec", "-T", "control-plane", "cat", "/run/mizzen/mesh/visitor.jwt").strip()
    for token, status in (("", 200), (right, 200), (TokenIssuer().token(), 401)):
        found, headers, _ = project.ask_from("productpage-v1", "http://details:9080/echo", token)
        assert found == status
        assert ("x-shop-version" in headers) == (status == 200)  # the proxy answers 401, not the program
    status, headers, _ = project.ask_from("productpage-v1", "http://details:9080/private")
    assert (status, "x-shop-version" in headers) == (403, False)


_CONNECT = """
import socket, sys
try: socket.create_connection(("control-plane", int(sys.argv[1])), timeout=10)
except ConnectionRefusedError: print("refused")
else: print("open")
"""
_ASK = """
import sys
import grpc
from mizzen.signing import CREATE_CERTIFICATE, SERVICE, CertificateRequest, CertificateResponse
roots = grpc.ssl_channel_credentials(open("/run/mizzen/root-cert.pem", "rb").read())
with grpc.secure_channel("control-plane:15012", roots) as channel:
    call = channel.unary_unary(
        f"/{SERVICE}/{CREATE_CERTIFICATE}",
        CertificateRequest.SerializeToString,
        CertificateResponse.FromString,
    )
    token = open("/run/mizzen/token").read().strip() if sys.argv[1] == "own" else sys.argv[1]
    try: call(CertificateRequest(csr="none"), metadata=[("authorization", "Bearer " + token)], timeout=10)
    except grpc.RpcError as error: print(error.code().name)
"""


def _the_control_plane_serves_who_proves_an_identity(project: Project) -> None:
    assert project.run_in("quotes-v1", _CONNECT, "15010").strip() == "refused"
    assert project.run_in("quotes-v1", _CONNECT, "15012").strip() == "open"
    # A wrong token comes no further; with the right one it is the request that is wrong.
    assert project.run_in("details-v1-sidecar", _ASK, TokenIssuer().token()).strip() == "UNAUTHENTICATED"
    assert project.run_in("details-v1-sidecar", _ASK, "own").strip() == "INVALID_ARGUMENT"


def _nobody_has_more_than_needed(project: Project) -> None:
    """No container that stays runs as root; a token is for one sidecar alone; a key is in no file of it."""
    for service in ("control-plane", "ingress", "details-v1-sidecar", "details-v1", "quotes-v1"):
        assert int(project("exec", "-T", service, "id", "-u")) != 0
    held = project("exec", "-T", "details-v1-sidecar", "ls", "-l", "/run/mizzen").splitlines()[1:]
    rights = {line.split()[-1]: line.split()[0] for line in held}
    assert rights.keys() == {"envoy.yaml", "root-cert.pem", "token"}
    assert rights["token"] == "-rw-------"
    keys = project(
        "exec", "-T", "details-v1-sidecar", "grep", "-rl", "PRIVATE KEY", "/run/mizzen", "/tmp", check=False
    )
    assert keys == ""
    logs = project("logs")
    assert "PRIVATE KEY" not in logs
    token = project("exec", "-T", "details-v1-sidecar", "cat", "/run/mizzen/token").strip()
    assert len(token) > 100
    assert token not in logs


def _an_edited_rule_is_followed(project: Project) -> None:
    rules = project.directory / "examples" / "bookinfo" / "virtual-services.yaml"
    text = rules.read_text(encoding="utf-8")
    for old, new in ((50, 0), (30, 0), (20, 100)):
        text = text.replace(f"weight: {old}\n", f"weight: {new}\n")
    rules.write_text(text, encoding="utf-8")
    deadline = time.monotonic() + 60.0
    while (seen := project.versions(10)) != {"v3": 10} and time.monotonic() < deadline:
        assert set(seen) <= {"v1", "v2", "v3"}  # no request fails meanwhile
    assert seen == {"v3": 10}
