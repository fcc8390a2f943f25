"""The model families that Keel ships, the only list of them: a new one is a folder and a word here.

Builds, tests, goldens and the README's check read it. (Python reads it too: keep it one list.)
"""

FAMILIES = [
    "bamba",
    "bert",
    "bloom",
    "deepseek_v3",
    "gemma3",
    "gpt_oss",
    "llama",
    "mamba",
    "mamba2",
    "mistral",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "recurrent_gemma",
]
