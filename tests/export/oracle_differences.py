"""Where a family's plugin and the export of transformers' class differ, by the beginning of what
compare_graphs says.

Each is another way to compute the same numbers, or something that one of them does not state.
"""

# Families that are not compared, and why.
APART = {
    "qwen3_vl": "its text gets rows of images between layers, as no model for text alone does",
}

# Text models of families that see which transformers knows inside of them alone, and the model that
# they are where text has no images in it.
PLAIN = {"glm4v_text": "glm4", "qwen2_5_vl_text": "qwen2", "qwen2_vl_text": "qwen2"}

# A configuration class of transformers that states no plan: the plugin's is Keel's own.
_OWN_TP = {
    "tp_plan: [] and ": "the class states no plan for its tensors, the plugin one of Keel's own"
}
_OWN_PP = {
    "pp_plan: [] and ": "the class states no plan for a pipeline, the plugin one of Keel's own"
}


# An export is of text, where the three axes of a position are the same.
def _axes(rope: str) -> dict[str, str]:
    return {f"forward: {rope}: sections is [] and ": "positions of one axis, the plugin's of three"}


DIFFERENCES = {
    "bamba": _OWN_TP | _OWN_PP,
    "bert": _OWN_TP,
    "bloom": _OWN_TP | _OWN_PP,
    "deepseek_v3": {
        "tp_plan: [] and [('layers.*.self_attn.": "the class leaves latent attention whole",
    },
    "glm4v": _axes("rope.2"),
    "mamba": _OWN_TP | _OWN_PP,
    "mamba2": _OWN_PP,
    "qwen2_5_vl": _axes("rope.1"),
    "qwen2_vl": _axes("rope.1"),
    "recurrent_gemma": _OWN_PP,
}
