"""Classes that AutoModelForCausalLM knows and that are no causal decoders by themselves, with the
reason of each.

The count of coverage.tsv leaves them out. Their text models, where they have one with a class of
its own, are counted.
"""

_ENCODER_DECODER = "the decoder of an encoder-decoder"
_MULTIMODAL = "text with images or sound; its text model counts by itself"
_AUDIO = "tokens of an audio codec"
_ASSISTANT = "drafts for another model, whose keys and values it reads"

APART = {
    **dict.fromkeys(
        (
            "BartForCausalLM",
            "BigBirdPegasusForCausalLM",
            "BlenderbotForCausalLM",
            "BlenderbotSmallForCausalLM",
            "MarianForCausalLM",
            "MBartForCausalLM",
            "MvpForCausalLM",
            "PegasusForCausalLM",
            "PLBartForCausalLM",
            "ProphetNetForCausalLM",
            "TrOCRForCausalLM",
            "WhisperForCausalLM",
        ),
        _ENCODER_DECODER,
    ),
    **dict.fromkeys(
        (
            "FuyuForCausalLM",
            "Gemma3ForConditionalGeneration",
            "Gemma3nForConditionalGeneration",
            "Gemma4ForConditionalGeneration",
            "Gemma4UnifiedForConditionalGeneration",
            "GitForCausalLM",
            "GotOcr2ForConditionalGeneration",
            "MossTranscribeDiarizeForConditionalGeneration",
        ),
        _MULTIMODAL,
    ),
    **dict.fromkeys(
        ("MoshiForCausalLM", "MusicgenForCausalLM", "MusicgenMelodyForCausalLM"), _AUDIO
    ),
    **dict.fromkeys(
        ("Gemma4AssistantForCausalLM", "Gemma4UnifiedAssistantForCausalLM"), _ASSISTANT
    ),
}
