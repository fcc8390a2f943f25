"""How a model is divided over ranks and stages: the plans of its configuration class, as far as
they say something here."""

import re

from .graph import Declaration, Function

# docs/parallel.md: "What a plan means"; those about gradients say nothing here.
STYLES = {
    "colwise", "local_colwise", "colwise_gather_output", "colwise_rep", "packed_colwise",
    "local_packed_colwise", "rowwise", "local_rowwise", "rowwise_split_input", "rowwise_rep",
    "packed_rowwise", "local_packed_rowwise", "embedding_rowwise", "embedding_colwise", "replicate",
    "mla_kv_a_proj", "moe_tp_experts", "gather", "local", "local_params", "all_reduce",
    "moe_identity_expert", "ep_router", "grouped_gemm", "ep_dispatch_experts",
}  # fmt: skip
# What a pipeline's children have besides what others before them give.
HOST_INPUTS = {"input_ids", "attention_mask", "position_ids", "position_embeddings",
               "cache_position", "past_key_values", "token_type_ids"}  # fmt: skip
MATRICES = {
    "gate_up_proj",
    "up_proj",
    "down_proj",
}  # of a mixture of experts, which is one declaration


def plans(model, declarations: list[Declaration], forward: Function, layers: str | None) -> dict:
    """`tp_plan`, `ep_plan` and `pp_plan` of a spec. Rules that match nothing here are left out.

    `layers` is the name of the list of layers; None: a pipeline cannot be cut at them.
    """
    config, prefix = model.config.get_text_config(), model.base_model_prefix
    names = {_pattern(d.name, prefix): d for d in declarations}
    own = {k: v for k, v in (getattr(type(model), "_tp_plan", None) or {}).items()}
    out = {}
    for field, said in (("tp_plan", (getattr(config, "base_model_tp_plan", None) or {}) | own),
                        ("ep_plan", getattr(config, "base_model_ep_plan",
                        None) or {})):  # fmt: skip
        said = _of_parts(said, declarations)
        rules = [
            (pattern, style)
            for pattern, style in said.items()
            if style in STYLES and _matches(pattern, names)
        ]
        if rules and field == "tp_plan" and all(pattern == "lm_head" for pattern, _ in rules):
            rules = []
        out[field] = rules
    run = {
        _pattern(n.object.name, prefix)
        for n in forward.nodes()
        if n.object is not None and n.object.tensors
    }
    out["pp_plan"] = (
        [] if layers is None else _pipeline(config, names, run, layers.removeprefix(f"{prefix}."))
    )
    return out


def _of_parts(said: dict[str, str], declarations: list[Declaration]) -> dict[str, str]:
    """Rules of a matrix that is taken apart (fuse/merged.py) are those of its parts, which a rank
    can have a share of."""
    parts: dict[str, list[str]] = {}
    for d in declarations:
        if d.kind == "linear" and "layout" in d.fields:
            whole = _pattern(d.tensors["weight"].removesuffix(".weight"), "")
            parts.setdefault(whole, []).append(_pattern(d.name, ""))
    out, taken = {}, False
    for pattern, style in said.items():
        whole = next((w for w in parts if w.endswith(f".{pattern}")), None)
        if whole is None:
            out[pattern] = style
            continue
        taken = True
        prefix = whole.removesuffix(pattern)
        out |= {part.removeprefix(prefix): "colwise" for part in sorted(set(parts[whole]))}
    split = {"rowwise_split_input": "rowwise", "rowwise_rep": "rowwise"}
    return {pattern: split.get(style, style) if taken else style for pattern, style in out.items()}


def _pipeline(
    config, names: dict[str, Declaration], run: set[str], layers: str
) -> list[tuple[str, list[str], list[str]]]:
    """The plan, if its children are those that are here, the layers are among them, and each gets
    what it takes.

    `run` has the names of what holds weights in forward.
    """
    said = getattr(config, "base_model_pp_plan", None) or {}
    children = [name for name in said if name == "embed_tokens" or _matches(name, names)]
    given = set(HOST_INPUTS)
    for name in children:
        if not given.issuperset(said[name][0]):
            return []
        given.update(said[name][1])
        # The model hands embeddings on as hidden states; a host does too (docs/parallel.md).
        if list(said[name][1]) == ["inputs_embeds"]:
            given.add("hidden_states")
    if layers not in children:
        return []
    if not all(any(f"{name}.".startswith(f"{child}.") for child in children) for name in run):
        return []  # a stage would not know that it has to run what is of no child
    return [(name, list(said[name][0]), list(said[name][1])) for name in children]


def _pattern(name: str, prefix: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name.removeprefix(f"{prefix}."))


def _matches(pattern: str, names: dict[str, Declaration]) -> bool:
    if pattern == "lm_head" or pattern in names:
        return True
    module, _, matrix = pattern.rpartition(".")
    if matrix in MATRICES and module in names and names[module].kind == "moe":
        return True
    return any(name.startswith(f"{pattern}.") for name in names)
