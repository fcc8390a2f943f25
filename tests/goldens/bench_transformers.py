"""Measures transformers' prefill and decode speed on a checkpoint, on the CPU, as JSON.

  python tests/goldens/bench_transformers.py DIR [--batch 1 8] [--threads 2] [--dtype bfloat16]

Prefill is one pass over `prompt_tokens` random ids a sequence, logits of the last one only. Decode
is one pass a token after that, greedy, with transformers' own cache. Rates count the tokens of all
sequences; each is the best of `repeats` runs after one to warm up, with the median beside it.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import transformers


def measure(model, batch: int, prompt_tokens: int, new_tokens: int) -> tuple[float, float]:
    """Seconds of prefill and of `new_tokens` decode steps."""
    ids = torch.randint(0, model.config.vocab_size, (batch, prompt_tokens))
    start = time.perf_counter()
    out = model(ids, use_cache=True, logits_to_keep=1)
    first = time.perf_counter()
    cache = "cache_params" if hasattr(out, "cache_params") else "past_key_values"
    for _ in range(new_tokens):
        next_ids = out.logits[:, -1:].argmax(-1)
        out = model(next_ids, **{cache: getattr(out, cache)}, use_cache=True)
    return first - start, time.perf_counter() - first


def rates(tokens: int, seconds: list[float]) -> dict:
    return {
        "tokens_per_second": round(tokens / min(seconds), 2),
        "median": round(tokens / statistics.median(seconds), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--attention", default="sdpa")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        args.directory, dtype=getattr(torch, args.dtype), attn_implementation=args.attention
    ).eval()
    results = []
    for batch in args.batch:
        with torch.inference_mode():
            runs = []
            for _ in range(args.repeats + 1):
                runs.append(measure(model, batch, args.prompt_tokens, args.new_tokens))
                print(
                    "batch %d: prefill %.2f s, decode %.2f s" % (batch, *runs[-1]), file=sys.stderr
                )
        prefill, decode = zip(*runs[1:])
        results.append(
            {
                "batch": batch,
                "prefill": rates(batch * args.prompt_tokens, prefill),
                "decode": rates(batch * args.new_tokens, decode),
            }
        )
    settings = {k: v for k, v in vars(args).items() if k not in ("directory", "batch")}
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    print(json.dumps({**settings, **versions, "results": results}, indent=2))


if __name__ == "__main__":
    main()
