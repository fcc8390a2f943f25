"""Writes what transformers' logits processors make of random logits.

  python tests/goldens/make_sampling.py

core/sampling/testdata/processors.json lists the cases and processors.safetensors holds the tensors
that they name; README.md says how to read them. A case is kept only if rounding cannot change which
tokens it removes.
"""

import argparse
import json
import pathlib

import numpy as np
import safetensors.torch
import torch
import transformers
from transformers.generation import logits_process as hf

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS, VOCAB = 2, 1111  # more than one block of the sampler's, the last not full
PROMPT_LENGTH = 12
END_TOKENS = [2, 150]
ALLOWED = [2, 3, 9, 16, 37, *range(100, 400, 3), 1023, 1024, 1110]
NUDGE = 1e-5  # relative change of a threshold that must not change what is removed
MAX_SEEDS = 1000


def make_logits(rng: np.random.Generator) -> dict[str, np.ndarray]:
    normal = 3.0 * rng.standard_normal((ROWS, VOCAB))
    logits = {
        "normal": normal,
        "flat": 0.3 * rng.standard_normal((ROWS, VOCAB)),
        "peaked": 12.0 * rng.standard_normal((ROWS, VOCAB)),
        # As after allowed_token_ids or a grammar: a third is out already.
        "masked": np.where(rng.random((ROWS, VOCAB)) < 1 / 3, -np.inf, normal),
        # Many equal values, at the border of a top-k too.
        "ties": np.round(normal),
        "masked_ties": np.where(rng.random((ROWS, VOCAB)) < 1 / 2, -np.inf, np.round(normal)),
    }
    return {name: values.astype(np.float32) for name, values in logits.items()}


def make_tokens(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Prompt and output in one row; ids repeat, so that n-grams and counts do."""
    long = rng.integers(0, 9, (ROWS, PROMPT_LENGTH + 24)) * 7 + 2
    return {"start": long[:, :PROMPT_LENGTH], "one": long[:, : PROMPT_LENGTH + 1], "long": long}


class _OpenAi:
    """OpenAI's formula: output tokens only, subtracted; then logit_bias is added."""

    def __init__(self, frequency_penalty=0.0, presence_penalty=0.0, logit_bias=()):
        self.frequency, self.presence = frequency_penalty, presence_penalty
        self.bias = logit_bias

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        output = tokens[:, PROMPT_LENGTH:]
        counts = torch.zeros_like(scores).scatter_add(
            1, output, torch.ones(output.shape, dtype=scores.dtype)
        )
        scores = scores - self.frequency * counts - self.presence * (counts > 0)
        for token, bias in self.bias:
            scores[:, token] += bias
        return scores


def processors(params: dict) -> list:
    """Of a case's parameters, in the order in which generate() applies them."""
    made = []
    openai = {"frequency_penalty", "presence_penalty", "logit_bias"} & params.keys()
    if openai:
        made.append(_OpenAi(**{key: params[key] for key in openai}))
    if "repetition_penalty" in params:
        made.append(hf.RepetitionPenaltyLogitsProcessor(params["repetition_penalty"]))
    if "no_repeat_ngram_size" in params:
        made.append(hf.NoRepeatNGramLogitsProcessor(params["no_repeat_ngram_size"]))
    if "bad_words" in params:
        made.append(hf.NoBadWordsLogitsProcessor(params["bad_words"], END_TOKENS))
    if "min_tokens" in params:
        made.append(
            hf.MinNewTokensLengthLogitsProcessor(PROMPT_LENGTH, params["min_tokens"], END_TOKENS)
        )
    if "allowed" in params:
        made.append(hf.PrefixConstrainedLogitsProcessor(lambda batch, ids: params["allowed"], 1))
    if "temperature" in params:
        made.append(hf.TemperatureLogitsWarper(params["temperature"]))
    if "top_k" in params:
        made.append(hf.TopKLogitsWarper(params["top_k"]))
    if "top_p" in params:
        made.append(hf.TopPLogitsWarper(params["top_p"]))
    if "min_p" in params:
        made.append(hf.MinPLogitsWarper(params["min_p"]))
    if "typical_p" in params:
        made.append(hf.TypicalLogitsWarper(params["typical_p"]))
    if params.get("logprobs"):
        made.append(hf.LogitNormalization())
    return made


def apply(params: dict, tokens: np.ndarray, logits: np.ndarray, dtype=torch.float32):
    scores = torch.from_numpy(logits).to(dtype)
    ids = torch.from_numpy(tokens)
    if params.get("beam"):  # as _beam_search has it
        scores = torch.nn.functional.log_softmax(scores, dim=-1)
    for processor in processors(params):
        scores = processor(ids, scores)
    return scores


def is_clear(params: dict, tokens: np.ndarray, logits: np.ndarray) -> bool:
    """Whether fp64 arithmetic and slightly other thresholds remove the same tokens."""
    kept = apply(params, tokens, logits).isfinite()
    nudged = [params]
    for key in ("top_p", "min_p", "typical_p"):
        if key in params:
            nudged += [{**params, key: params[key] * (1 + d)} for d in (-NUDGE, NUDGE)]
            nudged[-1][key] = min(nudged[-1][key], 1.0)
    return all(
        torch.equal(kept, apply(p, tokens, logits, torch.float64).isfinite()) for p in nudged
    )


def bad_words_of(tokens: dict[str, np.ndarray]) -> dict[str, list[list[int]]]:
    """Words of one to three tokens, some about to be completed, in `long` and across the prompt."""
    long, one = tokens["long"].tolist(), tokens["one"].tolist()
    words = [[5], [2], [*long[0][-1:], 17], [*long[1][-2:], 19], [*long[1][-2:], 23], [199, 198, 5]]
    return {"long": words, "one": [[*one[0][-2:], 31], [*one[1][-3:], 33]]}


def cases(tokens: dict[str, np.ndarray]):
    """(input logits, tokens, params)."""
    for logits in ("normal", "flat", "peaked", "masked"):
        for temperature in (0.25, 0.7, 1.9):
            yield logits, "start", {"temperature": temperature}
        for top_k in (1, 5, 50, 300):
            yield logits, "start", {"top_k": top_k}
        for top_p in (0.05, 0.5, 0.9, 0.99):
            yield logits, "start", {"top_p": top_p}
        for min_p in (0.01, 0.1, 0.5):
            yield logits, "start", {"min_p": min_p}
        for typical_p in (0.1, 0.5, 0.95):
            yield logits, "start", {"typical_p": typical_p}
        yield logits, "start", {"logprobs": True}
    for logits in ("ties", "masked_ties"):
        yield logits, "start", {"temperature": 0.7}
        for top_k in (1, 10, 40):
            yield logits, "start", {"top_k": top_k}
        for top_p in (0.1, 0.6, 0.95):
            yield logits, "start", {"top_p": top_p}
        for min_p in (0.01, 0.2):
            yield logits, "start", {"min_p": min_p}
        for typical_p in (0.2, 0.9):
            yield logits, "start", {"typical_p": typical_p}
        yield logits, "long", {"repetition_penalty": 1.3}
        yield logits, "long", {"min_tokens": 25}
        yield logits, "long", {"bad_words": bad_words_of(tokens)["long"]}
        yield logits, "long", {"allowed": ALLOWED}

    for context in tokens:
        yield "normal", context, {"repetition_penalty": 1.3}
        yield "normal", context, {"repetition_penalty": 0.8}
        yield "normal", context, {"no_repeat_ngram_size": 2}
        yield "normal", context, {"frequency_penalty": 0.4}
        yield "normal", context, {"presence_penalty": 1.5}
        yield "normal", context, {"min_tokens": 1}
    yield "normal", "long", {"no_repeat_ngram_size": 1}
    yield "normal", "long", {"no_repeat_ngram_size": 3}
    yield "normal", "long", {"min_tokens": 24}
    yield "normal", "long", {"min_tokens": 25}
    for context, words in bad_words_of(tokens).items():
        yield "normal", context, {"bad_words": words}
    bias = [[3, 100.0], [9, -100.0], [16, 2.5], [199, -0.75]]
    yield "normal", "long", {"logit_bias": bias}
    yield (
        "normal",
        "long",
        {"frequency_penalty": -0.6, "presence_penalty": 0.9, "logit_bias": bias},
    )

    for logits in ("normal", "masked"):
        yield logits, "long", {"allowed": ALLOWED}

    usual = {"temperature": 0.7, "top_k": 40, "top_p": 0.9}
    yield "normal", "long", usual
    yield "masked", "long", usual
    yield "flat", "long", {**usual, "min_p": 0.3, "repetition_penalty": 1.1}
    yield "normal", "long", {"temperature": 1.5, "min_p": 0.05, "typical_p": 0.9}
    bans = {"repetition_penalty": 1.2, "bad_words": bad_words_of(tokens)["one"], "min_tokens": 5}
    yield "normal", "one", {**usual, **bans, "no_repeat_ngram_size": 2}
    every = {**bans, "allowed": ALLOWED, "temperature": 0.8}
    every |= {"top_k": 60, "top_p": 0.95, "min_p": 0.02, "typical_p": 0.9}
    for logits in ("normal", "flat", "masked", "ties", "masked_ties"):
        yield logits, "one", every

    for logits in ("normal", "masked", "ties", "masked_ties"):
        yield logits, "long", {"beam": True}
        yield logits, "one", {"beam": True, **bans}
    yield "normal", "one", {"beam": True, **bans, "allowed": ALLOWED}
    yield "normal", "long", {"beam": True, "presence_penalty": 0.9, "frequency_penalty": 0.3}


def write(out: pathlib.Path, seed: int, logits: dict, tokens: dict) -> int:
    tensors = {f"logits_{name}": torch.from_numpy(v) for name, v in logits.items()}
    tensors |= {f"tokens_{name}": torch.from_numpy(v) for name, v in tokens.items()}
    listed = []
    for number, (name, context, params) in enumerate(cases(tokens)):
        output = f"output_{number:03d}"
        result = apply(params, tokens[context], logits[name])
        # Most of the cases only remove tokens: then a mask of what stays says it all.
        kept = result.isfinite()
        if torch.equal(
            torch.where(kept, result, 0), torch.where(kept, tensors[f"logits_{name}"], 0)
        ):
            tensors[output] = kept.to(torch.uint8)
        else:
            tensors[output] = result
        listed.append(
            {"logits": f"logits_{name}", "tokens": f"tokens_{context}", "output": output, **params}
        )
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, out / "processors.safetensors")
    about = {
        "prompt_length": PROMPT_LENGTH,
        "end_tokens": END_TOKENS,
        "seed": seed,
        "transformers": transformers.__version__,
    }
    lines = ",\n".join("    " + json.dumps(case) for case in listed)
    head = json.dumps(about, indent=2)[:-2]
    text = f'{head},\n  "cases": [\n{lines}\n  ]\n}}\n'
    json.loads(text)
    (out / "processors.json").write_text(text)
    return len(listed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ROOT / "core" / "sampling" / "testdata"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    args = parser.parse_args()

    torch.set_num_threads(1)
    for seed in range(MAX_SEEDS):
        rng = np.random.Generator(np.random.PCG64(seed))
        logits, tokens = make_logits(rng), make_tokens(rng)
        if all(is_clear(params, tokens[c], logits[at]) for at, c, params in cases(tokens)):
            break
    else:
        raise SystemExit(f"no seed below {MAX_SEEDS} makes every case clear")
    count = write(args.out, seed, logits, tokens)
    print(f"sampling: seed {seed}, {count} cases")


if __name__ == "__main__":
    main()
