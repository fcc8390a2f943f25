"""From the directory of a checkpoint to its graph file. Weights are not read: a graph has none."""

import hashlib
import json
import os
import pathlib

import transformers
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from .build import build_model
from .emit import emit
from .export import Export, export
from .graph import Refused
from .report import report
from .vectors import refuse_unsaid_padding

GRAPH_FILE = "keel-graph.pb"
REPORT_FILE = "keel-export.json"
RECORDED_BY = "keel export-transformers"


def export_checkpoint(
    checkpoint: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    trust_remote_code: bool = False,
) -> dict:
    """Writes keel-graph.pb and keel-export.json into `out` (the checkpoint itself if None).

    Returns what keel-export.json says. With `trust_remote_code` the Python files that config.json's
    auto_map names are run, here and now; the server never runs them. Raises Refused with the reason
    if the model cannot be a graph.
    """
    checkpoint = pathlib.Path(checkpoint)
    exported = export_directory(checkpoint, trust_remote_code)
    message = emit(exported.graph)
    message.provenance.config_sha256 = _sha256(checkpoint / "config.json")
    message.provenance.recorded_by = f"{RECORDED_BY}, transformers {transformers.__version__}"
    said = report(exported) | {
        "config_sha256": message.provenance.config_sha256,
        "remote_code": {f.name: _sha256(f) for f in sorted(checkpoint.glob("*.py"))}
        if trust_remote_code
        else {},
    }
    out = checkpoint if out is None else pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / GRAPH_FILE, message.SerializeToString(deterministic=True))
    _write(out / REPORT_FILE, (json.dumps(said, indent=2) + "\n").encode())
    return said


def export_directory(checkpoint: pathlib.Path, trust_remote_code: bool = False) -> Export:
    config, model_class = load_class(checkpoint, trust_remote_code)
    model = build_model(config, model_class)
    exported = export(model)
    refuse_unsaid_padding(model, exported.graph, _said(checkpoint))
    return exported


def load_class(
    checkpoint: pathlib.Path, trust_remote_code: bool
) -> tuple[transformers.PretrainedConfig, type | None]:
    """The configuration, and the class of the checkpoint's own where its auto_map names one."""
    path, said = checkpoint / "config.json", _said(checkpoint)
    own = _own_class(said.get("architectures") or [], said.get("auto_map", {}))
    known = said.get("model_type") in transformers.CONFIG_MAPPING
    if own and not trust_remote_code and not known:
        raise Refused(
            f"{path}: auto_map names {own}, Python files of the checkpoint's own; read them, then "
            "export with "
            "--trust-remote-code"
        )
    if not own or not trust_remote_code:
        return transformers.AutoConfig.from_pretrained(checkpoint), None
    config = transformers.AutoConfig.from_pretrained(checkpoint, trust_remote_code=True)
    return config, get_class_from_dynamic_module(own, checkpoint)


def _said(checkpoint: pathlib.Path) -> dict:
    """Of config.json."""
    path = checkpoint / "config.json"
    if not path.exists():
        raise Refused(f"{checkpoint} has no config.json: is it the directory of a checkpoint?")
    return json.loads(path.read_text())


def _own_class(architectures: list[str], auto_map: dict) -> str | None:
    """What auto_map says of the class that config.json names, else of a language model, else of a
    base model."""
    models = {key: value for key, value in auto_map.items() if key.startswith("AutoModel")}
    named = (value for value in models.values() if value.rpartition(".")[2] in architectures)
    return next(named, None) or models.get("AutoModelForCausalLM") or models.get("AutoModel")


def _sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: pathlib.Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)
