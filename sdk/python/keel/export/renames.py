"""From the names in a checkpoint to those that the graph declares, as rules of
core/config/model_spec.proto.

Two sources: transformers' own conversion mapping (what `from_pretrained` does to a checkpoint of
this model), and what the declarations ask for: GPT-2's transposed matrices, experts that a
checkpoint keeps in one tensor.
"""

import re

from .backbone import prefix_of
from .graph import Declaration
from .split import Parts


def renames(model, declarations: list[Declaration], parts: Parts) -> list[dict]:
    """Rules in the order of their passes."""
    rules, experts = _of_transformers(model)
    rules += [rule for d in declarations for rule in _of_weight(d)]
    rules += _of_merged(declarations) + _of_embedding(model, parts)
    for d in (d for d in declarations if d.kind == "moe"):
        rules += _of_experts(d, experts)
        rules += _of_score_bias(d)
    if parts.head is not None and parts.head.name == "pool":
        rules += _of_unasked(model, declarations, parts)
    return list({repr(rule): rule for rule in rules}.values())


def _of_unasked(model, declarations: list[Declaration], parts: Parts) -> list[dict]:
    """Leaves out the parts of which a model of vectors needs nothing: a pooler, a head that it was
    trained with."""
    prefix = f"{prefix_of(model)}."
    used = {name.removeprefix(prefix) for d in declarations for name in d.tensors.values()}
    used.add(f"{parts.embed_tokens}.weight".removeprefix(prefix))
    unasked: dict[str, None] = {}
    kept: dict[str, None] = {}  # buffers in the checkpoint that nothing needs
    for name, _ in model.named_parameters():
        words = name.removeprefix(prefix).split(".")
        outer = (".".join(words[:i]) for i in range(1, len(words)))
        part = next((p for p in outer if not any(u.startswith(f"{p}.") for u in used)), None)
        if part is not None:
            unasked[part] = None
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name in (n.removeprefix(prefix) for n in model.state_dict() if n not in known):
        if name not in used and not any(name.startswith(f"{part}.") for part in unasked):
            kept[_any_layer(re.escape(name))] = None
    ignored = [*(rf"{re.escape(part)}\..*" for part in unasked), *kept]
    return [rule("IGNORE", [rf"({re.escape(prefix)})?{name}"], []) for name in ignored]


def _of_score_bias(d: Declaration) -> list[dict]:
    """A router's bias, from wherever it is, to its experts."""
    if "score_bias" not in d.tensors:
        return []
    source, target = d.tensors["score_bias"], f"{d.name}.{d.fields['score_bias']}"
    number = r"(?<=\.)\d+(?=\.)"
    layers = re.findall(number, source)
    if source == target or len(layers) != 1 or layers != re.findall(number, target):
        return []
    pattern = re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"(\\d+)", re.escape(source))
    return [rule("RENAME", [pattern], [re.sub(number, r"\\1", target)])]


def rule(op: str, sources: list[str], targets: list[str], **more) -> dict:
    return {"op": op, "from": sources, "to": targets, **more}


def _of_weight(d: Declaration) -> list[dict]:
    """Its weight's name is that of the declaration and ".weight", and its rows are outputs."""
    source = d.tensors.get("weight")
    if source is None or "layout" in d.fields:
        return []
    if d.tied_to is not None:
        bias = d.tensors.get("bias", f"{d.name}.bias")
        return (
            []
            if bias == f"{d.name}.bias"
            else [rule("RENAME", [re.escape(bias)], [f"{d.name}.bias"])]
        )
    op = "TRANSPOSE" if "transposed" in d.tensors else "RENAME"
    if op == "RENAME" and source == f"{d.name}.weight":
        return []
    ending = "" if source == f"{d.name}.weight" else ".weight"
    return [rule(op, [f"({_any_layer(re.escape(source))})"], [rf"\1{ending}"])]


def _of_merged(declarations: list[Declaration]) -> list[dict]:
    """Of matrices that are taken apart by rows (fuse/merged.py)."""
    whole: dict[str, list[Declaration]] = {}
    for d in declarations:
        if d.kind == "linear" and "layout" in d.fields:
            whole.setdefault(d.tensors["weight"].removesuffix(".weight"), []).append(d)
    out = []
    for name, parts in whole.items():
        parts.sort(key=lambda d: d.fields["layout"]["start"])
        path, _, own = name.rpartition(".")
        source = rf"({_any_layer(re.escape(path))})\.{own}\.(weight|bias)"
        targets = [rf"\1.{d.name.rpartition('.')[2]}.\2" for d in parts]
        if "period" in parts[0].fields["layout"]:
            out.append(
                rule(
                    "CHUNK_HEADS",
                    [source],
                    targets,
                    sizes=[d.fields["layout"]["length"] for d in parts],
                )
            )
        else:
            out.append(
                rule("SPLIT", [source], targets, dim=0, sizes=[d.fields["out"] for d in parts])
            )
    return out


def _of_embedding(model, parts: Parts) -> list[dict]:
    """Leaves out the rows behind the vocabulary, which are of no token of a text."""
    tables = model.get_input_embeddings(), model.get_output_embeddings()
    rows, vocabulary = (None if table is None else table.weight.shape[0] for table in tables)
    if vocabulary is None or rows <= vocabulary:
        return []
    source = rf"({re.escape(parts.embed_tokens)})\.weight"
    return [
        rule(
            "SPLIT",
            [source],
            [r"\1.weight", r"\1.more.weight"],
            dim=0,
            sizes=[vocabulary, rows - vocabulary],
        )
    ]


def _any_layer(pattern: str) -> str:
    return re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"\\d+", pattern)


# ---- experts


def _of_experts(d: Declaration, stored: dict[str, list[str]]) -> list[dict]:
    """Sets the names of an expert's matrices; rules that take them out of what holds them all,
    where a checkpoint does so."""
    first = ("gate", "up") if d.fields["gate"] else ("up",)
    for matrix, parts in (("gate_up", first), ("down", ("down",))):
        sources = stored.get(d.tensors[matrix].rpartition(".")[2])
        if sources is None or len(sources) != len(parts):
            return _of_stacked(d)
        for part, source in zip(parts, sources, strict=True):
            d.fields[part] = source
    return []


def _of_stacked(d: Declaration) -> list[dict]:
    """[E, 2 I, H] or, transposed, [E, H, 2 I], gate and up behind one another or in turn."""
    layout = d.fields["layout"]
    prefix = _any_layer(re.escape(d.name))
    stacked = [d.tensors[key].removeprefix(f"{d.name}.") for key in ("gate_up", "down")]
    out = []
    if any("." in name for name in stacked):  # each in a module of its own
        named = ["gate_up_proj" if layout["gated"] else "up_proj", "down_proj"]
        out += [
            rule("RENAME", [rf"({prefix})\.{re.escape(s)}"], [rf"\1.{n}"])
            for s, n in zip(stacked, named)
        ]
        stacked = named
    out += [
        rule(
            "TRANSPOSE" if layout["transposed"] else "RENAME",
            [rf"({prefix}\.(?:{'|'.join(stacked)}))"],
            [r"\1.weight"],
        )
    ]
    if d.fields["bias"]:
        biases = [d.tensors[key].rpartition(".")[2] for key in ("gate_up_bias", "down_bias")]
        for matrix, bias in zip(stacked, biases, strict=True):
            out.append(rule("RENAME", [rf"({prefix})\.{bias}"], [rf"\1.{matrix}.bias"]))
    if layout["gated"]:
        op = "SPLIT" if layout["concatenated"] else "INTERLEAVE"
        targets = [r"\1.gate_proj.\2", r"\1.up_proj.\2"]
        out.append(rule(op, [rf"({prefix})\.{stacked[0]}\.(weight|bias)"], targets, dim=1))
    out.append(rule("UNSTACK", [rf"({prefix})\.(\w+_proj\.(?:weight|bias))"], [r"\1.{e}.\2"]))
    return out


# ---- transformers' conversion mapping


def _of_transformers(model) -> tuple[list[dict], dict[str, list[str]]]:
    """Rules, and by the tensor that holds all experts the names of each expert's matrices:
    "{e}.gate_proj"."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import MergeModulelist, WeightConverter, WeightRenaming

    rules, experts = [], {}
    for transform in get_model_conversion_mapping(model, add_legacy=False):
        if isinstance(transform, WeightConverter):
            if any(isinstance(op, MergeModulelist) for op in transform.operations):
                target = transform.target_patterns[0].rpartition(".")[2]
                experts[target] = [_of_one_expert(source) for source in transform.source_patterns]
            else:
                rules += _converter(transform)
        elif type(transform) is WeightRenaming:  # not those that swap names or count on
            rules += _renaming(transform)
    return rules, experts


def _of_one_expert(pattern: str) -> str:
    """mlp.experts.*.gate_proj.weight -> {e}.gate_proj"""
    return "{e}." + pattern.partition("*.")[2].removesuffix(".weight").replace("\\", "")


def _renaming(transform) -> list[dict]:
    out = []
    for source, target in zip(transform.source_patterns, transform.target_patterns):
        found = _whole(source, target, transform.scope_prefix)
        if found is not None:
            out.append(rule("RENAME", [found[0]], [found[1]]))
    return out


def _converter(transform) -> list[dict]:
    """One operation that Keel has as well; others are left to a checkpoint that transformers has
    saved."""
    from transformers.core_model_loading import Chunk, Concatenate, Transpose

    names = {Chunk: "SPLIT", Concatenate: "CONCATENATE", Transpose: "TRANSPOSE"}
    if len(transform.operations) != 1 or type(transform.operations[0]) not in names:
        return []
    op = transform.operations[0]
    pairs = [
        _whole(s, t, transform.scope_prefix)
        for s in transform.source_patterns
        for t in transform.target_patterns
    ]
    if None in pairs:
        return []
    sources, targets = (list(dict.fromkeys(p[i] for p in pairs)) for i in (0, 1))
    return [
        rule(
            names[type(op)],
            sources,
            targets,
            **({} if isinstance(op, Transpose) else {"dim": op.dim}),
        )
    ]


def _whole(source: str, target: str, scope: str | None = None) -> tuple[str, str] | None:
    """A pattern that is searched for (in names of the part `scope`) and its replacement, as a
    pattern of a whole name.

    None: RE2 cannot say it. A pattern that ends in a word ends where the word does, as in
    transformers.
    """
    if "(?" in source or "(?" in target:
        return None
    start = rf"(.*?\b{re.escape(scope)}\..*?)" if scope else "(.*?)"
    start, source = (
        ("", source[1:]) if source.startswith("^") and not scope else (start, source.lstrip("^"))
    )
    end, source = ("", source[:-1]) if source.endswith("$") else ("(.*)", source)
    end = r"((?:\W.*)?)" if end and re.search(r"[a-zA-Z0-9]$", source) else end
    shift, groups = bool(start), re.compile(source.replace("*.", r".*\.")).groups
    target = re.sub(
        r"\\(\d)", lambda m: f"\\{int(m.group(1)) + shift}", target.replace(r"\.", ".").lstrip("^")
    )
    last = groups + shift + 1
    pattern = f"{start}{source}{end}"
    return pattern, (r"\1" if start else "") + target + (rf"\{last}" if end else "")
