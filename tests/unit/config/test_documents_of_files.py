"""What parse_documents makes of the bytes of a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config import ParsedFile, Severity, group_kinds, parse_documents

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n"
SIDECAR = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: %s}\n"
SIDECAR += "spec: {egress: [{hosts: ['./*']}]}\n"


def parsed(text: str | bytes, file: str = "mesh.yaml", **options: int) -> ParsedFile:
    return parse_documents(text.encode() if isinstance(text, str) else text, file, **options)


def only(found: ParsedFile) -> str:
    [diagnostic] = found.diagnostics
    return f"{diagnostic.severity}: {diagnostic}"


def names(found: ParsedFile) -> list[str]:
    return [str(document.key) for document in found.documents]


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n---\n", "---\n# a\n---\n", "\ufeff", "null\n"]
)
def test_nothing_is_no_error(text: str) -> None:
    found = parsed(text)
    assert (found.documents, found.diagnostics, found.broken) == ((), (), False)


def test_documents_have_keys_and_first_lines() -> None:
    found = parsed("# head\n" + SIDECAR % "a" + "---\n\n" + SIDECAR % "b" + "--- # c\n" + NAMESPACE % "ns")
    assert names(found) == ["Sidecar/default/a", "Sidecar/default/b", "Namespace//ns"]
    assert [document.origin.line for document in found.documents] == [2, 8, 13]
    assert found.documents[1].lines.line_of(("spec", "egress")) == 11
    assert str(found.documents[0].origin) == "mesh.yaml:2"


def test_namespace_of_a_document_or_the_default() -> None:
    text = SIDECAR.replace("{name: %s}", "{name: a, namespace: shop}") + "---\n" + SIDECAR % "a"
    found = parse_documents(text.encode(), "f", default_namespace="outer")
    assert names(found) == ["Sidecar/shop/a", "Sidecar/outer/a"]


def test_a_list_holds_documents_with_their_own_lines() -> None:
    found = parsed(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: a\n"
        "- apiVersion: v1\n  kind: NamespaceList\n  items:\n"
        "  - apiVersion: v1\n    kind: Namespace\n    metadata: {name: b}\n"
        "- null\n- 5\n"
    )
    assert names(found) == ["Namespace//a", "Namespace//b"]
    assert [document.origin.line for document in found.documents] == [4, 11]
    assert found.documents[0].lines.line_of(("metadata", "name")) == 7
    assert "mesh.yaml:15: a document must be a mapping" in only(found)
    assert found.unidentified


def test_a_repeated_key_in_a_list_refuses_that_item_alone() -> None:
    found = parsed(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
        "- {apiVersion: v1, kind: Namespace, metadata: {name: b}, spec: {x: 1, x: 2}}\n"
    )
    assert names(found) == ["Namespace//a"]
    [refused] = found.refused
    assert refused.key == group_kinds.NAMESPACE.key("", "b")
    assert refused.diagnostics[0].path == "spec.x"


def test_json_with_tabs_escapes_and_astral_characters() -> None:
    found = parsed(
        '{\n\t"apiVersion": "v1",\n\t"kind": "Namespace",\n\t"metadata": {\n\t\t"name": "a",\n'
        '\t\t"annotations": {"x": "\\ud83d\\ude00 \\/ \\\\ud83d"}}}\n',
        "n.json",
    )
    [document] = found.documents
    assert document.content["metadata"]["annotations"] == {"x": "\U0001f600 / \\ud83d"}
    assert document.lines.line_of(("metadata", "name")) == 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends(encoding: str, newline: str) -> None:
    text = (NAMESPACE % "a" + "---\n" + NAMESPACE % "b").replace("\n", newline)
    found = parsed(text.encode(encoding))
    assert names(found) == ["Namespace//a", "Namespace//b"]
    assert [document.origin.line for document in found.documents] == [1, 5]
    assert not found.diagnostics


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x01\x02", "mesh.yaml: is a binary file"),
        (b"a: 1\nb: \xe9\n", "mesh.yaml:2: the byte 0xe9 is not UTF-8"),
        (b"\xff\xfea", "is not text"),
        (b"x" * 101, "mesh.yaml: has 101 bytes, more than the limit of 100"),
        (b"a: [\n", "mesh.yaml:1: the document ends in an open bracket or brace; close it"),
        (b"a: b\nc: [{d: {\n\n# e\n\n", "mesh.yaml:4: the document ends in an open bracket or brace"),
    ],
)
def test_unreadable_files_are_broken(data: bytes, words: str) -> None:
    found = parsed(data, max_bytes=100)
    assert found.broken
    assert words in only(found)


def test_a_syntax_error_breaks_the_file_but_hides_nothing_of_the_rest() -> None:
    found = parsed(SIDECAR % "a" + "---\nx: 'open\n---\n" + SIDECAR % "b" + "---\ny: [\n")
    assert found.broken
    assert names(found) == ["Sidecar/default/a", "Sidecar/default/b"]
    assert [each.origin.line for each in found.diagnostics] == [7, 13]


def test_directives_and_document_ends() -> None:
    found = parsed("%YAML 1.1\n---\n" + NAMESPACE % "a" + "...\n%YAML 1.1\n---\n" + NAMESPACE % "b")
    assert [document.origin.line for document in found.documents] == [3, 9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1\n", "mesh.yaml:1: a document must be a mapping with apiVersion, kind and metadata; not a list"),
        ("hello\n", "not a text"),
        ("kind: Sidecar\n", "mesh.yaml:1: apiVersion: is missing; write for example"),
        ("apiVersion: v1\n", "mesh.yaml:1: kind: is missing"),
        ("services: {web: {}}\n", "or keep files that are no documents of a mesh elsewhere"),
        (
            "trustDomain: a\nextensionProviders: []\n",
            "if this is the MeshConfig, keep it elsewhere and give it by",
        ),
        ("apiVersion: v1\nkind: [x]\n", "mesh.yaml:2: kind: must be a string; not a list"),
        ("apiVersion: v1\nkind: Service\n", "metadata: is missing; write `metadata:` with a `name`"),
        ("apiVersion: v1\nkind: Service\nmetadata: x\n", "mesh.yaml:3: metadata: must be a mapping"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {}\n",
            "metadata.name: is missing; give the Service a name",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: 1\n",
            "mesh.yaml:4: metadata.name: must be a string",
        ),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: A_b\n", '"A_b" is not an object name'),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: a.b}\n", "not a namespace name"),
        (
            SIDECAR.replace("Sidecar", "Sidcar") % "a",
            "kind: Sidcar is not a kind of Istio; did you mean Sidecar?",
        ),
        (
            SIDECAR.replace("networking.istio.io/v1", "v1") % "a",
            "v1 has no Sidecar; write networking.istio.io/v1",
        ),
        ("apiVersion: v1\nkind: service\nmetadata: {name: a}\n", "v1 has no service; did you mean Service?"),
        (
            "apiVersion: v1\nkind: Endpoint\nmetadata: {name: a}\n",
            "v1 has no Endpoint; did you mean Endpoints?",
        ),
        ("apiVersion: apps/v1\nkind: Service\nmetadata: {name: a}\n", "apps/v1 has no Service; write v1"),
        (
            "apiVersion: v1\nkind: EndpointSlice\nmetadata: {name: a}\n",
            "v1 has no EndpointSlice; write discovery.k8s.io/v1",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\n",
            "networking.istio.io/v1 has no PeerAuthentication; write security.istio.io/v1beta1 or "
            "security.istio.io/v1",
        ),
    ],
)
def test_documents_that_do_not_say_what_they_are(text: str, words: str) -> None:
    found = parsed(text)
    assert (found.documents, found.broken, found.unidentified) == ((), False, True)
    assert only(found).startswith("error: ")
    assert words in only(found)


def test_an_unserved_version_refuses_the_document_and_names_the_served_ones() -> None:
    found = parsed(SIDECAR.replace("/v1", "/v2") % "a")
    [refused] = found.refused
    assert refused.key == group_kinds.SIDECAR.key("default", "a")
    [diagnostic] = refused.diagnostics
    assert str(diagnostic) == (
        "mesh.yaml:1: apiVersion: networking.istio.io/v2 is not a version of Sidecar; write "
        "networking.istio.io/v1alpha3 or networking.istio.io/v1beta1 or networking.istio.io/v1"
    )


@pytest.mark.parametrize("version", ["v1alpha3", "v1beta1", "v1"])
def test_every_served_version_is_read(version: str) -> None:
    assert names(parsed(SIDECAR.replace("/v1", f"/{version}") % "a")) == ["Sidecar/default/a"]


@pytest.mark.parametrize(
    ("api_version", "kind", "severity"),
    [
        ("apps/v1", "Deployment", Severity.INFO),
        ("v1", "ConfigMap", Severity.INFO),
        ("v1", "ServiceAccount", Severity.INFO),
        ("v1", "PodTemplate", Severity.INFO),
        ("rbac.authorization.k8s.io/v1", "Role", Severity.INFO),
        ("install.istio.io/v1alpha1", "IstioOperator", Severity.INFO),
        ("serving.knative.dev/v1", "Service", Severity.INFO),
        ("example.com/v1", "Widget", Severity.INFO),
        ("gateway.networking.k8s.io/v1", "Gateway", Severity.WARNING),
        ("networking.k8s.io/v1", "Ingress", Severity.WARNING),
        ("telemetry.istio.io/v1", "Telemetry", Severity.WARNING),
        ("networking.istio.io/v1alpha3", "EnvoyFilter", Severity.WARNING),
        ("networking.istio.io/v1beta1", "ProxyConfig", Severity.WARNING),
        ("extensions.istio.io/v1alpha1", "WasmPlugin", Severity.WARNING),
        ("extensions.istio.io/v1alpha1", "TrafficExtension", Severity.WARNING),
    ],
)
def test_other_kinds_are_skipped_and_named(api_version: str, kind: str, severity: Severity) -> None:
    found = parsed(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n")
    assert not found.documents
    assert not found.unidentified
    [diagnostic] = found.diagnostics
    assert diagnostic.severity is severity
    assert diagnostic.origin.line == 2
    assert kind in diagnostic.message


def test_the_config_map_of_the_mesh_is_read() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: i}\ndata: {mesh: ''}\n"
    assert names(parsed(text)) == ["ConfigMap/i/istio"]


@given(
    st.lists(
        st.sampled_from(
            ["---\n", "a: 1\n", SIDECAR % "x", "'\n", "[", "\n", "# c\n", NAMESPACE % "y", "\x85"]
        )
    )
)
def test_pieces_in_any_order_never_raise_and_lines_lie_in_the_file(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = parsed(text)
    last = len(text.splitlines()) + 1
    for each in (*found.documents, *found.diagnostics, *found.refused):
        assert 1 <= each.origin.line <= last


@given(st.binary(max_size=200))
def test_any_bytes_never_raise(data: bytes) -> None:
    parsed(data)


def test_the_line_of_a_byte_that_is_no_utf_8_is_counted_from_the_first() -> None:
    assert only(parsed(b"\xff")).startswith("error: mesh.yaml:1: the byte 0xff is not UTF-8")
    assert only(parsed(b"a: 1\n\n b: \xe9\n")).startswith("error: mesh.yaml:3: the byte 0xe9")


@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_characters_beyond_the_first_plane_in_json(form: str) -> None:
    metadata = '{"name": "a", "labels": {"x": "\\ud83d\\ude00"}}'
    item = f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {metadata}}}'
    text = form % item
    if form != "%s":
        text = f'{{"apiVersion": "v1", "kind": "List", "items": {text}}}'
    [document] = parsed(text).documents
    assert document.content["metadata"]["labels"] == {"x": "\U0001f600"}


def test_a_text_with_directives_is_read_as_a_whole() -> None:
    found = parsed("%YAML 1.1\n---\n" + NAMESPACE % "a" + "...\n%YAML 1.1\n---\n" + NAMESPACE % "b")
    assert names(found) == ["Namespace//a", "Namespace//b"]
    assert found.diagnostics == ()
    assert [document.origin.line for document in found.documents] == [3, 9]


def test_a_mistake_in_one_item_of_a_list_is_that_item_s_alone() -> None:
    def item(name: str, more: str = "") -> str:
        return f"- apiVersion: v1\n  kind: Namespace\n  metadata: {{name: {name}{more}}}\n"

    found = parsed("apiVersion: v1\nkind: List\nitems:\n" + item("a") + item("b", ", name: c") + item("d"))
    assert names(found) == ["Namespace//a", "Namespace//d"]
    [refused] = found.refused
    assert [str(each).split(": ")[0] for each in refused.diagnostics] == ["mesh.yaml:9"]
    assert (found.diagnostics, found.unidentified) == ((), False)


def test_a_mistake_beside_the_items_leaves_unknown_what_the_list_is() -> None:
    item = "- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
    found = parsed("apiVersion: v1\nkind: List\nkind: List\nitems:\n" + item)
    assert names(found) == ["Namespace//a"]
    assert found.unidentified
    assert "the key is there twice" in only(found)
    found = parsed("apiVersion: v1\nkind: List\nyes: 1\nitems:\n" + item)
    assert not found.unidentified, "a warning leaves it known"
    assert only(found).startswith("warning: ")
