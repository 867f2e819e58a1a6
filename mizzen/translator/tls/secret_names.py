"""The names of secrets, as proxies ask for them, and the source that they ask.

The names are Istio's (pkg/model/authentication.go, pilot/pkg/credentials). A proxy with an agent asks the
agent for its own certificate and the roots of the mesh. All other secrets come over the aggregated stream.
Secrets for files hold only the paths: Envoy reads the files on its own machine, and reads them again whenever
their directory changes.
"""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen.translator.base.config_sources import agent_config_source, aggregated_config_source

WORKLOAD_CERTIFICATE = "default"
"""The workload's own certificate."""
TRUST_BUNDLE = "ROOTCA"
"""The roots of the mesh."""
OF_EVERY_WORKLOAD = frozenset({WORKLOAD_CERTIFICATE, TRUST_BUNDLE})
CA_SUFFIX = "-cacert"
FILE_CERTIFICATE = "file-cert:"
FILE_ROOT = "file-root:"
SYSTEM_ROOTS = FILE_ROOT + "system"
KUBERNETES = "kubernetes://"

_BUILTIN = "builtin://"
_COMPLETE = (KUBERNETES, "kubernetes-gateway://", "configmap://")


def credential_secret_name(credential_name: str) -> str:
    """Return the secret's name for a `credentialName`: `shop-cert` -> `kubernetes://shop-cert`."""
    if credential_name == _BUILTIN:
        return WORKLOAD_CERTIFICATE
    if credential_name == _BUILTIN + CA_SUFFIX:
        return TRUST_BUNDLE
    if credential_name.startswith(_COMPLETE):
        return credential_name
    return KUBERNETES + credential_name.removeprefix("sds://")


def ca_secret_name(credential_name: str) -> str:
    """Return the name of the roots that belong to a `credentialName`.

    For a `caCertCredentialName`, use `credential_secret_name`: it is the name of the Secret itself.
    """
    if credential_name.endswith(CA_SUFFIX):
        return credential_secret_name(credential_name)
    return credential_secret_name(credential_name + CA_SUFFIX)


def file_certificate_name(certificate: str, key: str) -> str:
    """Return the secret's name for a certificate and its key in files on the proxy's machine."""
    return f"{FILE_CERTIFICATE}{_escaped(certificate)}~{_escaped(key)}"


def files_of(name: str) -> tuple[str, str]:
    """Return the paths of the certificate and the key in a name made by `file_certificate_name`."""
    certificate, _, key = name.removeprefix(FILE_CERTIFICATE).partition("~")
    return _unescaped(certificate), _unescaped(key)


def _escaped(path: str) -> str:
    """Return `path` with `~` escaped, because `~` separates the two paths in a name."""
    return path.replace("%", "%25").replace("~", "%7E")


def _unescaped(text: str) -> str:
    return text.replace("%7E", "~").replace("%25", "%")


def file_root_name(path: str) -> str:
    """Return the secret's name for roots in a file on the proxy's machine; an empty path means the roots that
    its operating system trusts."""
    return FILE_ROOT + path if path else SYSTEM_ROOTS


def sds_config(name: str, *, has_agent: bool) -> secret_pb2.SdsSecretConfig:
    """Return the configuration with which Envoy fetches the secret `name`, with a finite timeout.

    The workload's certificate and the roots of the mesh come from the proxy's agent if it has one, all other
    secrets over the aggregated stream.
    """
    from_agent = has_agent and name in (WORKLOAD_CERTIFICATE, TRUST_BUNDLE)
    source = agent_config_source() if from_agent else aggregated_config_source()
    return secret_pb2.SdsSecretConfig(name=name, sds_config=source)
