"""The classes of core/graph/graph.proto, which protoc makes where this package is built.

In a checkout, without a build, they are made once into a cache: protoc must be there then.
"""

import importlib
import pathlib
import subprocess
import sys
import tempfile

FILES = ("core/config/model_spec.proto", "core/graph/graph.proto")


def _load():
    try:
        return importlib.import_module("core.graph.graph_pb2")
    except ModuleNotFoundError:
        pass
    root = next((p for p in pathlib.Path(__file__).resolve().parents if (p / FILES[0]).exists()), None)
    if root is None:
        raise ModuleNotFoundError("core.graph.graph_pb2 is not there: install the package keel, or run from its tree")
    out = tempfile.mkdtemp(prefix="keel-proto-")
    subprocess.run(["protoc", f"--proto_path={root}", f"--python_out={out}", *FILES], check=True)
    sys.path.append(out)
    return importlib.import_module("core.graph.graph_pb2")


graph_pb2 = _load()
