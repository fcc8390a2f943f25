"""Where a family's plugin and the export of transformers' class differ, by the beginning of what compare_graphs says.

Each is either of the two ways to compute the same numbers, or something that one of them does not state.
"""

# Families that are not compared, and why.
APART = {
    "bert": "an encoder with a pooling, which the exporter of decoders does not split off",
}

DIFFERENCES = {
    "gpt_oss": {"ep_plan": "the plugin states no plan for expert parallelism, the class does"},
}
