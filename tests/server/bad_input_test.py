"""Wrong input from outside is refused in words that say what to do, and the server lives."""

import json
import pathlib
import socket
import tempfile
import unittest
from collections.abc import Callable
from typing import Any

from tests.server import checkpoints
from tests.server.serving import Response, Server, run_to_end

PLUGINS = pathlib.Path("tests/plugins").absolute()
SOME_LIBRARY = pathlib.Path("/lib/x86_64-linux-gnu/libm.so.6")


class StartTest(unittest.TestCase):
    """A server that cannot start ends with one message and a status that is not 0."""

    dir: pathlib.Path

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.dir = pathlib.Path(temporary.name)

    def refused(
        self, *flags: str, words: list[str], status: int = 1, env: dict[str, str] | None = None
    ) -> None:
        result = run_to_end(*flags, env=env)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        message = result.stderr.splitlines()[-1]
        self.assertTrue(message.startswith("keel-server: "), message)
        for word in words:
            self.assertIn(word, message)

    def checkpoint_refused(
        self, break_it: Callable[[pathlib.Path], object], words: list[str]
    ) -> None:
        directory = checkpoints.copy(self.dir / "broken")
        break_it(directory)
        self.refused("--model", str(directory), words=[str(directory), *words])

    def config_refused(self, edit: Callable[[dict[str, Any]], object], words: list[str]) -> None:
        self.checkpoint_refused(
            lambda directory: checkpoints.edit_json(directory / "config.json", edit), words
        )

    def plugin_refused(self, path: pathlib.Path, words: list[str]) -> None:
        self.refused("--plugin-path", str(path), words=["--plugin-path", str(path), *words])

    # The checkpoint.

    def test_architecture_that_is_not_known(self) -> None:
        self.config_refused(
            lambda config: config.update(architectures=["LlamaForCausalLn"]),
            [
                "no plugin serves LlamaForCausalLn",
                "libllama.so",
                "nearest: LlamaForCausalLM",
                "--plugin-path",
            ],
        )

    def test_config_key_that_is_missing(self) -> None:
        self.config_refused(
            lambda config: config.pop("hidden_size"),
            ["config.json", "hidden_size", "is missing, expected"],
        )

    def test_config_key_of_a_wrong_type(self) -> None:
        self.config_refused(
            lambda config: config.update(num_hidden_layers="two"),
            ["config.json", "num_hidden_layers", '"two" (a string)', "expected"],
        )

    def test_config_that_is_no_json(self) -> None:
        self.checkpoint_refused(
            lambda directory: (directory / "config.json").write_text('{"hidden_size": 64,,}'),
            ["config.json:1:20: syntax error"],
        )

    def test_quantized_weights(self) -> None:
        self.config_refused(
            lambda config: config.update(quantization_config={"quant_method": "gptq", "bits": 4}),
            ["config.json: quantization_config", "'gptq'", "not served yet", "bfloat16"],
        )

    def test_tensor_that_is_missing(self) -> None:
        name = "model.layers.1.self_attn.k_proj.weight"
        self.checkpoint_refused(
            lambda directory: checkpoints.edit_safetensors(
                directory / "model.safetensors", lambda header: header.pop(name)
            ),
            [name, "not in the checkpoint", "LlamaForCausalLM"],
        )

    def test_tensor_of_a_wrong_shape(self) -> None:
        name = "model.norm.weight"
        self.checkpoint_refused(
            lambda directory: checkpoints.edit_safetensors(
                directory / "model.safetensors", lambda header: header[name].update(shape=[8, 8])
            ),
            [name, "[8, 8]", "expected [64]"],
        )

    def test_weights_cut_short(self) -> None:
        def cut(directory: pathlib.Path) -> None:
            file = directory / "model.safetensors"
            file.write_bytes(file.read_bytes()[:-1000])

        self.checkpoint_refused(
            cut, ["model.safetensors", "the file holds only", "cut short, download it again"]
        )

    def test_weights_with_a_corrupt_header(self) -> None:
        def corrupt(directory: pathlib.Path) -> None:
            content = bytearray((directory / "model.safetensors").read_bytes())
            content[20:24] = b"\0\0\0\0"
            (directory / "model.safetensors").write_bytes(content)

        self.checkpoint_refused(
            corrupt, ["model.safetensors: header:1:13: syntax error", "the file is damaged"]
        )

    def test_weights_that_are_another_format(self) -> None:
        self.checkpoint_refused(
            lambda directory: (directory / "model.safetensors").write_bytes(b"\xff" * 4096),
            ["model.safetensors", "no safetensors file", "the header's length is"],
        )

    def test_weights_that_are_a_pickle(self) -> None:
        def rename(directory: pathlib.Path) -> None:
            (directory / "model.safetensors").rename(directory / "pytorch_model.bin")

        self.checkpoint_refused(rename, ["pytorch_model.bin", "pickle", "safe_serialization=True"])

    def test_no_tokenizer(self) -> None:
        self.checkpoint_refused(
            lambda directory: (directory / "tokenizer.json").unlink(),
            ["has no tokenizer.json; download it"],
        )

    # Tokenizer and template are tried in a limited child before the server uses them.

    def test_tokenizer_whose_padding_no_memory_holds(self) -> None:
        padding = {
            "strategy": {"Fixed": 10**12},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<s>",
        }
        self.checkpoint_refused(
            lambda directory: checkpoints.edit_json(
                directory / "tokenizer.json", lambda tokenizer: tokenizer.update(padding=padding)
            ),
            ["tokenizer.json", "padding to 1000000000000"],
        )

    def test_tokenizer_whose_text_grows_without_end(self) -> None:
        tenfold = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
        grow = {"type": "Sequence", "normalizers": [tenfold] * 12}
        self.checkpoint_refused(
            lambda directory: checkpoints.edit_json(
                directory / "tokenizer.json", lambda tokenizer: tokenizer.update(normalizer=grow)
            ),
            ["tokenizer.json: tokenizing", "memory allocation of"],
        )

    def test_template_that_loops(self) -> None:
        loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        self.checkpoint_refused(
            lambda directory: (directory / "chat_template.jinja").write_text(loop),
            ["chat_template.jinja", "too many instructions"],
        )

    def test_template_that_does_not_compile(self) -> None:
        self.checkpoint_refused(
            lambda directory: (directory / "chat_template.jinja").write_text("{% if %}"),
            ["chat_template.jinja: line 1: syntax error"],
        )

    # Plugins.

    def test_plugin_that_is_no_library(self) -> None:
        self.plugin_refused(PLUGINS / "not_elf.so", ["not a shared library (not an ELF file)"])

    def test_plugin_that_is_another_library(self) -> None:
        self.plugin_refused(SOME_LIBRARY, ["keel_plugin_entry_v1"])

    def test_plugin_of_another_abi(self) -> None:
        self.plugin_refused(
            PLUGINS / "libbad_abi_2.so", ["needs ABI 2.", "this host speaks 0.", "build it with"]
        )

    def test_plugin_that_exports_too_much(self) -> None:
        self.plugin_refused(PLUGINS / "libbad_extra_export.so", ["exports", "helper", "plugin.lds"])

    def test_plugin_that_is_not_there(self) -> None:
        self.plugin_refused(self.dir / "libnone.so", ["No such file or directory"])

    # Flags.

    def test_flag_that_is_not_known(self) -> None:
        self.refused(
            "--max-num-seq", "4", words=["unknown flag", "did you mean --max-num-seqs?"], status=2
        )
        self.refused("--colour", words=["unknown flag --colour", "-h lists them"], status=2)

    def test_flag_of_a_wrong_type(self) -> None:
        for flag, value, words in (
            ("--port", "http", ["--port is 'http', expected PORT (TCP port"]),
            ("--port", "70000", ["--port is '70000', expected PORT"]),
            ("--max-num-seqs", "many", ["--max-num-seqs is 'many', expected a whole number"]),
        ):
            with self.subTest(flag=flag, value=value):
                self.refused(flag, value, words=words, status=2)

    def test_flag_without_its_value(self) -> None:
        self.refused(
            "--max-body-bytes", words=["--max-body-bytes has no value, expected BYTES"], status=2
        )

    def test_word_that_is_no_model(self) -> None:
        self.refused("nowhere", words=["'nowhere' was not found"])
        self.refused(
            "--deterministic", "true", words=["unexpected argument 'true'", "a switch"], status=2
        )

    def test_flag_of_another_server(self) -> None:
        self.refused(
            "--gpu-memory-utilization",
            "0.9",
            words=["--gpu-memory-utilization", "--kv-cache-memory-share"],
            status=2,
        )

    def test_dtype_that_is_not_known(self) -> None:
        self.refused(
            "--dtype",
            "int3",
            words=["--dtype is 'int3'", "expected auto, bfloat16"],
            status=2,
        )

    def test_directory_that_is_missing(self) -> None:
        missing = self.dir / "nowhere"
        self.refused("--model", str(missing), words=["was not found", f"{missing} (no directory)"])

    def test_directory_without_a_checkpoint(self) -> None:
        self.refused(
            "--model", str(self.dir), words=[f"{self.dir}: has no config.json", "Hugging Face"]
        )

    def test_id_that_is_not_in_the_cache(self) -> None:
        self.refused(
            "--model",
            "org/name",
            words=[
                "'org/name' was not found",
                f"{self.dir}/hub/models--org--name (does not exist",
                "set by HF_HOME",
                "download the model first",
            ],
            env={"HF_HOME": str(self.dir)},
        )

    def test_port_that_is_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.refused(f"--port={port}", words=[f"127.0.0.1:{port} is in use", "with --port"])

    def test_host_that_is_not_ours(self) -> None:
        self.refused("--host", "192.0.2.1", words=["192.0.2.1", "another address with --host"])


class RequestTest(unittest.TestCase):
    """A request that cannot be served is answered so, and the next one is served."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--max-body-bytes", "2000000")
        cls.addClassCleanup(cls.server.stop)

    def tearDown(self) -> None:
        self.assertEqual(self.server.get("/health").status, 200)
        answer = self.server.post("/v1/completions", {"prompt": "A", "max_tokens": 1})
        self.assertEqual(answer.status, 200)

    def refused(
        self, response: Response, words: list[str], status: int = 400, param: str | None = None
    ) -> None:
        self.assertEqual(response.status, status, response.body)
        error = response.error()
        self.assertEqual(error["param"], param)
        for word in words:
            self.assertIn(word, error["message"])

    def test_body_that_is_no_json(self) -> None:
        for path in ("/v1/completions", "/v1/chat/completions", "/tokenize"):
            for body, words in (
                ("", ["no valid JSON", "near byte 0"]),
                ('{"prompt": "A"', ["no valid JSON"]),
                ('{"prompt": "A"} {}', ["no valid JSON", "near byte 16"]),
                ("[" * 100_000, ["no valid JSON", "near byte"]),
                (b'{"prompt": "\xff"}', ["no valid JSON", "near byte 12"]),
                ('["prompt"]', ["a list of 1", "expected a JSON object"]),
            ):
                with self.subTest(path=path, body=body[:20]):
                    self.refused(self.server.request("POST", path, body), words)

    def test_values_of_wrong_types(self) -> None:
        for field, value, words in (
            ("prompt", {"text": "A"}, ["prompt is an object of 1", "expected a string"]),
            ("prompt", [1, "A"], ["prompt is a list of 2", "token ids"]),
            ("prompt", [-1], ["prompt is a list of 1", "token ids"]),
            ("max_tokens", "many", ['max_tokens is "many" (a string)', "expected a whole number"]),
            ("max_tokens", 1.5, ["max_tokens is 1.5", "expected a whole number"]),
            ("stream", "yes", ['stream is "yes" (a string)', "expected true or false"]),
            ("stop", [1], ["stop[0] is 1 (a number)", "expected a string"]),
            ("logit_bias", [1], ["logit_bias is a list of 1", "expected an object"]),
            ("seed", 2**70, ["seed is", "expected a whole number"]),
        ):
            with self.subTest(field=field, value=value):
                response = self.server.post("/v1/completions", {"prompt": "A", field: value})
                param = "stop[0]" if field == "stop" else field
                self.refused(response, words, param=param)

    def test_messages_of_wrong_types(self) -> None:
        for messages, param, words in (
            ("Hi", "messages", ['messages is "Hi" (a string)', "expected a list"]),
            (["Hi"], "messages[0]", ['messages[0] is "Hi"', "role and content"]),
            ([{"role": "user"}], "messages[0].content", ["messages[0] has no content"]),
            ([{"content": "Hi"}], "messages[0].role", ["messages[0] has no role"]),
        ):
            with self.subTest(messages=messages):
                response = self.server.post("/v1/chat/completions", {"messages": messages})
                self.refused(response, words, param=param)

    def test_what_is_not_served_is_said(self) -> None:
        message = {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:,"}}],
        }
        response = self.server.post("/v1/chat/completions", {"messages": [message]})
        self.refused(
            response,
            ["messages[0].content[0] is an image", "does not take: it reads text alone"],
            param="messages[0].content[0]",
        )

    def test_prompt_that_is_too_long(self) -> None:
        # A megabyte.
        response = self.server.post("/v1/completions", {"prompt": "river " * 170_000})
        self.refused(
            response,
            ["prompt has ", " tokens", "at most 2047", "max_model_len 2048", "shorten it"],
            param="prompt",
        )

    def test_prompt_and_answer_that_are_too_long(self) -> None:
        response = self.server.post("/v1/completions", {"prompt": [5] * 2000, "max_tokens": 100})
        self.refused(
            response,
            ["max_tokens is 100", "the prompt has 2000 tokens", "ask for at most 48"],
            param="max_tokens",
        )

    def test_body_over_the_limit(self) -> None:
        body = json.dumps({"prompt": "A" * 3_000_000})
        self.refused(
            self.server.request("POST", "/v1/completions", body),
            ["longer than --max-body-bytes allows (2000000 bytes)"],
            status=413,
        )


if __name__ == "__main__":
    unittest.main()
