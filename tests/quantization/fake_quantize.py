"""Writes a checkpoint whose matrices have the values that llama.cpp's quantizations leave of them.

  python tests/quantization/fake_quantize.py MODEL OUT --type q8_0|q4_0

For logit_error's --as: the error of q8_0's and q4_0's weights, by the same measure as Keel's own. What
llama.cpp adds by quantizing activations to q8_0 before each product is not in it: its true error is
larger. Embeddings are not quantized, as here; a tied head is, so it is written beside them.
"""

import argparse
import json
import pathlib
import shutil

import safetensors.torch
import torch

GROUP = 32


def q8_0(weights: torch.Tensor) -> torch.Tensor:
    """32 weights share an fp16 scale, the largest one's magnitude over 127."""
    groups = weights.float().view(-1, GROUP)
    scale = groups.abs().amax(1, keepdim=True) / 127
    levels = torch.where(scale > 0, (groups / scale).round(), 0.0)
    return (levels * scale.half().float()).view(weights.shape)


def q4_0(weights: torch.Tensor) -> torch.Tensor:
    """32 weights share an fp16 scale, the largest one's over -8: that one is exact, levels are -8 to 7."""
    groups = weights.float().view(-1, GROUP)
    largest = groups.gather(1, groups.abs().argmax(1, keepdim=True))
    scale = largest / -8
    levels = torch.where(scale != 0, (groups / scale + 8.5).floor().clamp(0, 15) - 8, 0.0)
    return (levels * scale.half().float()).view(weights.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=["q8_0", "q4_0"], required=True)
    args = parser.parse_args()
    quantize = {"q8_0": q8_0, "q4_0": q4_0}[args.type]
    args.out.mkdir(parents=True, exist_ok=True)
    for file in args.model.iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, args.out)
    tensors = {}
    for file in sorted(args.model.glob("*.safetensors")):
        tensors.update(safetensors.torch.load_file(file))
    embeddings = "model.embed_tokens.weight"
    out = {
        name: quantize(tensor) if tensor.ndim == 2 and name != embeddings else tensor.float()
        for name, tensor in tensors.items()
    }
    out.setdefault("lm_head.weight", quantize(tensors[embeddings]))
    index = args.out / "model.safetensors.index.json"
    index.unlink(missing_ok=True)
    safetensors.torch.save_file(out, args.out / "model.safetensors")
    config = json.loads((args.out / "config.json").read_text())
    config["tie_word_embeddings"] = False
    (args.out / "config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    main()
