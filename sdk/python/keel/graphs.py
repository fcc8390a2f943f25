"""The graph of a transformers model, made when it is first asked for.

`model_impl="transformers"` runs a graph that was exported from the Python class. Where the
checkpoint brings none, it is exported here once and kept, by the hash of its config.json, in
~/.cache/keel/graphs.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import tempfile

from .errors import NotServed

FILE = "keel-graph.pb"
MANIFEST = "keel_plugin.json"  # of a checkpoint that says itself what serves it


def graph_dir_of(model: str, trust_remote_code: bool = False) -> str | None:
    """The directory for the engine's option graph_dir that has the graph of `model`, which is
    exported first if it is not there. None: the checkpoint brings what serves it, or there is no
    such checkpoint, which the engine explains."""
    checkpoint = _directory(model)
    if checkpoint is None or not (checkpoint / "config.json").exists():
        return None
    if (checkpoint / FILE).exists() or (checkpoint / MANIFEST).exists():
        return None
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(home, "keel", "graphs")
    config = (checkpoint / "config.json").read_bytes()
    graph = folder / f"{hashlib.sha256(config).hexdigest()}.pb"
    if not graph.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _export(model, checkpoint, graph, trust_remote_code)
    return str(folder)


def _directory(model: str) -> pathlib.Path | None:
    """Where the files of a model are, an id of the Hugging Face cache included. Without the package
    that knows that cache nothing can be exported either, and what there is the engine finds."""
    if os.path.isdir(model):
        return pathlib.Path(model)
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return None
    name, _, revision = model.partition("@")
    try:
        return pathlib.Path(
            snapshot_download(name, revision=revision or None, local_files_only=True)
        )
    except (OSError, ValueError):
        return None


def _export(model: str, checkpoint: pathlib.Path, graph: pathlib.Path, trusted: bool) -> None:
    with tempfile.TemporaryDirectory(dir=graph.parent) as work:
        try:
            from .export import Refused, export_checkpoint

            export_checkpoint(checkpoint, work, trust_remote_code=trusted)
        except ModuleNotFoundError as error:
            raise _missing(model, package_of(error)) from None
        except Refused as error:
            raise NotServed(f"{model} cannot be exported: {error}", flag="model-impl") from error
        os.replace(pathlib.Path(work, FILE), graph)


def package_of(error: ModuleNotFoundError) -> str:
    """The package to install for a module that is not there."""
    module = (error.name or str(error)).partition(".")[0]
    return {"google": "protobuf"}.get(module, module)


def _missing(model: str, package: str) -> NotServed:
    return NotServed(
        f"model_impl is transformers and {model} has no {FILE}; to make one the package {package} "
        f"is needed: pip install 'keel[export]', or elsewhere: keel export-transformers {model}",
        flag="model-impl",
    )
