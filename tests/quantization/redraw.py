"""Writes a checkpoint like another with matrices of random numbers, normally distributed.

  python tests/quantization/redraw.py MODEL OUT --seed 1

What a quantization costs a random network differs from one draw to the next by more than from one
quantization to the next: logit_error and llama_cpp_error.py tell them apart by the mean of several.
Norms and biases stay. MODEL has one safetensors file; OUT's is in bfloat16. Needs numpy.
"""

import argparse
import pathlib

import numpy

import fake_quantize


def bfloat16(values: numpy.ndarray) -> numpy.ndarray:
    """Its bits, rounded to nearest even."""
    bits = values.astype(numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(numpy.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    random = numpy.random.default_rng(args.seed)
    tensors = fake_quantize.read(args.model / "model.safetensors")
    fake_quantize.copy_without_weights(args.model, args.out)
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            tensor = random.standard_normal(tensor.shape, numpy.float32) * tensor.std()
        tensors[name] = bfloat16(tensor)
    fake_quantize.write(args.out / "model.safetensors", tensors, "BF16")


if __name__ == "__main__":
    main()
