"""Models that answer with vectors: the part of them that is a graph's `forward`."""

import torch

from .graph import Refused

CLASSIFIER = "ForSequenceClassification"
UNASKED = (
    "ForMaskedLM",
    "ForPreTraining",
)  # heads of a model's training, which nobody asks for vectors
PREFIX = "model"  # of a base model whose class says none
TOKEN_TYPES = "token_type_ids"


def answers_with_vectors(model: torch.nn.Module) -> bool:
    """Whether the class is no language model: it gives hidden states, or numbers for the labels of
    a text."""
    if type(model).__name__.endswith((CLASSIFIER, *UNASKED)):
        return True
    return base_of(model) is model and model.get_output_embeddings() is None


def prefix_of(model: torch.nn.Module) -> str:
    """What the names of a base model's weights begin with in a checkpoint that has a head."""
    return model.base_model_prefix or PREFIX


def base_of(model: torch.nn.Module) -> torch.nn.Module:
    """The base model in it, or itself."""
    return getattr(model, prefix_of(model), model)


class Backbone(torch.nn.Module):
    """The base model of `model`, with the names that its weights have beneath a head, and the
    classifier beside it.

    A head of another kind is left out: what it makes of hidden states is no vector.
    """

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.config, self.base_model_prefix = model.config, prefix_of(model)
        self.all_tied_weights_keys: dict[str, str] = {}
        if type(model).__name__.endswith(CLASSIFIER):
            for name, child in model.named_children():
                setattr(self, name, child)
        setattr(self, self.base_model_prefix, base_of(model))

    @property
    def base(self) -> torch.nn.Module:
        return getattr(self, self.base_model_prefix)

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.base.get_input_embeddings()

    def get_output_embeddings(self) -> None:
        return None

    def num_token_types(self) -> int:
        """How many kinds of tokens it tells apart by an input of their own; 0: it has none."""
        return getattr(self.config.get_text_config(), "type_vocab_size", None) or 0


def refuse_other_heads(model: torch.nn.Module) -> None:
    """Heads that answer for each token, with a span, a choice ..."""
    name = type(model).__name__
    if (
        model.get_output_embeddings() is None
        and base_of(model) is not model
        and not answers_with_vectors(model)
    ):
        raise Refused(
            f"{name} has a head that is not served, expected a causal language model, a base "
            "model, or a class whose name "
            f"ends in {CLASSIFIER} or {' or '.join(UNASKED)}"
        )
