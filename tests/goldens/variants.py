"""What a family's testdata/variants.py says: which configs the parity tests cover.

Each has VARIANTS, and each variant becomes a directory beside it.

A variant's sizes are chosen so that a confusion shows: no two of hidden size, heads x head_dim,
intermediate size and vocabulary are equal where a config allows it, and rms_norm_eps is large
enough to matter. `must_matter` lists config changes that have to move the logits; make.py refuses
to write a golden that one of them leaves alone.
"""

import dataclasses
import importlib.util
import pathlib
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "sdk/examples"  # those with goldens are families too


@dataclasses.dataclass(frozen=True)
class Sees:
    """How a model that sees is given images."""

    special: tuple[str, ...]  # tokens of its tokenizer beside the usual ones, from FIRST_SPECIAL on
    image: str  # what stands for an image in a prompt
    processor: typing.Callable  # transformers' processor of a tokenizer
    options: dict = dataclasses.field(default_factory=dict)  # of each call of it
    around: int = 0  # tokens that come with an image and are not its own
    video: str = ""  # what stands for a video; "": it takes none
    nested: bool = False  # whether it matters that the images of a chat are in a list of their own
    # Chats of make_multimodal.py that transformers itself does not take.
    not_taken: tuple[str, ...] = ()
    # The inputs of its tower as Keel's plugin has them, of what transformers' processor gives.
    pixels: typing.Callable[[dict], typing.Any] = lambda inputs: inputs["pixel_values"]
    video_pixels: typing.Callable[[dict], typing.Any] = lambda inputs: inputs[
        "pixel_values_videos"
    ]


@dataclasses.dataclass(frozen=True)
class Hears:
    """How a model that hears is given sounds."""

    special: tuple[str, ...]  # tokens of its tokenizer beside the usual ones, from FIRST_SPECIAL on
    template: str  # of chats
    processor: typing.Callable  # transformers' processor of a tokenizer
    inputs: typing.Callable  # of a processor, a text and its sounds: what the model takes
    features: typing.Callable  # of a model and its inputs: rows in the place of embeddings
    count: typing.Callable  # of a processor and a number of samples: tokens; -1: refused


@dataclasses.dataclass(frozen=True)
class Variant:
    """One checkpoint, testdata/<name>/ of a family."""

    name: str
    config: dict
    must_matter: tuple[dict, ...] = ()
    max_shard_size: str = "1GB"  # smaller: several files and model.safetensors.index.json
    # Turns the config.json that transformers writes into that of an older file.
    rewrite_config: typing.Callable[[dict], dict] | None = None
    servable: bool = False  # with a tokenizer and a chat template
    attention: str = "eager"  # transformers' implementation that is the reference
    prompt_lengths: tuple[int, ...] = (1, 7, 300)
    # Rope that grows with the text: the cache keeps keys as they were when the text was shorter, so
    # generate() may choose other tokens than one pass over the whole text.
    keys_stay: bool = False
    gains: dict[str, float] = dataclasses.field(default_factory=dict)  # over random_weights.py's
    model_type: str = ""  # transformers'; the family's folder unless it differs
    # Of a model that gives vectors, its class in transformers: goldens are vectors then
    # (make_vectors.py).
    vectors_of: str = ""
    # Parts of names of norms and biases that no logit hangs on: layers behind the one whose states
    # a tower gives, biases of keys without rope, which move all scores of a query alike.
    idle: tuple[str, ...] = ()
    sees: Sees | None = None  # then with a tokenizer and a processor (make_multimodal.py)
    hears: Hears | None = None  # likewise (make_hearing.py)


MEDIUM = dict(
    vocab_size=112,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    rms_norm_eps=1e-3,
    bos_token_id=0,
    eos_token_id=2,
)
SMALL = dict(MEDIUM, vocab_size=104, hidden_size=32, intermediate_size=48)

FIRST_SPECIAL = 128  # id of the first token that a tokenizer has beside the usual ones

DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}


def families() -> dict[str, pathlib.Path]:
    """The folder of each family: those of plugins/families.bzl, and those outside."""
    listed = {}
    exec((ROOT / "plugins/families.bzl").read_text(encoding="utf-8"), listed)
    return {name: ROOT / "plugins" / name for name in listed["FAMILIES"]} | {
        path.parent.parent.name: path.parent.parent
        for path in sorted(EXAMPLES.glob("*/testdata/variants.py"))
    }


def of_family(name: str) -> tuple[Variant, ...]:
    """The variants of a family, with its name as their model_type where they say none."""
    path = families()[name] / "testdata" / "variants.py"
    spec = importlib.util.spec_from_file_location(f"variants_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(
        dataclasses.replace(variant, model_type=variant.model_type or name)
        for variant in module.VARIANTS
    )
