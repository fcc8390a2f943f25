"""Makes a model of transformers from its configuration, with weights that cost nothing."""

import torch
import transformers

from . import weights
from .graph import Refused


def build_model(
    config: transformers.PretrainedConfig, model_class: type | None = None
) -> torch.nn.Module:
    """The model of `config`, or of `model_class`, in eval mode; its weights are random
    (weights.py)."""
    cls = model_class or class_of(config)
    config._attn_implementation = config._experts_implementation = "eager"
    config.get_text_config().use_cache = False  # not all take it as an argument
    try:
        with weights.unfilled():
            model = cls(config)
    except Exception as error:
        raise Refused(
            f"{cls.__name__} cannot be made from its config: {type(error).__name__}: {error}"
        ) from error
    model.tie_weights()
    weights.fill(model, torch.float32)
    return model.eval()


def class_of(config: transformers.PretrainedConfig) -> type:
    """The class that config.json names first, of transformers' own."""
    names = config.architectures or []
    for name in names:
        if hasattr(transformers, name):
            return getattr(transformers, name)
    mapping = transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) in mapping:
        return mapping[type(config)]
    raise Refused(
        f"architectures is {names}, and transformers {transformers.__version__} has no such class"
    )
