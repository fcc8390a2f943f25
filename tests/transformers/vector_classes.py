"""Classes of transformers that answer with vectors: which there are, which of them are apart, and
why some are not equal."""

from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

APART = {
    **dict.fromkeys(
        (
            "BartForSequenceClassification",
            "BartModel",
            "BigBirdPegasusForSequenceClassification",
            "MBartForSequenceClassification",
            "MBartModel",
            "MT5ForSequenceClassification",
            "MvpForSequenceClassification",
            "MvpModel",
            "PLBartForSequenceClassification",
            "T5ForSequenceClassification",
            "T5Gemma2ForSequenceClassification",
            "T5GemmaForSequenceClassification",
            "UMT5ForSequenceClassification",
        ),
        "an encoder-decoder",
    ),
    **dict.fromkeys(
        (
            "Gemma3ForSequenceClassification",
            "LayoutLMForSequenceClassification",
            "LayoutLMModel",
            "LayoutLMv2ForSequenceClassification",
            "LayoutLMv3ForSequenceClassification",
            "LiltForSequenceClassification",
            "MarkupLMForSequenceClassification",
            "ModernVBertForSequenceClassification",
            "ModernVBertModel",
            "NeoMMEModel",
            "PerceiverForSequenceClassification",
            "PerceiverModel",
            "TapasForSequenceClassification",
            "TapasModel",
            "UltraVBertForSequenceClassification",
            "UltraVBertModel",
        ),
        "reads images, places on a page, or tables besides the text",
    ),
}

REASONS: dict[str, str] = {}


def classes() -> list[str]:
    """Every class that AutoModelForSequenceClassification knows, and the base models of
    AutoModelForMaskedLM's, by name."""
    bases = (MODEL_MAPPING_NAMES.get(kind) for kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    names = {
        name
        for name in (*bases, *MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values())
        if isinstance(name, str)
    }
    return sorted(names, key=str.lower)
