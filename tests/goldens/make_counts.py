"""How many tokens transformers' processors make of images and sounds of random sizes.

  python tests/goldens/make_counts.py [family ...]

writes counts.zlib into each checkpoint of the families that see or hear: NUM numbers, i32, -1 where
the processor refuses. The sizes are those of `Sizes`, which tests/multimodal/counts.cc has too.
make.py writes the same with the rest of a checkpoint.
"""

import argparse
import pathlib
import zlib

import numpy as np
import PIL.Image
import transformers

import make_hearing
import make_multimodal
import variants

NUM = 10_000
NUM_HELD = 300  # a processor's own count is held against what it makes of so many images
MAX_SIDE = 4000
MAX_SAMPLES = 1 << 19


class Sizes:
    """As many small ones as large: SplitMix64 (Steele, Lea, Flood 2014) from 0 on."""

    def __init__(self) -> None:
        self._state = 0

    def _next(self) -> int:
        mask = (1 << 64) - 1
        self._state = (self._state + 0x9E3779B97F4A7C15) & mask
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def next(self, limit: int) -> int:
        power = 1 << self._next() % limit.bit_length()
        return min(limit, power + self._next() % power)


def placeholders(made, height: int, width: int, sees: variants.Sees) -> int:
    """Tokens that the processor makes of an image's placeholder and that are the image's own."""
    pixels = PIL.Image.new("RGB", (width, height))
    try:
        ids = made(
            text=[made.image_token], images=[pixels], add_special_tokens=False, **sees.options
        )
    except ValueError:
        return -1
    if sees.options:  # with which there is text within an item
        return sum(ids["token_type_ids"][0])
    return len(ids["input_ids"][0]) - sees.around


def said(made, height: int, width: int) -> int | None:
    """What the processor says of the size alone; None: it says nothing of that."""
    if not hasattr(made, "_get_num_multimodal_tokens"):
        return None
    try:
        return made._get_num_multimodal_tokens(image_sizes=[(height, width)]).num_image_tokens[0]
    except ValueError:
        return -1


def of_images(variant: variants.Variant, num: int) -> list[int]:
    made = make_multimodal.processor(variant)
    sizes = Sizes()
    pairs = [(sizes.next(MAX_SIDE), sizes.next(MAX_SIDE)) for _ in range(num)]
    counts = [placeholders(made, *pair, variant.sees) for pair in pairs[:NUM_HELD]]
    if counts == [said(made, *pair) for pair in pairs[:NUM_HELD]]:
        return counts + [said(made, *pair) for pair in pairs[NUM_HELD:]]
    return counts + [placeholders(made, *pair, variant.sees) for pair in pairs[NUM_HELD:]]


def of_sounds(variant: variants.Variant, num: int) -> list[int]:
    made = make_hearing.processor(variant)
    sizes = Sizes()
    return [variant.hears.count(made, sizes.next(MAX_SAMPLES)) for _ in range(num)]


def write(directory: pathlib.Path, variant: variants.Variant, num: int = NUM) -> None:
    counts = of_images(variant, num) if variant.sees else of_sounds(variant, num)
    packed = np.array(counts, dtype="<i4").tobytes()
    (directory / "counts.zlib").write_bytes(zlib.compress(packed, 9))


def main() -> None:
    families = variants.families()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="*", help="default all")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for family in args.family or families:
        for variant in variants.of_family(family):
            directory = families[family] / "testdata" / variant.name
            if (variant.sees or variant.hears) and (directory / "goldens.json").exists():
                write(directory, variant)
                print(f"{family}/{variant.name}", flush=True)


if __name__ == "__main__":
    main()
