"""The classes that every run of the tests exports: kinds of attention, experts, recurrences, norms, positions."""

SUBSET = (
    "BloomForCausalLM",  # attention of its own, alibi
    "CohereForCausalLM",  # parallel blocks, rope in f32 by pairs, a scale of logits
    "DeepseekV3ForCausalLM",  # latent attention, experts in groups
    "Gemma3ForCausalLM",  # windows, two ropes, norms with an offset
    "GPT2LMHeadModel",  # positions by an embedding, transposed matrices
    "GptOssForCausalLM",  # sinks, experts with a bias
    "JambaForCausalLM",  # Mamba beside attention
    "LlamaForCausalLM",
    "Mamba2ForCausalLM",  # no attention
    "PhiForCausalLM",  # a part of each head turned, biases
    "Qwen3MoeForCausalLM",  # experts
    "Qwen3NextForCausalLM",  # the gated delta rule
)
