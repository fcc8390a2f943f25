"""Writes the tiny checkpoints that the parity tests load, and what transformers computes from them.

  python tests/goldens/make.py [family ...]

Every variant of a family's testdata/variants.py becomes testdata/<variant>/; README.md says what is
in it. Running it again on one machine gives the same bytes.
"""

import argparse
import copy
import json
import pathlib
import shutil

import numpy as np
import safetensors.torch
import torch
import transformers

import make_counts
import make_hearing
import make_multimodal
import make_vectors
import random_weights
import tiny_tokenizer
import variants

NUM_NEW_TOKENS = 32
NUM_FIRST_SPECIAL = 3  # ids that prompts leave out: the tiny tokenizer's special tokens

# What the tests allow between two right answers, in units of the largest absolute logit.
TOLERANCE = 1e-4
# A golden is kept if each greedy token leads by more than this many tolerances, and in absolute
# terms by more than MIN_MARGIN; if every parameter and config value that should matter moves the
# logits by more than it; and if each continuation has this many different tokens.
MIN_TOLERANCES = 10
MIN_MARGIN = 1e-3
MIN_DISTINCT = 12
MAX_SEEDS = 200


def prompt(vocab_size: int, length: int, seed: int) -> torch.Tensor:
    rng = np.random.Generator(np.random.PCG64([seed, length]))
    return torch.from_numpy(rng.integers(NUM_FIRST_SPECIAL, vocab_size, (1, length)))


def media_maker(variant: variants.Variant):
    """What makes the goldens of chats with images or sounds; None: the model reads text alone."""
    return make_multimodal if variant.sees else make_hearing if variant.hears else None


def auto_class(variant: variants.Variant):
    if variant.sees:
        return transformers.AutoModelForImageTextToText
    if variant.hears:
        return transformers.AutoModelForMultimodalLM
    return transformers.AutoModelForCausalLM


def new_model(
    config: transformers.PreTrainedConfig, variant: variants.Variant
) -> transformers.PreTrainedModel:
    model = auto_class(variant).from_config(
        config, dtype=torch.float32, attn_implementation=variant.attention
    )
    return model.eval()


def logits_of(model: transformers.PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """[tokens, vocab], every position, without a cache."""
    model = copy.deepcopy(model)  # dynamic rope remembers the longest text that it has seen
    with torch.no_grad():
        return model(ids, use_cache=False).logits[0]


def greedy(
    model: transformers.PreTrainedModel, ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """NUM_NEW_TOKENS ids by generate() with its cache; an end token is a token like any other. And
    the logits that chose them, [NUM_NEW_TOKENS, vocab]."""
    model = copy.deepcopy(model)
    model.generation_config = transformers.GenerationConfig(
        do_sample=False,
        max_new_tokens=NUM_NEW_TOKENS,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids))
    return out.sequences[0, ids.shape[1] :], torch.cat(out.logits)


def compute(
    model: transformers.PreTrainedModel, variant: variants.Variant, length: int, seed: int
) -> tuple[dict, dict]:
    """The golden tensors of one prompt, and figures about them."""
    ids = prompt(model.config.get_text_config().vocab_size, length, seed)
    new, steps = greedy(model, ids)
    logits = logits_of(model, torch.cat([ids[0], new])[None])
    if not variant.keys_stay:
        # The whole text in one pass must choose the same tokens as generate() did with its cache.
        steps = logits[length - 1 : -1]
        assert torch.equal(steps.argmax(-1), new), "generate() differs from one pass"
    top = steps.topk(2).values
    tensors = {
        f"prompt_{length}": ids[0].contiguous(),
        f"logits_{length}": logits_of(model, ids).contiguous(),
        f"greedy_{length}": new.contiguous(),
    }
    facts = {
        "max_abs_logit": logits.abs().max().item(),
        "min_greedy_margin": (top[:, 0] - top[:, 1]).min().item(),
        "distinct_tokens": len(set(new.tolist())),
    }
    return tensors, facts


def is_clear(facts: dict) -> bool:
    """Whether rounding cannot change a greedy token, and the text is not one repeated token."""
    margin = max(MIN_MARGIN, MIN_TOLERANCES * TOLERANCE * facts["max_abs_logit"])
    return facts["min_greedy_margin"] > margin and facts["distinct_tokens"] >= MIN_DISTINCT


def changed_models(model: transformers.PreTrainedModel, variant: variants.Variant):
    """Models with one thing wrong each, and what it is: goldens have to tell them apart."""
    state = model.state_dict()
    for name in state:
        if any(part in name for part in variant.idle):
            continue
        if "norm" in name or name.endswith("bias"):
            wrong = copy.deepcopy(model)
            trivial = torch.ones_like if "norm" in name else torch.zeros_like
            wrong.load_state_dict({**state, name: trivial(state[name])})
            yield f"{name} ignored", wrong
    for change in variant.must_matter:
        config = copy.deepcopy(model.config)
        for key, value in change.items():
            setattr(config, key, value)
        wrong = new_model(config, variant)
        wrong.load_state_dict(state)
        yield str(change), wrong


def smallest_effect(model, variant: variants.Variant, tensors: dict) -> float:
    """How far the least visible of the wrong models is off, in units of the largest logit."""
    length = variant.prompt_lengths[-1]
    ids = tensors[f"prompt_{length}"][None]
    maker = media_maker(variant)
    item = maker.an_item(model, variant) if maker else None

    def outputs(model) -> torch.Tensor:
        logits = logits_of(model, ids)
        return torch.cat([logits, maker.forward(model, item)]) if maker else logits

    right = outputs(model)
    effects = {
        what: ((outputs(wrong) - right).abs().max() / right.abs().max()).item()
        for what, wrong in changed_models(model, variant)
    }
    what, effect = min(effects.items(), key=lambda item: item[1])
    if effect < MIN_TOLERANCES * TOLERANCE:
        raise SystemExit(
            f"{variant.model_type}/{variant.name}: {what} moves logits by {effect:.1e}"
        )
    return effect


def choose_seed(model, variant: variants.Variant) -> int:
    maker = media_maker(variant)
    for seed in range(MAX_SEEDS):
        random_weights.fill(model, seed, variant.gains)
        if maker and not maker.is_clear(model, variant):
            continue
        if all(is_clear(compute(model, variant, n, seed)[1]) for n in variant.prompt_lengths):
            return seed
    raise SystemExit(
        f"{variant.model_type}/{variant.name}: no seed below {MAX_SEEDS} has clear tokens"
    )


def write_json(path: pathlib.Path, value) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(directory: pathlib.Path, vocab_size: int, *pair: str) -> None:
    tokenizer = tiny_tokenizer.build(vocab_size, *pair)
    tokenizer.save_pretrained(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    write_json(directory / "text_goldens.json", tiny_tokenizer.goldens(tokenizer))


def write_checkpoint(directory: pathlib.Path, variant: variants.Variant) -> int:
    """Writes what save_pretrained() writes; returns the seed of the weights."""
    config = transformers.AutoConfig.for_model(variant.model_type, **copy.deepcopy(variant.config))
    model = new_model(config, variant)
    seed = choose_seed(model, variant)
    random_weights.fill(model, seed, variant.gains)
    model.generation_config = transformers.GenerationConfig.from_model_config(config)
    model.save_pretrained(directory, max_shard_size=variant.max_shard_size)
    if variant.rewrite_config:
        path = directory / "config.json"
        write_json(path, variant.rewrite_config(json.loads(path.read_text())))
    if maker := media_maker(variant):
        maker.write_processor(directory, variant)
        make_counts.write(directory, variant)
    elif variant.servable:
        write_tokenizer(directory, config.vocab_size)
    return seed


def write_goldens(directory: pathlib.Path, variant: variants.Variant, seed: int) -> dict:
    """Loads the checkpoint as a user would and writes what comes out."""
    model = (
        auto_class(variant)
        .from_pretrained(directory, dtype=torch.float32, attn_implementation=variant.attention)
        .eval()
    )
    tensors, prompts = {}, {}
    for length in variant.prompt_lengths:
        found, prompts[length] = compute(model, variant, length, seed)
        tensors.update(found)
    effect = smallest_effect(model, variant, tensors)
    chats = {}
    if maker := media_maker(variant):
        found, chats = maker.compute(model, variant)
        tensors.update(found)
    safetensors.torch.save_file(tensors, directory / "goldens.safetensors")
    facts = {
        "prompt_lengths": list(variant.prompt_lengths),
        "new_tokens": NUM_NEW_TOKENS,
        "seed": seed,
        "max_abs_logit": max(f["max_abs_logit"] for f in prompts.values()),
        "min_greedy_margin": min(f["min_greedy_margin"] for f in prompts.values()),
        "distinct_tokens": [f["distinct_tokens"] for f in prompts.values()],
        "smallest_effect_of_an_error": effect,
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
    }
    facts = {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in facts.items()} | chats
    write_json(directory / "goldens.json", facts)
    return facts


def main() -> None:
    families = variants.families()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="*", help=f"of {', '.join(families)}; default all")
    args = parser.parse_args()
    for family in args.family:
        if family not in families:
            parser.error(f"unknown family {family!r}; there are {', '.join(families)}")

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for family in args.family or families:
        testdata = families[family] / "testdata"
        if families[family].parent.name == "plugins" and not (testdata / "BUILD").exists():
            shutil.copy(families["llama"] / "testdata" / "BUILD", testdata)
        for variant in variants.of_family(family):
            directory = testdata / variant.name
            directory.mkdir(exist_ok=True)
            for path in directory.iterdir():
                if path.name != "graph.textproto":  # that is written by //tests/recorded:update
                    path.unlink()
            if variant.vectors_of:
                facts = make_vectors.write(directory, variant)
                write_json(directory / "goldens.json", facts)
                if variant.servable:
                    write_tokenizer(directory, variant.config["vocab_size"], make_vectors.PAIR)
                    write_json(directory / "texts.json", make_vectors.texts(directory, variant))
            else:
                seed = write_checkpoint(directory, variant)
                facts = write_goldens(directory, variant, seed)
            print(f"{family}/{variant.name}: {json.dumps(facts)}", flush=True)


if __name__ == "__main__":
    main()
