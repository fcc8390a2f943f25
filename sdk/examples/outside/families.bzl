"""The families of this folder, by the language that they are written in."""

C = ["gpt2"]

CC = [
    "falcon",
    "granite",
    "lfm2",
    "olmo2",
    "phimoe",
]

RUST = ["phi"]

OUTSIDE = C + CC + RUST
