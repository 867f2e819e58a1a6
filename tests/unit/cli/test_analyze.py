import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mizzen.cli.diagnostic_lines import print_diagnostics
from mizzen.cli.loading import load
from mizzen.mesh.analysis import checks
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.translator.translation import Translation
from tests.self_signed import certificate_and_key, with_negative_serial
from tests.unit.cli.conftest import Command

VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviews
      weihgt: 100
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{name: http, port: 9080}], selector: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews}
spec: {address: 10.0.0.1, labels: {app: reviews}}
"""


def test_an_error_has_its_line_its_code_and_the_nearest_name(mizzen: Command, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(VIRTUAL_SERVICE)
    ended = mizzen("analyze", file)
    assert ended.code == 1
    [line] = [line for line in ended.out.splitlines() if ": error " in line]
    assert line.startswith(f"{file}:11: error IST0106 spec.http[0].route[0].weihgt: ")
    assert "weight" in line.removeprefix(f"{file}:11: error IST0106 spec.http[0].route[0].weihgt: ")
    assert "1 error" in ended.err


REFUSED = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public}
spec: {selector: {istio: [edge]}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf}
spec: {http: [{timeout: often, route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec: {hosts: [reviews.example], gateways: [public, absent], http: [{delegate: {name: leaf}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: odd}
---
apiVersion: v1
kind: Secret
metadata: {name: odd}
data: {tls.crt: 5}
"""


def test_what_was_refused_is_not_called_absent(mizzen: Command, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(f"{SERVICE}---\n{REFUSED}")
    ended = mizzen("analyze", tmp_path, "-o", "json")
    errors = [each["path"] for each in json.loads(ended.out) if each["severity"] == "error"]
    assert errors == ["spec.selector.istio", "spec.http[0].timeout", "spec.gateways[1]", "data[tls.crt]"]


def _referring(host: str) -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: to-it}}
spec:
  hosts: [{host}]
  http: [{{route: [{{destination: {{host: {host}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: tcp-to-it}}
spec:
  hosts: [{host}]
  tcp: [{{route: [{{destination: {{host: {host}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: for-it}}
spec: {{host: {host}}}
---
apiVersion: v1
kind: Service
metadata: {{name: alias}}
spec: {{type: ExternalName, externalName: {host}}}
"""


SERVICE_ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [HOSTS], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
"""
SERVICE_OF_FAR = """\
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: far}
spec: {ports: [{name: http, port: eighty}]}
"""


@pytest.mark.parametrize(
    ("refused", "host"),
    [
        (SERVICE_OF_FAR, "shop.far.svc.cluster.local"),
        (SERVICE_ENTRY.replace("HOSTS", "a.example, B.Example").replace("DNS", "DSN"), "b.example"),
        (SERVICE_ENTRY.replace("HOSTS", "b.example").replace("number", "numbr"), "b.example"),
        (
            SERVICE_ENTRY.replace("HOSTS", "'*.example'").replace("resolution: DNS", "location: IN"),
            "b.example",
        ),
        (SERVICE_ENTRY.replace("HOSTS", "b.example").replace("io/v1", "io/v0"), "b.example"),
    ],
)
def test_a_host_is_not_called_unknown_if_what_declares_it_was_refused(
    refused: str, host: str, mizzen: Command, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(_referring(host))
    alone = {each["code"] for each in json.loads(mizzen("analyze", tmp_path, "-o", "json").out)}
    assert alone >= {"IST0101", "IST0174", "MZ0216", "MZ0219"}
    (tmp_path / "refused.yaml").write_text(refused)
    found = json.loads(mizzen("analyze", tmp_path, "-o", "json").out)
    told = {(each["file"], each["code"]) for each in found if each["code"] != "IST0109"}
    assert {file for file, _ in told} == {str(tmp_path / "refused.yaml")}, told
    told = mizzen("describe", "alias", "--config", tmp_path).out
    assert "not a known service" not in told


def test_a_host_that_a_refused_document_does_not_declare_is_unknown(mizzen: Command, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(_referring("c.example"))
    (tmp_path / "refused.yaml").write_text(SERVICE_ENTRY.replace("HOSTS", "b.example").replace("DNS", "DSN"))
    assert "host c.example is not a known service" in mizzen("analyze", tmp_path).out


def test_a_subset_is_not_called_undefined_if_the_rule_that_defines_it_was_refused(
    mizzen: Command, tmp_path: Path
) -> None:
    subset = VIRTUAL_SERVICE.replace("weihgt: 100", "  subset: v1")
    rule = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: rule}
spec: {host: HOST, subset: [{name: v1, labels: {app: reviews}}]}
"""
    (tmp_path / "service.yaml").write_text(SERVICE)
    for host, told in (("reviews", []), ("reviews.default.svc.cluster.local", []), ("other", ["IST0101"])):
        (tmp_path / "rules.yaml").write_text(subset + rule.replace("HOST", host))
        found = json.loads(mizzen("analyze", tmp_path, "-o", "json").out)
        assert [each["code"] for each in found if "defines subset v1" in each["message"]] == told
        assert "spec.subset" in [each["path"] for each in found]


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (SERVICE_OF_FAR, []),
        (SERVICE_ENTRY.replace("outside", "outside, namespace: far").replace("DNS", "DSN"), []),
        (SERVICE_OF_FAR.replace("far", "near"), ["MZ0218"]),
    ],
)
def test_a_workload_is_not_called_unselected_if_what_may_select_it_was_refused(
    refused: str, told: list[str], mizzen: Command, tmp_path: Path
) -> None:
    workload = """---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, namespace: far}
spec: {address: 10.0.0.1, labels: {app: shop}}
"""
    (tmp_path / "mesh.yaml").write_text(refused + workload)
    found = json.loads(mizzen("analyze", tmp_path, "-o", "json").out)
    assert [each["code"] for each in found if each["severity"] == "warning"] == told


def test_what_is_right_is_silent(mizzen: Command, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(VIRTUAL_SERVICE.replace("weihgt", "weight"))
    (tmp_path / "service.yaml").write_text(SERVICE)
    ended = mizzen("analyze", tmp_path)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "3 documents checked: 0 errors, 0 warnings\n"


def test_diagnostics_as_json(mizzen: Command, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(VIRTUAL_SERVICE)
    diagnostics = json.loads(mizzen("analyze", file, "-o", "json").out)
    [error] = [diagnostic for diagnostic in diagnostics if diagnostic["severity"] == "error"]
    assert error["file"] == str(file)
    assert error["line"] == 11
    assert error["code"] == "IST0106"
    assert error["path"] == "spec.http[0].route[0].weihgt"


def test_a_path_that_is_not_there_is_a_wrong_command_line(mizzen: Command, tmp_path: Path) -> None:
    ended = mizzen("analyze", tmp_path / "nothing")
    assert ended.code == 2
    assert ended.err == f"mizzen: {tmp_path / 'nothing'}: there is no such file or folder\n"


def test_a_rule_for_a_host_that_nobody_knows_is_found(mizzen: Command, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(VIRTUAL_SERVICE.replace("weihgt", "weight"))
    ended = mizzen("analyze", file)
    assert ended.code == 1
    assert "IST0101" in ended.out


def test_diagnostics_are_in_the_order_of_the_files_and_counted(mizzen: Command, tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / f"{name}.yaml").write_text(
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nSpec: {{}}\nStatus: {{}}\n"
        )
    (tmp_path / "d.yaml").write_text("apiVersion: v1\nkind: Event\nmetadata: {name: d}\n")
    ended = mizzen("analyze", tmp_path)
    assert ended.code == 0, "warnings alone are no failure"
    places = [line.split(": ")[0].removeprefix(f"{tmp_path}/") for line in ended.out.splitlines()]
    assert places == [f"{name}.yaml:{line}" for name in "abc" for line in (4, 5)]
    assert ended.err == "3 documents checked: 0 errors, 6 warnings\n"
    with_notices = mizzen("analyze", tmp_path, "--notices")
    assert "d.yaml:2: info" in with_notices.out
    assert with_notices.err == ended.err


def test_one_is_one_and_two_are_several(mizzen: Command, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nSpec: {}\n")
    assert mizzen("analyze", tmp_path).err == "1 document checked: 0 errors, 1 warning\n"


def test_what_is_said_of_a_file_of_another_alphabet_can_be_read(mizzen: Command, tmp_path: Path) -> None:
    file = tmp_path / "größe.yaml"
    file.write_text("kind: x\n")
    [diagnostic] = json.loads(mizzen("analyze", file, "-o", "json").out)
    assert diagnostic["file"] == str(file)
    assert "größe" in mizzen("analyze", file, "-o", "json").out


def test_a_hyphen_is_standard_input(mizzen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(VIRTUAL_SERVICE.encode())))
    ended = mizzen("analyze", "-")
    assert ended.code == 1
    assert "<stdin>:11: error IST0106 spec.http[0].route[0].weihgt: " in ended.out
    assert ended.err == "1 document checked: 1 error, 0 warnings\n"


def at_a_terminal(file: Path) -> str:
    """Return what a person would see of the diagnostics about a file, without colours."""
    written = io.StringIO()
    print_diagnostics(load([file], None).diagnostics, {}, Console(file=written, width=80))
    return written.getvalue()


def test_a_terminal_shows_the_line_with_a_mark_and_the_document(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(SERVICE + "---\n" + VIRTUAL_SERVICE)
    first, document, line, mark = at_a_terminal(file).splitlines()
    assert first.startswith(f"{file}:21: error IST0106 spec.http[0].route[0].weihgt: ")
    assert document == "  in VirtualService/default/reviews"
    assert line == "  21 |       weihgt: 100"
    assert mark == " " * line.index("weihgt") + "^" * len("weihgt")


def test_a_terminal_shows_no_line_of_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: [hush-hush]\n"
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: b\nstringData: {x: hush-hush}\n"
    )
    shown = at_a_terminal(file)
    assert "in Secret/default/a" in shown
    assert "hush-hush" not in shown


@pytest.mark.parametrize(
    "spec",
    [
        "{hosts: [a.example.com], resolution: DNS, ports: [{number: 80, name: http}]}",
        "{hosts: [b.example.com], resolution: STATIC, ports: [{number: 80, name: http}],"
        ' endpoints: [{address: "unix:///run/b"}]}',
        "{hosts: [c.example.com], resolution: STATIC, ports: [{number: 80, name: http}],"
        " endpoints: [{network: far}]}",
    ],
)
def test_a_mesh_whose_endpoints_are_no_addresses_is_analysed(
    mizzen: Command, tmp_path: Path, spec: str
) -> None:
    file = tmp_path / "entry.yaml"
    file.write_text(
        f"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a}}\nspec: {spec}\n"
    )
    assert "1 document checked" in mizzen("analyze", file).err


def test_an_odd_certificate_gives_no_warning_of_python(tmp_path: Path) -> None:
    certificate, key = certificate_and_key()
    (tmp_path / "mesh.yaml").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "shop"},
                "stringData": {"tls.crt": with_negative_serial(certificate), "tls.key": key},
            }
        )
        + """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.example]
    tls: {mode: SIMPLE, credentialName: shop}
"""
    )
    ended = subprocess.run(
        [sys.executable, "-m", "mizzen", "analyze", tmp_path], capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("", "2 documents checked: 0 errors, 0 warnings\n")


AUTHORIZER = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders: [{name: gate, envoyExtAuthzHttp: {service: gate.example, port: 9000}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gate}
spec: {hosts: [gate.example], resolution: STATIC, ports: [{number: 9000, name: http, protocol: HTTP}],
  endpoints: [{address: 10.0.0.9}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: asked}
spec: {selector: {matchLabels: {app: reviews}}, action: CUSTOM, provider: {name: gate}, rules: [{}]}
"""


def test_what_an_authorizer_is_not_asked_about_is_found(mizzen: Command, tmp_path: Path) -> None:
    """It depends on the ports of each workload that the policy is for."""
    (tmp_path / "mesh.yaml").write_text(f"{SERVICE}---\n{AUTHORIZER}")
    assert "MZ0107" not in mizzen("analyze", tmp_path).out
    tcp = SERVICE.replace("{name: http, port: 9080}", "{name: http, port: 9080}, {name: tcp, port: 3306}")
    (tmp_path / "mesh.yaml").write_text(f"{tcp}---\n{AUTHORIZER}")
    [line] = [line for line in mizzen("analyze", tmp_path).out.splitlines() if "MZ0107" in line]
    assert f"{tmp_path}/mesh.yaml:27: warning MZ0107" in line
    assert "at port 3306" in line


def test_a_check_that_raises_is_named_and_the_rest_is_found(
    mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = checks.check_references

    def failing(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
        if rule.config.name == "bad":
            raise RuntimeError("quotes a secret")
        look(mesh, rule, diagnostics)

    monkeypatch.setattr(checks, "check_references", failing)
    rule = VIRTUAL_SERVICE.replace("weihgt", "weight")
    (tmp_path / "rules.yaml").write_text(rule + "---\n" + rule.replace("reviews", "bad"))
    ended = mizzen("analyze", tmp_path)
    assert ended.code == 3, "there may be more errors than are shown"
    assert "IST0101" in ended.out
    assert "bad" not in ended.out
    summary, fault = ended.err.splitlines()
    assert summary == "2 documents checked: 1 error, 1 warning"
    assert "references of VirtualService/default/bad: RuntimeError in failing (test_analyze.py:" in fault
    assert "a fault of Mizzen" in fault
    assert "secret" not in fault


def test_a_proxy_that_cannot_be_translated_is_named_and_the_rest_is_found(
    mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("quotes a secret")

    monkeypatch.setattr(Translation, "translate", failing)
    (tmp_path / "rules.yaml").write_text(VIRTUAL_SERVICE.replace("weihgt", "weight"))
    ended = mizzen("analyze", tmp_path)
    assert ended.code == 3
    assert "IST0101" in ended.out
    _, fault = ended.err.splitlines()
    assert "translation for sidecar of default: RuntimeError in failing (test_analyze.py:" in fault
    assert "secret" not in fault
