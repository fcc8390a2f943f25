#!/usr/bin/env python3
"""Holds the plugin against transformers: compare.py CHECKPOINT [--plugin LIBRARY] [--text TEXT ...]

Greedy tokens and the log-probability of each, in fp32, of the plugin in Keel's engine and of the
class in transformers. It takes the Python packages keel, torch and transformers. Exit status: 0 if
they agree, else 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TEXTS = ["A river is", "1, 2, 3,", "The quick brown fox jumps over the lazy dog."]
TOLERANCE = 1e-3  # of a log-probability: what the order of additions may change
Answer = tuple[list[int], list[float]]  # tokens, and the log-probability of each


def by_keel(checkpoint: str, plugin: str, prompts: list[list[int]], count: int) -> list[Answer]:
    from keel import LLM, SamplingParams

    params = SamplingParams(temperature=0, max_tokens=count, ignore_eos=True, logprobs=0)
    with LLM(checkpoint, plugin_path=plugin, dtype="float32") as llm:
        print(f"plugin: {llm.info['model_impl_reason']}")
        outputs = llm.generate(
            [{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False
        )
    answers = [output.outputs[0] for output in outputs]
    return [
        (list(a.token_ids), [p[t].logprob for t, p in zip(a.token_ids, a.logprobs)])
        for a in answers
    ]


def by_transformers(checkpoint: str, prompts: list[list[int]], count: int) -> list[Answer]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    answers = []
    for prompt in prompts:
        ids, logprobs = list(prompt), []
        for _ in range(count):  # without a cache: the plainest reading of the model
            with torch.no_grad():
                logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
            ids.append(int(logits.argmax()))
            logprobs.append(float(logits.log_softmax(-1)[ids[-1]]))
        answers.append((ids[len(prompt) :], logprobs))
    return answers


def difference(ours: Answer, theirs: Answer) -> str | None:
    """Where two answers part."""
    for i, (token, other, p, q) in enumerate(
        zip(*map(list, (ours[0], theirs[0], ours[1], theirs[1])))
    ):
        if abs(p - q) > TOLERANCE:
            return f"token {i + 1} has log-probability {p:.4f}, in transformers {q:.4f}"
        if token != other:
            return f"token {i + 1} is {token}, in transformers {other}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a directory with weights and tokenizer"
    )
    parser.add_argument(
        "--plugin", metavar="LIBRARY", default=str(Path(__file__).resolve().parent / "libmine.so")
    )
    parser.add_argument(
        "--text", metavar="TEXT", action="append", help="a prompt; may be given again"
    )
    parser.add_argument(
        "--tokens", metavar="N", type=int, default=32, help="to generate for each (default: 32)"
    )
    args = parser.parse_args()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    texts = args.text or TEXTS
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    theirs = by_transformers(args.checkpoint, prompts, args.tokens)
    ours = by_keel(args.checkpoint, args.plugin, prompts, args.tokens)
    found = [difference(*pair) for pair in zip(ours, theirs)]
    for text, what in zip(texts, found):
        print(f"{'fail' if what else 'pass'}  {text!r}: {what or f'{args.tokens} tokens agree'}")
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
