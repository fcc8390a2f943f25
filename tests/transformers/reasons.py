"""Why a class is not equal, for readers: in place of what the exporter says of it, which is about
the first op it meets."""

_SPARSE = "attends to the keys that an index of its own chooses (sparse attention)"
_BIAS = "adds to the scores of its attention what it computes from the queries"

REASONS = {
    **dict.fromkeys(
        (
            "AXK2ForCausalLM",
            "DeepseekV32ForCausalLM",
            "DeepseekV4ForCausalLM",
            "Dots3NoteForCausalLM",
            "GlmMoeDsaForCausalLM",
            "HYV4ForCausalLM",
            "Qwen4ExpForCausalLM",
        ),
        _SPARSE,
    ),
    **dict.fromkeys(("Inkling2ForCausalLM", "InklingForCausalLM"), _BIAS),
    "BltForCausalLM": "reads bytes in patches that a second model cuts",
    "CpmAntForCausalLM": (
        "no token of a text is hidden from those before it, and learned vectors come before the "
        "text"
    ),
    "ReformerModelWithLMHead": "attends to the keys that hash alike",
    "RwkvForCausalLM": "a recurrence (WKV) that no op of Keel's is",
    "XLNetLMHeadModel": "no token of a text is hidden from those before it",
}
