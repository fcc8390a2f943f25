"""The classes of core/graph/graph.proto, made from its descriptor: no generated code, so any
protobuf runtime will do.

`graph_pb2` has what a generated module would have. The descriptor is beside this file where the
package is installed, in the build's output in a test, and made by protoc in a checkout.
"""

import functools
import pathlib
import subprocess
import tempfile
import types

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

PROTO = "core/graph/graph.proto"
DESCRIPTOR = "graph.desc"


def _descriptor() -> bytes:
    here = pathlib.Path(__file__).parent
    places = [here / DESCRIPTOR, *(p / "core/graph" / DESCRIPTOR for p in here.parents)]
    found = next((p for p in places if p.exists()), None)
    if found is not None:
        return found.read_bytes()
    root = next((p for p in pathlib.Path(__file__).resolve().parents if (p / PROTO).exists()), None)
    if root is None:
        raise ModuleNotFoundError(
            f"{DESCRIPTOR} is not there: install the package keel, or run from its tree"
        )
    with tempfile.NamedTemporaryFile() as out:
        command = [
            "protoc",
            f"--proto_path={root}",
            "--include_imports",
            f"--descriptor_set_out={out.name}",
            PROTO,
        ]
        subprocess.run(command, check=True)
        return pathlib.Path(out.name).read_bytes()


@functools.cache
def _load() -> types.SimpleNamespace:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(_descriptor()).file:
        pool.Add(file)
    file = pool.FindFileByName(PROTO)
    out = {n: message_factory.GetMessageClass(d) for n, d in file.message_types_by_name.items()}
    for name, enum in file.enum_types_by_name.items():
        out[name] = EnumTypeWrapper(enum)
        out |= {value.name: value.number for value in enum.values}
    return types.SimpleNamespace(**out)


graph_pb2 = _load()
