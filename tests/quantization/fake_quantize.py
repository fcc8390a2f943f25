"""Writes a checkpoint whose matrices have the values that llama.cpp's quantizations leave of them.

  python tests/quantization/fake_quantize.py MODEL OUT --type q8_0|q4_0

For logit_error's --as: the error of q8_0's and q4_0's weights, by the same measure as Keel's own.
What llama.cpp adds by quantizing activations to q8_0 before each product is not in it: its true
error is larger. Embeddings are not quantized, as here; a tied head is, so it is written beside
them.

MODEL has one safetensors file. Needs numpy.
"""

import argparse
import json
import pathlib
import shutil

import numpy

GROUP = 32
EMBEDDINGS = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


def rounded(scale: numpy.ndarray) -> numpy.ndarray:
    return scale.astype(numpy.float16).astype(numpy.float32)


def q8_0(weights: numpy.ndarray) -> numpy.ndarray:
    """32 weights share an fp16 scale, the largest one's magnitude over 127."""
    groups = weights.reshape(-1, GROUP)
    scale = numpy.abs(groups).max(1, keepdims=True) / 127
    levels = numpy.rint(groups / numpy.where(scale > 0, scale, 1))
    return (levels * rounded(scale)).reshape(weights.shape)


def q4_0(weights: numpy.ndarray) -> numpy.ndarray:
    """32 weights share an fp16 scale, the largest one over -8; levels are -8 to 7."""
    groups = weights.reshape(-1, GROUP)
    largest = numpy.take_along_axis(groups, numpy.abs(groups).argmax(1)[:, None], 1)
    scale = largest / -8
    levels = numpy.floor(groups / numpy.where(scale != 0, scale, 1) + 8.5).clip(0, 15) - 8
    return (levels * rounded(scale)).reshape(weights.shape)


def read(path: pathlib.Path) -> dict[str, numpy.ndarray]:
    """All tensors in float32."""
    data = numpy.memmap(path, numpy.uint8, "r")
    size = int.from_bytes(data[:8].tobytes(), "little")
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size].tobytes()).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin : 8 + size + end]
        if entry["dtype"] == "BF16":
            values = (raw.view(numpy.uint16).astype(numpy.uint32) << 16).view(numpy.float32)
        else:
            types = {"F32": numpy.float32, "F16": numpy.float16}
            values = raw.view(types[entry["dtype"]]).astype(numpy.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def write(path: pathlib.Path, tensors: dict[str, numpy.ndarray], dtype: str = "F32") -> None:
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            tensor.tofile(file)


def copy_without_weights(model: pathlib.Path, out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for file in model.iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=["q8_0", "q4_0"], required=True)
    args = parser.parse_args()
    quantize = {"q8_0": q8_0, "q4_0": q4_0}[args.type]
    tensors = read(args.model / "model.safetensors")
    tensors.setdefault(HEAD, tensors[EMBEDDINGS])
    copy_without_weights(args.model, args.out)
    config = json.loads((args.out / "config.json").read_text(encoding="utf-8"))
    config["tie_word_embeddings"] = False
    (args.out / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    write(
        args.out / "model.safetensors",
        {
            name: quantize(tensor) if tensor.ndim == 2 and name != EMBEDDINGS else tensor
            for name, tensor in tensors.items()
        },
    )


if __name__ == "__main__":
    main()
