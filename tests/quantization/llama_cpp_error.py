"""How far llama.cpp's logits are from those of float32, by the measure of logit_error and over its
token ids.

  python tests/quantization/llama_cpp_error.py MODEL [--types bf16 q8_0 q4_0] [--tokens 512]

What it quantizes and how it multiplies are its own: unlike fake_quantize.py's, these errors have
the activations in them. The reference is transformers in float32. MODEL is a checkpoint that
tests/bench/gguf_file.py can write as GGUF; the environment is that of tests/bench/peers.py
(docs/benchmarking.md).
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import peer  # noqa: E402


def random_ids(count: int, vocab_size: int) -> list[int]:
    """Those of logit_error: C++'s std::mt19937 with the seed 1."""
    generator = np.random.MT19937()
    generator._legacy_seeding(1)
    return [int(raw) % vocab_size for raw in generator.random_raw(count)]


def llama_cpp_logits(model: peer.LlamaCpp, ids: list[int]) -> torch.Tensor:
    params = model.api.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = (len(ids) + 255) // 256 * 256
    params.n_threads = params.n_threads_batch = peer.THREADS
    context = model.api.llama_init_from_model(model.model, params)
    model.decode(context, [(token, i, 0, True) for i, token in enumerate(ids)])
    shape = (len(ids), model.vocab_size)
    logits = np.ctypeslib.as_array(model.api.llama_get_logits(context), shape).copy()
    model.api.llama_free(context)
    return torch.from_numpy(logits)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--types", nargs="+", default=["bf16", "q8_0", "q4_0"])
    parser.add_argument("--tokens", type=int, default=512)
    args = parser.parse_args()
    reference_model = transformers.AutoModelForCausalLM.from_pretrained(
        args.model, dtype=torch.float32
    )
    ids = random_ids(args.tokens, reference_model.config.vocab_size)
    with torch.inference_mode():
        reference = reference_model(torch.tensor([ids])).logits[0]
    del reference_model
    expected, deviation = reference.log_softmax(-1), reference.std().item()
    print(f"{len(ids)} tokens; the logits' standard deviation is {deviation:.4f}")
    print(f"{'':10} {'mean |diff|':>12} {'of std':>10} {'KL':>10} {'top-1':>10}")
    with tempfile.TemporaryDirectory() as cache:
        for type_ in args.types:
            model = peer.LlamaCpp(type_, args.model.absolute(), pathlib.Path(cache))
            logits = llama_cpp_logits(model, ids)
            error = (logits - reference).abs().mean().item()
            kl = (expected.exp() * (expected - logits.log_softmax(-1))).sum(-1).mean().item()
            same = (logits.argmax(-1) == reference.argmax(-1)).float().mean().item()
            print(
                f"{type_:10} {error:12.5f} {100 * error / deviation:9.3f}%"
                f" {kl:10.6f} {100 * same:9.2f}%"
            )


if __name__ == "__main__":
    main()
