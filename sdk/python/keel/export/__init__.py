"""Exports models of transformers as graph files that Keel serves without Python.

    from keel.export import export_checkpoint
    export_checkpoint("path/to/checkpoint")        # writes keel-graph.pb beside config.json

How it is done, a file each:

| step | file |
|---|---|
| the model, with weights that take no memory | `build.py`, `weights.py` |
| one trace by torch.export, with opaque ops at transformers' own hooks | `trace.py`, `hooks/` |
| which layer a node is in | `layers.py` |
| each ATen op as ops of Keel's | `convert.py`, `ops/` |
| rope, routers, latent attention found by trying; what is merged or cancels taken out | `fuse/` |
| embeddings, forward and logits | `split.py` |
| of models that answer with vectors: the base model | `backbone.py` |
| what makes a vector of hidden states | `vectors.py` |
| sizes; plans for ranks and stages | `model_spec.py`, `plans.py` |
| renames of a checkpoint's tensors | `renames.py` |
| the graph's numbers held against the model's | `check.py`, `interpret.py` |
| the message of graph.proto, layers marked | `emit.py`, `marks.py` |
"""

from .graph import Refused

__all__ = ["Refused", "export_checkpoint", "export_model"]


def export_model(model, config=None):
    """The keel.proto.Graph of a model that `build_model` made; see `export.export`, which says more
    about it."""
    from .emit import emit
    from .export import export

    return emit(export(model).graph)


def export_checkpoint(*args, **kwargs):
    """See `checkpoint.export_checkpoint`."""
    from .checkpoint import export_checkpoint

    return export_checkpoint(*args, **kwargs)
