"""Keel's server beside llama.cpp's on the same random weights, in one run: each round loads every
server once with each number of streams.

  ./bazelw build //apps:server //apps:bench
  python tests/bench/servers.py --llama-server llama.cpp/build/bin/llama-server --shape qwen2.5-0.5b

Both are asked by `bench serve`: the same prompts, as token ids, answers of a fixed length that
nothing ends; as one ends, the next begins. Neither finds anything of a prompt in a cache. The order
rotates from round to round, since a virtual machine may be throttled after a busy time. Prints
medians, and in brackets how many times the first one's rate that is. Needs numpy and gguf.
"""

import argparse
import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import gguf_file

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
START_SECONDS = 600
FIELDS = ("output_throughput", "median_ttft_ms", "median_itl_ms", "p99_itl_ms")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def keel_command(args: argparse.Namespace, precision: str, port: int) -> list[str]:
    command = [args.server, "--model", args.shapes / args.shape, "--dtype", "bfloat16"]
    if precision not in ("", "bf16"):
        command += ["--quantize", precision]
    command += ["--max-model-len", context(args), "--max-num-seqs", max(args.streams)]
    command += ["--kv-cache-memory-bytes", "2GiB", "--no-enable-prefix-caching"]
    return command + ["--port", port, "--no-access-log", *args.keel_flag]


def llama_command(args: argparse.Namespace, precision: str, port: int) -> list[str]:
    checkpoint = args.shapes / args.shape
    path = args.cache / f"{checkpoint.name}-{precision}-texts.gguf"
    if not path.exists():
        args.cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        gguf_file.write(checkpoint, partial, precision=precision, has_vocabulary=True)
        partial.rename(path)
    threads = len(os.sched_getaffinity(0))
    command = [args.llama_server, "--model", path, "--port", port, "--threads", threads]
    command += ["--threads-batch", threads, "--parallel", max(args.streams)]
    command += ["--ctx-size", max(args.streams) * context(args), "--no-kv-unified"]
    return command + ["--no-cache-prompt", "--cache-ram", 0, "--no-ui", *args.llama_flag]


def context(args: argparse.Namespace) -> int:
    """Tokens of a stream, as many as llama.cpp rounds them to."""
    return -(-(args.prompt_tokens + args.new_tokens + 1) // 256) * 256


@contextlib.contextmanager
def running(name: str, args: argparse.Namespace) -> Iterator[str]:
    """The address of a server that is ready."""
    kind, _, precision = name.partition(":")
    port = free_port()
    make = {"keel": keel_command, "llama.cpp": llama_command}[kind]
    command = [str(part) for part in make(args, precision, port)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            end = time.monotonic() + START_SECONDS
            while not is_ready(port):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"{name} does not start:\n{log.read()[-3000:]}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def load(url: str, streams: int, args: argparse.Namespace) -> dict[str, float]:
    command = [args.bench, "serve", "--base-url", url, "--max-concurrency", streams]
    command += ["--requests", streams * args.requests, "--vocab-size", args.vocab_size, "--json"]
    command += ["--prompt-tokens", args.prompt_tokens, "--new-tokens", args.new_tokens]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if out.returncode != 0:
        raise RuntimeError(out.stderr)
    report = json.loads(out.stdout)
    expected = streams * args.requests * args.new_tokens
    if report["failed"] or report["total_output_tokens"] != expected:
        raise RuntimeError(f"{url}: {expected} tokens were asked for: {out.stdout}")
    return report


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    parser.add_argument("--llama-server", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--shape", default="qwen2.5-0.5b", help="as //apps:bench knows it")
    parser.add_argument(
        "--who",
        nargs="+",
        default=["keel", "llama.cpp:bf16"],
        help="keel or keel:int8 and the like, llama.cpp:bf16, llama.cpp:q8_0",
    )
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=2, help="of each stream, one by one")
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    built = ROOT / "bazel-bin/apps"
    parser.add_argument("--server", type=pathlib.Path, default=built / "server/server")
    parser.add_argument("--bench", type=pathlib.Path, default=built / "bench/bench")
    parser.add_argument("--keel-flag", action="append", default=[], help="more flags for Keel")
    parser.add_argument("--llama-flag", action="append", default=[], help="for llama-server")
    parser.add_argument("--shapes", type=pathlib.Path, default=cache / "keel/shapes")
    parser.add_argument("--cache", type=pathlib.Path, default=cache / "keel/peers")
    parser.add_argument("--out", type=pathlib.Path, help="every sample, a JSON line each")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Writes the weights, if need be.
    cell = ["--batch", "1", "--prompt-tokens", "16", "--new-tokens", "2", "--repeats", "1"]
    command = [args.bench, "--shape", args.shape, "--kv-cache-memory-bytes", "1GiB", *cell]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    config = json.loads((args.shapes / args.shape / "config.json").read_text())
    args.vocab_size = config["vocab_size"]
    samples: dict[tuple[int, str], list[list[float]]] = {}
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(running(name, args)) for name in args.who}
        for url in urls.values():
            load(url, 1, args)  # to warm up
        for round_ in range(args.rounds):
            turn = args.who[round_ % len(args.who) :] + args.who[: round_ % len(args.who)]
            for streams in args.streams:
                for name in turn:
                    report = load(urls[name], streams, args)
                    figures = [report[field] for field in FIELDS]
                    samples.setdefault((streams, name), []).append(figures)
                    words = f"round {round_ + 1}  {streams:3} streams  {name:16}"
                    print(f"{words} {figures[0]:8.1f} tokens/s", file=sys.stderr)
                    if args.out is not None:
                        sample = {"streams": streams, "who": name, "round": round_, **report}
                        with args.out.open("a") as file:
                            print(json.dumps(sample), file=file)
    print(
        f"{args.shape}, prompts of {args.prompt_tokens} tokens, answers of {args.new_tokens}, "
        f"medians of {args.rounds} rounds"
    )
    for streams in args.streams:
        first = statistics.median(row[0] for row in samples[streams, args.who[0]])
        for name in args.who:
            rate, ttft, itl, p99 = map(statistics.median, zip(*samples[streams, name]))
            print(
                f"{streams:3} streams  {name:16} {rate:8.1f} tokens/s ({rate / first:4.2f})  "
                f"first token {ttft:8.0f} ms  between tokens {itl:6.1f} ms, p99 {p99:6.1f}"
            )


if __name__ == "__main__":
    main()
