"""Keel beside other engines on the same random weights, in one run: each round runs everyone once
for each cell.

  ./bazelw build //apps:bench
  python tests/bench/peers.py --shape qwen2.5-0.5b --cells 1x512+128 16x128+32 --rounds 3 \\
      --who keel keel:int8 llama.cpp:bf16 llama.cpp:q8_0 transformers:bf16

A cell is BATCHxPROMPT+NEW tokens. Keel runs as its own program, `keel` in bf16 or `keel:int8` and
the like with --quantize; peers by peer.py in this Python environment, which must have them, and
OPTIMUM_CLI, which makes OpenVINO's models (docs/benchmarking.md). The order rotates from round to
round, since a virtual machine may be throttled after a busy time. Prints the medians of tokens a
second, and in brackets how many times the first one's rate that is.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Keel:
    def __init__(self, name: str, args: argparse.Namespace) -> None:
        _, _, quantization = name.partition(":")
        self.command = [args.keel, "speed", "--json", "--repeats", "1", "--dtype", "bfloat16"]
        self.command += ["--shape", args.shape, "--kv-cache-memory-bytes", "2GiB"]
        self.command += ["--max-model-len", "4096", *args.keel_flag]
        if quantization not in ("", "bf16"):
            self.command += ["--quantize", quantization]

    def run(self, batch: int, prompt: int, new: int) -> tuple[float, float]:
        cell = ["--batch", batch, "--prompt-tokens", prompt, "--new-tokens", new]
        command = [str(part) for part in self.command + cell]
        out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if out.returncode != 0:
            raise RuntimeError(out.stderr)
        (row,) = json.loads(out.stdout)["results"]
        return row["prefill"]["median"], row["decode"]["median"]


class Peer:
    def __init__(self, name: str, args: argparse.Namespace) -> None:
        checkpoint = args.shapes / args.shape
        command = [sys.executable, HERE / "peer.py", name, checkpoint, args.cache]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.read()

    def read(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"peer ended with {self.process.wait()}")

    def run(self, batch: int, prompt: int, new: int) -> tuple[float, float]:
        print(batch, prompt, new, file=self.process.stdin, flush=True)
        times = self.read()
        return batch * prompt / times["prefill"], batch * new / times["decode"]


def parse_cell(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}, expected BATCHxPROMPT+NEW")
    return tuple(map(int, match.groups()))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    parser.add_argument("--shape", required=True, help="as //apps:bench knows it")
    parser.add_argument("--cells", nargs="+", type=parse_cell, default=[(1, 512, 128)])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--who", nargs="+", default=["keel", "llama.cpp:bf16", "transformers:bf16"])
    parser.add_argument("--keel", type=pathlib.Path, default=ROOT / "bazel-bin/apps/bench/bench")
    parser.add_argument("--keel-flag", action="append", default=[], help="more flags for Keel")
    parser.add_argument("--shapes", type=pathlib.Path, default=cache / "keel/shapes")
    parser.add_argument("--cache", type=pathlib.Path, default=cache / "keel/peers")
    parser.add_argument("--out", type=pathlib.Path, help="every sample, a JSON line each")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    keel = Keel("keel", args)
    keel.run(1, 16, 2)  # writes the weights that peers read, if need be
    people = {
        name: Keel(name, args) if name.split(":")[0] == "keel" else Peer(name, args)
        for name in args.who
    }
    samples: dict[tuple, list[tuple[float, float]]] = {}
    for round_ in range(args.rounds):
        turn = list(people)
        turn = turn[round_ % len(turn) :] + turn[: round_ % len(turn)]
        for cell in args.cells:
            for name in turn:
                rates = people[name].run(*cell)
                samples.setdefault((cell, name), []).append(rates)
                label = "{}x{}+{}".format(*cell)
                print(
                    f"round {round_ + 1}  {label:12} {name:18} prefill {rates[0]:9.1f}"
                    f"  decode {rates[1]:8.2f}",
                    file=sys.stderr,
                )
                if args.out is not None:
                    sample = {"shape": args.shape, "cell": label, "who": name, "round": round_}
                    sample |= {"prefill": rates[0], "decode": rates[1]}
                    with args.out.open("a") as file:
                        print(json.dumps(sample), file=file)
    print(f"{args.shape}, medians of {args.rounds} rounds, tokens/s")
    for cell in args.cells:
        first = None
        for name in people:
            medians = [statistics.median(rates) for rates in zip(*samples[cell, name])]
            first = first or medians
            prefill, decode = (f"{m:9.1f} ({m / f:4.2f})" for m, f in zip(medians, first))
            label = "{}x{}+{}".format(*cell)
            print(f"{label:12} {name:18} prefill {prefill}  decode {decode}")


if __name__ == "__main__":
    main()
