"""The messages of istio.v1.auth.IstioCertificateService, made at the first import.

They are defined in proto/ca.proto and again here, so that no compiler is needed where Mizzen runs. They have
a descriptor pool of their own, so that Istio's compiled messages can be loaded in the same process.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
CREATE_CERTIFICATE: Final = "CreateCertificate"

_PACKAGE: Final = "istio.v1.auth"
_Field = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="ca.proto", package=_PACKAGE, syntax="proto3", dependency=["google/protobuf/struct.proto"]
    )
    request = file.message_type.add(name="IstioCertificateRequest")
    one, many = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
    request.field.add(name="csr", number=1, type=_Field.TYPE_STRING, label=one)
    request.field.add(name="validity_duration", number=3, type=_Field.TYPE_INT64, label=one)
    struct = ".google.protobuf.Struct"
    request.field.add(name="metadata", number=4, type=_Field.TYPE_MESSAGE, type_name=struct, label=one)
    response = file.message_type.add(name="IstioCertificateResponse")
    response.field.add(name="cert_chain", number=1, type=_Field.TYPE_STRING, label=many)
    return file


def _classes() -> tuple[Any, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_file().SerializeToString())
    names = ("IstioCertificateRequest", "IstioCertificateResponse")
    request, response = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in names
    )
    return request, response


CertificateRequest, CertificateResponse = _classes()
