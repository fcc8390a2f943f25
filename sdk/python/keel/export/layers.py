"""Where a model's layers are: the list of modules that a pipeline is cut at."""

import re

import torch

from .graph import Refused


def find_layers(model: torch.nn.Module) -> str:
    """The name of the longest list of modules, of those on top: "model.layers"."""
    lists = {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and not re.search(r"\.\d+(\.|$)", name)
    }
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    fitting = [name for name, length in lists.items() if length == count]
    if not fitting and not lists:
        raise Refused("it has no list of layers")
    return fitting[0] if fitting else max(lists, key=lists.get)
