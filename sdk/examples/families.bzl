"""The families among the examples: those that have goldens."""

FAMILIES_OUTSIDE = [
    "falcon",
    "gpt2",
    "granite",
    "lfm2",
    "olmo2",
    "phi",
    "phimoe",
    "rwkv",
]
