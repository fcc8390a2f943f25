"""How far logits of llama.cpp's numbers are from those of float32, by the measure of logit_error
and over its token ids.

  python tests/quantization/llama_cpp_error.py MODEL [--types bf16 q8_0 q4_0] [--tokens 512]

llama.cpp quantizes the weights, so which tensors become what is its own choice. What it makes of
them is multiplied by transformers in float32, so that its kernels need not run on this machine:
`weights` with activations as they are, `and activations` with those rounded as its kernels for
these weights round them before each product (to bfloat16, or to q8_0, or to q8_K for its
K-quantizations). What attention loses by keys and values in half precision is not in it: its true
error is a little larger.

MODEL is a checkpoint that tests/bench/gguf_file.py can write as GGUF; the environment is that of
tests/bench/peers.py (docs/benchmarking.md).
"""

import argparse
import pathlib
import sys
import tempfile

import gguf
import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))
import gguf_file  # noqa: E402
import peer  # noqa: E402


def random_ids(count: int, vocab_size: int) -> list[int]:
    """Those of logit_error: C++'s std::mt19937 with the seed 1."""
    generator = np.random.MT19937()
    generator._legacy_seeding(1)
    return [int(raw) % vocab_size for raw in generator.random_raw(count)]


def q8_rounded(x: torch.Tensor, group: int, half_scale: bool) -> torch.Tensor:
    """Groups share a scale, their largest magnitude over 127, kept in half precision by q8_0."""
    groups = x.unflatten(-1, (-1, group))
    scale = groups.abs().amax(-1, keepdim=True) / 127
    levels = (groups / scale.where(scale > 0, 1)).round()
    return (levels * (scale.half().float() if half_scale else scale)).flatten(-2)


def rounded_activations(type_: gguf.GGMLQuantizationType, x: torch.Tensor) -> torch.Tensor:
    """As ggml rounds what it multiplies by weights of a type (`vec_dot_type` in ggml-cpu.c)."""
    if type_.name == "BF16":
        return x.bfloat16().float()
    if type_.name.endswith("_K"):
        return q8_rounded(x, 256, half_scale=False)
    return q8_rounded(x, 32, half_scale=True)


class LlamaCppWeights:
    """Puts the values of a GGUF file into a model of transformers."""

    def __init__(self, path: pathlib.Path, model: torch.nn.Module) -> None:
        self.tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
        self.model = model
        config = model.config
        # Llama's own rope has pairs of neighbours: the file has its rows in that order.
        self.rotated = {}
        if config.model_type == "llama":
            self.rotated = {
                "q_proj": config.num_attention_heads,
                "k_proj": config.num_key_value_heads,
            }

    def values(self, name: str) -> torch.Tensor:
        tensor = self.tensors[gguf_file.gguf_name(name)]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        heads = self.rotated.get(name.split(".")[-2])
        if heads is not None:
            pairs = values.reshape(heads, -1, 2, *values.shape[1:])
            values = pairs.swapaxes(1, 2).reshape(values.shape)
        return torch.tensor(values)

    def load(self) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.values(name).view_as(parameter))

    def round_activations(self) -> None:
        for name, module in self.model.named_modules():
            if not isinstance(module, torch.nn.Linear):
                continue
            name = gguf_file.gguf_name(f"{name}.weight")
            # A head that is tied is the table of embeddings.
            type_ = self.tensors.get(name, self.tensors["token_embd.weight"]).tensor_type
            module.register_forward_pre_hook(
                lambda _, inputs, type_=type_: rounded_activations(type_, inputs[0])
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--types", nargs="+", default=["bf16", "q8_0", "q4_0"])
    parser.add_argument("--tokens", type=int, default=512)
    args = parser.parse_args()

    def load() -> torch.nn.Module:
        return transformers.AutoModelForCausalLM.from_pretrained(
            args.model, dtype=torch.float32
        ).eval()

    with torch.inference_mode(), tempfile.TemporaryDirectory() as cache:
        model = load()
        ids = torch.tensor([random_ids(args.tokens, model.config.vocab_size)])
        reference = model(ids).logits[0]
        expected, deviation = reference.log_softmax(-1), reference.std().item()
        print(f"{ids.numel()} tokens; the logits' standard deviation is {deviation:.4f}")
        print(f"{'':22} {'mean |diff|':>12} {'of std':>10} {'KL':>10} {'top-1':>10}")

        def compare(name: str, logits: torch.Tensor) -> None:
            error = (logits - reference).abs().mean().item()
            kl = (expected.exp() * (expected - logits.log_softmax(-1))).sum(-1).mean().item()
            same = (logits.argmax(-1) == reference.argmax(-1)).float().mean().item()
            print(
                f"{name:22} {error:12.5f} {100 * error / deviation:9.3f}%"
                f" {kl:10.6f} {100 * same:9.2f}%",
                flush=True,
            )

        for type_ in args.types:
            model = load()
            path = peer.LlamaCpp.quantized(type_, args.model.absolute(), pathlib.Path(cache))
            weights = LlamaCppWeights(path, model)
            weights.load()
            compare(f"{type_}, weights", model(ids).logits[0])
            weights.round_activations()
            compare(f"{type_}, and activations", model(ids).logits[0])


if __name__ == "__main__":
    main()
