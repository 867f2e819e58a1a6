import json

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from mizzen.translator.redaction import readable

KEY = "-----BEGIN PRIVATE KEY-----"


def secret() -> secret_pb2.Secret:
    message = secret_pb2.Secret(name="kubernetes://shop")
    message.tls_certificate.private_key.inline_bytes = KEY.encode()
    message.tls_certificate.certificate_chain.inline_string = "CHAIN"
    message.tls_certificate.password.inline_string = "hunter2"
    return message


def test_private_keys_and_passwords_are_left_out_certificates_are_not() -> None:
    assert readable(secret()) == {
        "name": "kubernetes://shop",
        "tls_certificate": {
            "certificate_chain": {"inline_string": "CHAIN"},
            "password": {"inline_string": "[redacted]"},
            "private_key": {"inline_bytes": "[redacted]"},
        },
    }


def test_a_secret_inside_an_any_is_found() -> None:
    context = tls_pb2.DownstreamTlsContext()
    context.common_tls_context.tls_certificates.add().private_key.inline_string = KEY
    context.common_tls_context.tls_certificates.add().private_key.filename = "/etc/key.pem"
    listener = listener_pb2.Listener(name="443")
    listener.filter_chains.add().transport_socket.typed_config.Pack(context)
    shown = str(readable(listener))
    assert "BEGIN" not in shown
    assert "[redacted]" in shown
    assert "/etc/key.pem" in shown, "where a key is, is no secret"


def test_the_message_itself_stays_as_it_is() -> None:
    message = secret()
    before = message.SerializeToString(deterministic=True)
    readable(message)
    assert message.SerializeToString(deterministic=True) == before


def test_secrets_are_shown_to_who_asks_for_them() -> None:
    assert "hunter2" in str(readable(secret(), show_secrets=True))


def test_generic_secrets_are_secret_in_every_form() -> None:
    message = secret_pb2.Secret(name="token")
    message.generic_secret.secret.inline_string = "one"
    message.generic_secret.secrets["a"].inline_string = "two"
    shown = str(readable(message))
    assert "one" not in shown
    assert "two" not in shown


def test_keys_have_one_order() -> None:
    listener = listener_pb2.Listener(name="a", stat_prefix="s")
    for key in ("zeta", "alpha", "name"):
        listener.metadata.filter_metadata["istio"][key] = "x"
    shown = readable(listener)
    assert list(shown) == ["name", "metadata", "stat_prefix"]
    assert list(shown["metadata"]["filter_metadata"]["istio"]) == ["name", "alpha", "zeta"]


def test_every_one_of_several_secrets_is_left_out() -> None:
    message = common_pb2.TlsSessionTicketKeys()
    for text in ("first", "second", "third"):
        message.keys.add().inline_string = text
    message.keys.add().inline_bytes = b"fourth"
    assert readable(message)["keys"] == [{"inline_string": "[redacted]"}] * 3 + [
        {"inline_bytes": "[redacted]"}
    ]


def test_an_any_that_is_secret_itself_is_so_as_a_whole() -> None:
    certificate = common_pb2.TlsCertificate()
    provider = certificate.private_key_provider
    provider.provider_name = "cryptomb"
    provider.typed_config.Pack(
        base_pb2.DataSource(inline_string="hunter2")  # no field of its own says that it is secret
    )
    assert readable(certificate)["private_key_provider"] == {
        "provider_name": "cryptomb",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.core.v3.DataSource",
            "inline_string": "[redacted]",
        },
    }


def test_a_map_that_is_secret_shows_its_keys_only() -> None:
    settings = ext_authz_pb2.CheckSettings(context_extensions={"token": "hunter2", "user": "alice"})
    assert readable(settings) == {"context_extensions": {"token": "[redacted]", "user": "[redacted]"}}


def test_bytes_that_are_no_secret_stay_in_base64() -> None:
    source = base_pb2.DataSource(inline_bytes=b"hello")
    assert readable(source) == {"inline_bytes": "aGVsbG8="}


def test_of_what_is_secret_as_a_whole_every_text_is_left_out_and_no_number() -> None:
    node = base_pb2.Node(id="hunter2", client_features=["one", "two"])
    node.dynamic_parameters["type"].params["token"] = "hunter3"
    node.user_agent_build_version.version.major_number = 7
    certificate = common_pb2.TlsCertificate()
    certificate.private_key_provider.typed_config.Pack(node)
    assert readable(certificate)["private_key_provider"]["typed_config"] == {
        "@type": "type.googleapis.com/envoy.config.core.v3.Node",
        "id": "[redacted]",
        "client_features": ["[redacted]", "[redacted]"],
        "dynamic_parameters": {"type": {"params": {"token": "[redacted]"}}},
        "user_agent_build_version": {"version": {"major_number": 7}},
    }


def test_what_is_no_secret_is_shown_whole() -> None:
    node = base_pb2.Node(id="a", client_features=["one", "two"])
    node.dynamic_parameters["type"].params["key"] = "value"
    assert readable(node) == {
        "id": "a",
        "client_features": ["one", "two"],
        "dynamic_parameters": {"type": {"params": {"key": "value"}}},
    }


def test_items_of_lists_have_that_order_too() -> None:
    listener = listener_pb2.Listener()
    chain = listener.filter_chains.add(name="a")
    chain.filter_chain_match.destination_port.value = 1
    chain.filters.add(name="f").typed_config.Pack(base_pb2.DataSource(inline_string="x"))
    [shown] = readable(listener)["filter_chains"]
    assert list(shown) == ["name", "filter_chain_match", "filters"]
    assert list(shown["filters"][0]) == ["name", "typed_config"]
    assert list(shown["filters"][0]["typed_config"]) == ["@type", "inline_string"]


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}]}', True),
        ('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "d": "AAAA"}]}', False),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', False),
        ('{"kty": "oct", "k": "c2VjcmV0"}', False),
        ("", True),
        ("[" * 10_000, True),
    ],
)
def test_keys_of_tokens_are_shown_if_they_are_public(keys: str, shown: bool) -> None:
    wrapped = AnyMessage()
    filter_config = config_pb2.JwtAuthentication()
    filter_config.providers["a"].local_jwks.inline_string = keys
    wrapped.Pack(filter_config)
    assert (json.dumps(keys) in json.dumps(readable(wrapped))) == shown
