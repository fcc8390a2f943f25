"""What a graph file states about its model besides the graph: the fields of
core/config/model_spec.proto."""

from .graph import Declaration
from .layers import Numbering
from .plans import plans
from .renames import renames
from .split import Parts


def model_spec(
    model, parts: Parts, declarations: list[Declaration], layers: str, numbering: Numbering
) -> dict:
    config = model.config.get_text_config()
    fields = {
        "architecture": type(model).__name__,
        "model_type": model.config.model_type,
        "num_layers": numbering.count,
        "hidden_size": parts.forward.output.dims[1],
        "vocab_size": _vocabulary(model, parts),
        "max_positions": int(getattr(config, "max_position_embeddings", None) or 0),
        "tie_word_embeddings": parts.tied,
        "embed_scale": parts.embed_scale,
        "logit_scale": parts.logit_scale,
        "logit_softcap": parts.logit_softcap,
        "base_model_prefix": model.base_model_prefix,
        "embed_tokens": parts.embed_tokens,
        "lm_head": parts.lm_head,
        "inputs": [v.name for v in parts.extras],
        "renames": renames(model, declarations, parts),
    }
    return fields | plans(model, declarations, parts.forward, None if numbering.counted else layers)


def _vocabulary(model, parts: Parts) -> int:
    return (model.get_output_embeddings() or model.get_input_embeddings()).weight.shape[0]
