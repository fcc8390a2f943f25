"""One peer with one model, kept loaded: reads a line `BATCH PROMPT NEW`, runs it, answers with a
line of JSON.

  peer.py
  llama.cpp:bf16|llama.cpp:q8_0|llama.cpp:q4_0|transformers:bf16|transformers:fp32
  |openvino:fp16|openvino:int8|openvino:int4
  CHECKPOINT CACHE

Times are seconds: `prefill` until every prompt has its first token, `decode` for NEW more tokens of
each. What a peer needs beside the checkpoint (a GGUF file, an OpenVINO model) is kept in the
directory CACHE.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

THREADS = int(os.environ.get("THREADS", len(os.sched_getaffinity(0))))


class LlamaCpp:
    TYPES = {"bf16": None, "q8_0": 7, "q4_0": 2}  # llama_ftype

    @classmethod
    def library(cls):
        """Without its log."""
        import llama_cpp

        cls.quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(cls.quiet, None)
        return llama_cpp

    @classmethod
    def quantized(
        cls, precision: str, checkpoint: pathlib.Path, cache: pathlib.Path
    ) -> pathlib.Path:
        """The GGUF file, which is made in the directory CACHE if need be."""
        import gguf_file

        llama_cpp = cls.library()
        path = cache / f"{checkpoint.name}-bf16.gguf"
        if not path.exists():
            gguf_file.write(checkpoint, path)
        if (ftype := cls.TYPES[precision]) is not None:
            whole, path = path, cache / f"{checkpoint.name}-{precision}.gguf"
            if not path.exists():
                params = llama_cpp.llama_model_quantize_default_params()
                params.ftype, params.nthread = ftype, THREADS
                status = llama_cpp.llama_model_quantize(
                    str(whole).encode(), str(path).encode(), params
                )
                assert status == 0, f"{path}: cannot be quantized"
        return path

    def __init__(self, precision: str, checkpoint: pathlib.Path, cache: pathlib.Path) -> None:
        llama_cpp = self.api = self.library()
        llama_cpp.llama_backend_init()
        path = self.quantized(precision, checkpoint, cache)
        params = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model)
        )

    def decode(self, context, rows: list[tuple[int, int, int, bool]]) -> None:
        batch = self.api.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wants_logits) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = wants_logits
        status = self.api.llama_decode(context, batch)
        assert status == 0, f"llama_decode: {status}"
        self.api.llama_synchronize(context)
        self.api.llama_batch_free(batch)

    def greedy(self, context, row: int) -> int:
        logits = self.api.llama_get_logits_ith(context, row)
        return int(np.ctypeslib.as_array(logits, (self.vocab_size,)).argmax())

    def run(self, batch: int, prompt: int, new: int) -> list[float]:
        api = self.api
        params = api.llama_context_default_params()
        params.n_ctx = batch * ((prompt + new + 256) // 256 * 256)
        params.n_batch, params.n_ubatch, params.n_seq_max = 2048, 512, batch
        params.n_threads = params.n_threads_batch = THREADS
        context = api.llama_init_from_model(self.model, params)
        ids = np.random.default_rng(0).integers(10, 40000, (batch, prompt))
        rows = [
            (int(ids[s, p]), p, s, p + 1 == prompt) for s in range(batch) for p in range(prompt)
        ]
        times = [time.perf_counter()]
        last: dict[int, int] = {}
        for begin in range(0, len(rows), 2048):
            chunk = rows[begin : begin + 2048]
            self.decode(context, chunk)
            for i, (_, _, sequence, wants_logits) in enumerate(chunk):
                if wants_logits:
                    last[sequence] = self.greedy(context, i)
        times.append(time.perf_counter())
        for step in range(new):
            self.decode(context, [(last[s], prompt + step, s, True) for s in range(batch)])
            last = {s: self.greedy(context, s) for s in range(batch)}
            times.append(time.perf_counter())
        api.llama_free(context)
        return times


class Transformers:
    def __init__(self, precision: str, checkpoint: pathlib.Path, cache: pathlib.Path) -> None:
        import torch
        import transformers

        torch.set_num_threads(THREADS)
        self.torch, self.transformers = torch, transformers
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=dtype, attn_implementation="sdpa"
        ).eval()

    def run(self, batch: int, prompt: int, new: int) -> list[float]:
        cache = self.transformers.DynamicCache()
        with self.torch.inference_mode():
            ids = self.torch.randint(10, 40000, (batch, prompt))
            times = [time.perf_counter()]
            for _ in range(1 + new):
                out = self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                ids = out.logits[:, -1:].argmax(-1)
                times.append(time.perf_counter())
        return times


class OpenVino:
    """Weights as optimum-intel's exporter makes them, with each precision's defaults: int8 by
    channel, int4 by groups of 128 where the sizes have them. What they are multiplied in is
    OpenVINO's choice: bfloat16 where the processor has it."""

    WEIGHTS = {
        "fp16": [],
        "int8": [],
        "int4": ["--group-size", "128", "--ratio", "1.0", "--group-size-fallback", "adjust"],
    }

    @classmethod
    def export(cls, precision: str, checkpoint: pathlib.Path, path: pathlib.Path) -> None:
        """By optimum-cli, which may be of another environment: it needs an older transformers."""
        command = [os.environ.get("OPTIMUM_CLI", "optimum-cli"), "export", "openvino"]
        command += ["--model", str(checkpoint), "--task", "text-generation-with-past"]
        command += ["--weight-format", precision, *cls.WEIGHTS[precision]]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment["HF_HUB_OFFLINE"] = "1"
        # Not half a model under the name of a whole one.
        unfinished = path.with_name(path.name + ".unfinished")
        subprocess.run([*command, str(unfinished)], env=environment, stdout=sys.stderr, check=True)
        unfinished.rename(path)

    def __init__(self, precision: str, checkpoint: pathlib.Path, cache: pathlib.Path) -> None:
        import openvino
        import openvino_genai

        self.openvino, self.genai = openvino, openvino_genai
        path = cache / f"{checkpoint.name}-openvino-{precision}"
        if not path.exists():
            self.export(precision, checkpoint, path)
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size, scheduler.max_num_batched_tokens = 2, 2048
        scheduler.max_num_seqs, scheduler.enable_prefix_caching = 64, False
        hints = {"INFERENCE_NUM_THREADS": THREADS}
        self.pipe = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", hints)
        self.requests = 0

    def run(self, batch: int, prompt: int, new: int) -> list[float]:
        config = self.genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = new + 1
        config.ignore_eos, config.do_sample, config.apply_chat_template = True, False, False
        rng = np.random.default_rng(0)
        handles = []
        for _ in range(batch):
            ids = self.openvino.Tensor(rng.integers(10, 40000, (1, prompt)).astype(np.int64))
            handles.append(self.pipe.add_request(self.requests, ids, config))
            self.requests += 1
        times = [time.perf_counter()]
        while self.pipe.has_non_finished_requests():
            self.pipe.step()
            times.append(time.perf_counter())
        # Prompts take as many steps as come before the last NEW ones.
        return [times[0], *times[-(new + 1) :]]


PEERS = {"llama.cpp": LlamaCpp, "transformers": Transformers, "openvino": OpenVino}


def main() -> None:
    kind, precision = sys.argv[1].split(":")
    checkpoint, cache = (pathlib.Path(path).absolute() for path in sys.argv[2:4])
    cache.mkdir(parents=True, exist_ok=True)
    peer = PEERS[kind](precision, checkpoint, cache)
    print(json.dumps({"ready": sys.argv[1]}), flush=True)
    for line in sys.stdin:
        batch, prompt, new = map(int, line.split())
        peer.run(batch, min(prompt, 64), 2)  # whoever sat idle meanwhile is slower once
        times = peer.run(batch, prompt, new)
        result = {"prefill": times[1] - times[0], "decode": times[-1] - times[1]}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
