"""Writes what transformers' beam search gives for the tiny llama, with its scores.

  python tests/goldens/make_beams.py

Read by tests/engine/beam_search_test.cc. Running it again on one machine gives the same bytes.
"""

import itertools
import json
import pathlib

import numpy as np
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "plugins" / "llama" / "testdata" / "default"
PROMPT_LENGTHS = (1, 9, 40)
MAX_NEW_TOKENS = 16
# Two scores that are nearer than this may change places between two right answers.
MIN_MARGIN = 1e-5


def prompt(length: int, vocab_size: int) -> list[int]:
    rng = np.random.Generator(np.random.PCG64([7, length]))
    return rng.integers(3, vocab_size, length).tolist()


def cases(model: transformers.PreTrainedModel):
    """What to ask: a dict of generate's arguments with `prompt`."""
    for length in PROMPT_LENGTHS:
        ids = prompt(length, model.config.vocab_size)
        greedy = model.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=MAX_NEW_TOKENS
        )[0, length:].tolist()
        # Tokens that the text would reach soon and late, so that some beams end and some don't.
        ends = {"none": [], "late": [greedy[9]], "soon": [greedy[2], greedy[4], greedy[6]]}
        for end, early_stopping in itertools.product(ends, (False, True, "never")):
            if end == "none" and early_stopping is not False:
                continue
            for penalty in (1.0, 0.0, -1.0, 2.0):
                yield dict(
                    prompt=ids,
                    num_beams=4,
                    num_return_sequences=4,
                    length_penalty=penalty,
                    early_stopping=early_stopping,
                    eos_token_id=ends[end],
                )
        for beams, count, repetition in ((2, 1, 1.0), (7, 3, 1.0), (3, 3, 1.3), (4, 2, 0.8)):
            yield dict(
                prompt=ids,
                num_beams=beams,
                num_return_sequences=count,
                repetition_penalty=repetition,
                eos_token_id=ends["late"],
            )


def answer(model: transformers.PreTrainedModel, case: dict) -> list[dict]:
    arguments = dict(case)
    ids = arguments.pop("prompt")
    ends = arguments["eos_token_id"]
    model.generation_config.eos_token_id = None  # None as an argument would mean the config's
    arguments["eos_token_id"] = ends or None
    out = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
        **arguments,
    )
    texts = []
    for sequence, score in zip(out.sequences, out.sequences_scores):
        tokens = sequence[len(ids) :].tolist()
        end = next((i for i, token in enumerate(tokens) if token in ends), len(tokens) - 1)
        texts.append({"tokens": tokens[: end + 1], "score": round(score.item(), 7)})
    return texts


def main() -> None:
    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    lines, unclear = [], 0
    for case in cases(model):
        texts = answer(model, case)
        scores = [text["score"] for text in texts]
        if any(a - b < MIN_MARGIN for a, b in itertools.pairwise(scores)):
            unclear += 1
            continue
        lines.append("    " + json.dumps({**case, "texts": texts}))
    about = {"max_new_tokens": MAX_NEW_TOKENS, "transformers": transformers.__version__}
    head = json.dumps(about, indent=2)[:-2]
    listed = ",\n".join(lines)
    path = ROOT / "tests" / "engine" / "testdata" / "beam_search.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head},\n  "cases": [\n{listed}\n  ]\n}}\n')
    print(f"beams: {len(lines)} cases, {unclear} left out as unclear")


if __name__ == "__main__":
    main()
