"""The model families that Keel ships, the only list of them: a new one is a folder and a word here.

Builds, tests, goldens and the README's check read it. (Python reads it too: keep it lists of names.)
"""

FAMILIES = [
    "bamba",
    "bert",
    "bloom",
    "deepseek_v3",
    "gemma3",
    "glm4v",
    "gpt_oss",
    "idefics3",
    "internvl",
    "llama",
    "llava",
    "llava_next",
    "llava_onevision",
    "mamba",
    "mamba2",
    "mistral",
    "mistral3",
    "paligemma",
    "phi3",
    "qwen2",
    "qwen2_5_vl",
    "qwen2_audio",
    "qwen2_vl",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "qwen3_vl",
    "recurrent_gemma",
    "voxtral",
]

# Of them, those that see: with a processor, and goldens of chats with images.
FAMILIES_THAT_SEE = [
    "gemma3",
    "glm4v",
    "idefics3",
    "internvl",
    "llava",
    "llava_next",
    "llava_onevision",
    "mistral3",
    "paligemma",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_vl",
]

# Of them, those that hear: with a processor, and goldens of chats with sounds.
FAMILIES_THAT_HEAR = [
    "qwen2_audio",
    "voxtral",
]
