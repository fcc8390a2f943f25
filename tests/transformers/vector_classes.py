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
            "Qwen3_5ForSequenceClassification",
            "TapasForSequenceClassification",
            "TapasModel",
            "UltraVBertForSequenceClassification",
            "UltraVBertModel",
        ),
        "reads images, places on a page, or tables besides the text",
    ),
}

def _both(name: str, reason: str) -> dict[str, str]:
    """Of a base model and its classifier."""
    return {f"{name}ForSequenceClassification": reason, f"{name}Model": reason}


REASONS = {
    **_both("ConvBert", "convolutions over the tokens on both sides, by kernels that it computes"),
    **_both("FNet", "mixes the tokens by a Fourier transform of the text, not by attention"),
    **_both(
        "Longformer", "chosen tokens attend to all others, by weights of their own, beside a window"
    ),
    **_both("MobileBert", "joins the embeddings of a token and of those beside it"),
    **_both(
        "Mra", "its attention is a kernel of CUDA, in whose place the class gives zeros elsewhere"
    ),
    **_both(
        "Nystromformer", "attends by means of parts of the text, and a convolution over its tokens"
    ),
    **_both("Reformer", "attends to the keys that hash alike"),
    **_both("Yoso", "weighs keys by how likely they hash alike, not by softmax"),
    "AXK2ForSequenceClassification": (
        "attends to the keys that an index of its own chooses (sparse attention)"
    ),
    "CanineForSequenceClassification": "reads characters, and makes one token of several",
    "EuroBertForSequenceClassification": (
        "its classifier is run on each token, and the mean is of what it says "
        "(classifier_pooling late); exported where that is mean"
    ),
    "FunnelForSequenceClassification": "makes one token of several, layer by layer",
    "XLNetForSequenceClassification": (
        "adds to scores what it computes of queries and distances, of which none is the farthest"
    ),
}


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
