"""Where a model's layers are, and which of them a node of its program is in: what a pipeline is cut
at."""

import re

import torch
from torch.fx import Node as FxNode

from .graph import Refused


def find_layers(model: torch.nn.Module) -> str:
    """The name of the longest list of modules, of those on top: "model.layers"."""
    lists = {name: len(module) for name, module in _lists(model).items()}
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    fitting = [name for name, length in lists.items() if length == count]
    if not fitting and not lists:
        raise Refused("it has no list of layers")
    return fitting[0] if fitting else max(lists, key=lists.get)


def _lists(model: torch.nn.Module) -> dict[str, torch.nn.ModuleList]:
    return {name: module for name, module in model.named_modules()
            if isinstance(module, torch.nn.ModuleList) and not re.search(r"\.\d+(\.|$)",
            name)}  # fmt: skip


class Numbering:
    """The layer of each node, as an engine counts: each with keys and values of its own.

    Mostly those of the list. Where the program runs a module of it several times, or those of
    several lists, or a layer has several attentions, layers are counted as they are run
    (`counted`): one begins where another module of the lists is run, and within it where another
    attention begins.
    """

    def __init__(self, program: torch.export.ExportedProgram, model: torch.nn.Module, layers: str):
        kinds = {type(module) for module in model.get_submodule(layers)}
        lists = [
            name
            for name, modules in _lists(model).items()
            if any(type(m) in kinds for m in modules)
        ]
        self._place = re.compile(rf"model\.(?:{'|'.join(map(re.escape, lists))})\.(\d+)(?=\.|$)")
        runs = self._runs(program)
        places = [place for place, _ in runs]
        several = [len(_attentions(nodes)) > 1 for nodes in runs.values()]
        self.counted = (
            len({*places}) < len(places)
            or len({p.rpartition(".")[0] for p in places}) > 1
            or any(several)
        )
        if self.counted:
            self._nodes, self.count = _as_run(runs, model)
        else:
            self._nodes = {
                n: int(place.rpartition(".")[2])
                for (place, _), nodes in runs.items()
                for n in nodes
            }
            self.count = len(model.get_submodule(layers))

    def of(self, node: FxNode) -> int | None:
        return self._nodes.get(node)

    def _runs(self, program: torch.export.ExportedProgram) -> dict[tuple[str, str], list[FxNode]]:
        """The nodes of each time that a module of the lists is run, in order, by (its path, which
        time)."""
        runs: dict[tuple[str, str], list[FxNode]] = {}
        for node in program.graph.nodes:
            if node.op == "call_function":
                for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
                    found = self._place.match(path)
                    if found is not None:
                        place = found.group()
                        runs.setdefault((place, key if path == place else ""), []).append(node)
                        break
        return runs


def _as_run(
    runs: dict[tuple[str, str], list[FxNode]], model: torch.nn.Module
) -> tuple[dict[FxNode, int], int]:
    """By node its layer, and how many there are."""
    numbers, number = {}, -1
    for (place, _), nodes in runs.items():
        number += 1
        parts, last = _attentions(nodes), None
        for node in nodes:
            part = _layer_idx(node, model, place, parts) if len(parts) > 1 else None
            if part is not None:
                number += last is not None and part != last
                last = part
            numbers[node] = number
    return numbers, number + 1


def _attentions(nodes: list[FxNode]) -> set[int]:
    """Whose keys and values their attentions use, by what the modules say."""
    return {node.args[5] for node in nodes if node.target is torch.ops.keel.attention.default}


def _layer_idx(node: FxNode, model: torch.nn.Module, place: str, parts: set[int]) -> int | None:
    """Which of `parts` the node is in, if it is in a module of one inside the layer."""
    for path, _ in reversed(node.meta["nn_module_stack"].values()):
        inside = path.startswith(f"{place}.")
        own = (
            getattr(model.get_submodule(path.removeprefix("model.")), "layer_idx", None)
            if inside
            else None
        )
        if own in parts:
            return own
    return None
