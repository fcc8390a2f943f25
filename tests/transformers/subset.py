"""The classes that every run of the tests exports: kinds of attention, experts, recurrences, norms,
positions.

Others whose graphs equal those of plugins are in tests/export/oracle_test.py.
"""

SUBSET = (
    "BloomForCausalLM",  # attention of its own, alibi
    "CohereForCausalLM",  # parallel blocks, rope in f32 by pairs, a scale of logits
    "DeepseekV3ForCausalLM",  # latent attention, experts in groups
    "GPT2LMHeadModel",  # positions by an embedding, transposed matrices
    "GptOssForCausalLM",  # sinks, experts with a bias
    "JambaForCausalLM",  # Mamba beside attention
    "JetMoeForCausalLM",  # projections of an attention's queries by experts
    "Llama4ForCausalLM",  # ropes of complex numbers, scales of far queries, experts of its own
    "LongcatFlashForCausalLM",  # two attentions in a layer, experts that give back what they get
    "NemotronHForCausalLM",  # Mamba-2, experts without a gate
    "PhiForCausalLM",  # a part of each head turned, biases
    "Qwen3NextForCausalLM",  # the gated delta rule
    "RemBertForCausalLM",  # a head that is wider than the embedding
    "xLSTMForCausalLM",  # a memory of matrices
    # Models that answer with vectors.
    "BertModel",  # hidden states, two kinds of tokens
    "DebertaV2Model",  # biases that queries and keys have by their distance
    "ElectraForSequenceClassification",  # embeddings narrower than hidden states
    "LlamaForSequenceClassification",  # a causal classifier
    "ModernBertForSequenceClassification",  # windows on both sides
    "MPNetModel",  # a bias of each head by the distance
    "JetMoeForSequenceClassification",  # a causal classifier whose rounding once looked like sight
    "RobertaForSequenceClassification",  # positions that begin behind the padding's
)
