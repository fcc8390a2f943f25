"""Where a family's plugin and the export of transformers' class differ, by the beginning of what compare_graphs says.

Each is another way to compute the same numbers, or something that one of them does not state.
"""

# Families that are not compared, and why.
APART: dict[str, str] = {}

# Families whose differences nobody has looked at; name them to see what they are:
# ./bazelw test //tests/export:oracle_test --test_arg=mamba2 --test_output=all
OPEN = ("bamba", "bloom", "deepseek_v3", "mamba", "mamba2", "qwen3_next", "recurrent_gemma")

DIFFERENCES = {
    "bert": {"tp_plan": "the plugin states a plan, the class does not"},
    "gpt_oss": {"ep_plan": "the plugin states no plan for expert parallelism, the class does"},
}
