"""keel-check: every family passes, and what is broken fails its own clause and no other."""

import hashlib
import json
import pathlib
import re
import struct
import subprocess
import tempfile
import unittest

from tests.server import checkpoints

PROGRAM = pathlib.Path("apps/check/check").absolute()
EXPORT = pathlib.Path("apps/plugin/plugin").absolute()
PAGE = pathlib.Path("docs/check.md")
WRONG_TP_PLAN = pathlib.Path("tests/plugins/libwrong_tp_plan.so").absolute()
# Some variants are configs alone.
FAMILIES = sorted(
    {path.parent for path in pathlib.Path("plugins").glob("*/testdata/*/model*.safetensors")}
)


def run(*flags: object) -> subprocess.CompletedProcess[str]:
    words = [str(flag) for flag in (PROGRAM, *flags)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


class Report:
    """What `--json` printed."""

    def __init__(self, *flags: object) -> None:
        done = run(*flags, "--json")
        self.code = done.returncode
        self.json = json.loads(done.stdout) if done.stdout else {"clauses": []}
        self.error = done.stderr
        self.clauses = {clause["code"]: clause for clause in self.json["clauses"]}

    def of(self, verdict: str) -> set[int]:
        return {
            int(code.rpartition("-")[2])
            for code, clause in self.clauses.items()
            if clause["verdict"] == verdict
        }

    def clause(self, code: int) -> dict:
        return self.clauses[f"KEEL-CHK-{code}"]


class CheckTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.model = checkpoints.copy(pathlib.Path(directory.name) / "model")

    def edit(self, **keys: object) -> None:
        checkpoints.edit_json(self.model / "config.json", lambda config: config.update(keys))

    def edit_header(self, edit) -> None:
        checkpoints.edit_safetensors(self.model / "model.safetensors", edit)

    def assert_fails(self, code: int, *flags: object, says: str = "") -> Report:
        report = Report(self.model, *flags)
        self.assertEqual(report.of("fail"), {code}, report.json)
        self.assertEqual(report.code, 1)
        self.assertFalse(report.json["passed"])
        clause = report.clause(code)
        self.assertIn(says, clause["found"] + " ".join(clause["details"]))
        self.assertNotEqual(clause["remedy"], "")
        return report


class GoodTest(CheckTest):
    def test_every_family(self) -> None:
        self.assertGreaterEqual(len(FAMILIES), 9)
        for model in FAMILIES:
            with self.subTest(str(model)):
                report = Report(model)
                # Most of the tiny checkpoints have no tokenizer.
                has_text = (model / "tokenizer.json").exists()
                self.assertEqual(report.of("fail"), set() if has_text else {701}, report.json)
                # Sizes that follow from others, which a family need not read.
                self.assertLessEqual(report.of("warn"), {208}, report.json)
                self.assertEqual(report.code, 0 if has_text else 1)

    def test_what_it_says_of_llama(self) -> None:
        report = Report(self.model, "--kv-cache-memory-bytes", "1MiB")
        self.assertEqual(report.of("warn") | report.of("fail") | report.of("skip"), set())
        self.assertIn("native", report.clause(204)["found"])
        self.assertIn("in-tree serves LlamaForCausalLM", report.clause(204)["found"])
        self.assertEqual(len(report.clause(204)["details"]), 4)
        self.assertEqual(report.clause(301)["found"], "paged")
        self.assertIn(
            "layers.*.mlp.down_proj: rowwise, 2 objects", report.clause(401)["details"]
        )
        self.assertEqual(report.clause(402)["found"], "2, 4")
        # Two layers of two heads of 16, keys and values, float32.
        self.assertIn("512 bytes a token", report.clause(601)["found"])
        self.assertIn("4 sequences at full length", report.clause(603)["found"])

    def test_a_cache_of_fewer_bits(self) -> None:
        report = Report(self.model, "--kv-cache-dtype", "fp8")
        # A byte a number, and a scale of four for each head of each token.
        self.assertIn("160 bytes a token", report.clause(601)["found"])
        self.assertIn("float8_e4m3fn", report.clause(601)["details"][0])

    def test_a_model_that_keeps_states(self) -> None:
        report = Report("plugins/mamba2/testdata/default")
        self.assertEqual(report.clause(301)["found"], "the model has none")
        self.assertEqual(report.clause(302)["found"], "0 attentions, 4 recurrent states")
        self.assertIn("recurrent states", report.clause(601)["details"][0])

    def test_a_model_that_encodes(self) -> None:
        report = Report("plugins/bert/testdata/default")
        self.assertEqual(report.clause(302)["found"], "2 attentions, 0 recurrent states")
        self.assertEqual(report.clause(603)["found"], "0 bytes for a sequence of 128 tokens")

    def test_the_table(self) -> None:
        done = run(self.model)
        self.assertEqual(done.returncode, 0, done.stdout)
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("pass  KEEL-CHK-101  the model is found: "))
        self.assertRegex(lines[-1], r"^\d+ pass, 0 fail$")
        self.assertNotIn("\033", done.stdout)

    def test_a_key_that_nobody_reads_is_a_warning(self) -> None:
        self.edit(mystery_factor=3, mystery_switch=False)
        report = Report(self.model)
        self.assertEqual((report.of("warn"), report.code), ({208}, 0))
        self.assertEqual(report.clause(208)["details"], ["mystery_factor: 3"])

    def test_eight_billion_parameters(self) -> None:
        write_sparse_llama_8b(self.model)
        report = Report(self.model, "--max-model-len", "8192", "--tp", "8")
        self.assertEqual(report.of("fail"), set(), report.json)
        self.assertIn("128.0 KiB a token", report.clause(601)["found"])
        self.assertIn("1.0 GiB for a sequence of 8192", report.clause(603)["found"])


class GraphFileTest(CheckTest):
    """The tiny Llama by its graph, in a file beside it."""

    def setUp(self) -> None:
        super().setUp()
        self.graph = self.model / "keel-graph.pb"
        command = [EXPORT, "export-graph", self.model, "--output", self.graph, "--no-manifest"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.flags = ("--model-impl", "transformers")

    def test_what_it_says(self) -> None:
        report = Report(self.model, *self.flags)
        self.assertEqual(report.of("warn") | report.of("fail") | report.of("skip"), set())
        self.assertIn("serves LlamaForCausalLM by keel-graph.pb", report.clause(204)["found"])
        digest = hashlib.sha256((self.model / "config.json").read_bytes()).hexdigest()
        self.assertEqual(report.clause(210)["found"], f"sha256 {digest}")
        self.assertEqual(Report(self.model).clause(210)["found"], "no graph file serves it")

    def test_another_config(self) -> None:
        self.edit(mystery_factor=3)
        report = self.assert_fails(210, *self.flags, says="was made for a config.json with sha256")
        self.assertIn(f"keel export-transformers {self.model}", report.clause(210)["remedy"])

    def test_damage(self) -> None:
        self.graph.write_bytes(self.graph.read_bytes()[:-3])
        report = self.assert_fails(206, *self.flags, says="keel-graph.pb: is damaged")
        self.assertIn("export the graph again", report.clause(206)["remedy"])

    def test_a_name_that_is_left_over(self) -> None:
        self.edit_header(
            lambda h: h.update({"model.layers.0.mlp.up_proj.bias": dict(h["model.norm.weight"])})
        )
        report = self.assert_fails(503, *self.flags, says="mlp.up_proj.bias")
        self.assertIn("export the graph again", report.clause(503)["remedy"])

    def test_no_such_file(self) -> None:
        self.graph.unlink()
        self.assert_fails(204, *self.flags, says=f"keel export-transformers {self.model}")
        self.assert_fails(202, "--graph-dir", self.model / "none", says="--graph-dir")


class BrokenTest(CheckTest):
    def test_no_such_model(self) -> None:
        self.model = self.model / "nowhere"
        self.assert_fails(101)

    def test_config(self) -> None:
        (self.model / "config.json").write_text("{")
        self.assert_fails(102)

    def test_quantized(self) -> None:
        self.edit(quantization_config={"quant_method": "awq"})
        self.assert_fails(104, says="awq")

    def test_truncated_weights(self) -> None:
        path = self.model / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        self.assert_fails(105)

    def test_unknown_architecture(self) -> None:
        self.edit(architectures=["LamaForCausalLM"])
        report = self.assert_fails(204, says="nearest: LlamaForCausalLM")
        self.assertIn("keel export-transformers", report.clause(204)["remedy"])

    def test_python_alone(self) -> None:
        self.edit(
            architectures=["MineForCausalLM"],
            auto_map={"AutoModelForCausalLM": "modeling_mine.MineForCausalLM"},
        )
        report = self.assert_fails(203, says="modeling_mine")
        self.assertIn(f"keel export-transformers {self.model}", report.clause(203)["remedy"])
        self.assertEqual(report.clause(204)["verdict"], "skip")

    def test_python_beside_an_architecture_that_is_served(self) -> None:
        self.edit(auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})
        self.assertEqual(Report(self.model).of("fail"), set())

    def test_model_impl(self) -> None:
        self.assert_fails(204, "--model-impl", "plugin", says="--model-impl excludes it")
        self.assert_fails(204, "--model-impl", "transformers", says="no graph of the Python class")

    def test_config_without_a_size(self) -> None:
        checkpoints.edit_json(self.model / "config.json", lambda c: c.pop("intermediate_size"))
        self.assert_fails(206, says="intermediate_size is missing")

    def test_attention_implementation(self) -> None:
        self.assert_fails(301, "--attention-implementation", "org.nobody.flash")

    def test_wrong_tp_plan(self) -> None:
        self.edit(architectures=["WrongTpPlanForCausalLM"])
        report = self.assert_fails(401, "--plugin", WRONG_TP_PLAN, says="base_model_tp_plan")
        self.assertIn("layers.*.mlp.down_proj: colwise, 2 objects", report.clause(401)["details"])

    def test_heads_that_do_not_divide(self) -> None:
        self.assert_fails(402, "--tp", "2", "3", says="3 ranks don't divide")
        self.assert_fails(402, "--tensor-parallel-size", "3", says="num_attention_heads")

    def test_missing_tensor(self) -> None:
        self.edit_header(lambda header: header.pop("model.layers.1.mlp.up_proj.weight"))
        self.assert_fails(502, says="model.layers.1.mlp.up_proj.weight")

    def test_extra_tensor(self) -> None:
        def copy(header: dict) -> None:
            header["model.layers.0.mlp.up_proj.bias"] = dict(header["model.norm.weight"])

        self.edit_header(copy)
        self.assert_fails(503, says="model.layers.0.mlp.up_proj.bias")

    def test_tensor_of_a_part_that_is_not_there(self) -> None:
        self.edit_header(lambda h: h.update({"mtp.weight": dict(h["model.norm.weight"])}))
        report = Report(self.model)
        self.assertEqual((report.of("fail"), report.of("warn")), (set(), {503}))

    def test_shape(self) -> None:
        self.edit(intermediate_size=48)
        self.assert_fails(504, says="mlp.up_proj.weight")

    def test_too_long(self) -> None:
        self.assert_fails(603, "--max-model-len", "100000")
        self.assert_fails(603, "--kv-cache-memory-bytes", "1000", says="too little")

    def test_tokenizer(self) -> None:
        (self.model / "tokenizer.json").write_text("{}")
        self.assert_fails(701)

    def test_ids_beyond_the_vocabulary(self) -> None:
        path = self.model / "generation_config.json"
        checkpoints.edit_json(path, lambda config: config.update(eos_token_id=100000))
        self.assert_fails(702, says="100000")

    def test_a_processor_is_named_with_its_hooks(self) -> None:
        for processor, expected in (
            ("Qwen2_5_VLProcessor", "get_num_multimodal_tokens (count): the plugin's"),
            ("NobodysProcessor", ""),
        ):
            checkpoints.edit_json(
                self.model / "tokenizer_config.json",
                lambda config, name=processor: config.update(processor_class=name),
            )
            report = Report(self.model)
            self.assertEqual(report.of("fail"), set())
            self.assertIn(expected, str(report.clause(704)))

    def test_wrong_flags(self) -> None:
        done = run(self.model, "--tp", "0")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(run(self.model, "--nonsense").returncode, 2)


class PageTest(unittest.TestCase):
    def test_the_table_of_docs_has_every_clause(self) -> None:
        rows = re.findall(r"^\| `(KEEL-CHK-\d+)` \| ([^|]+?) \|", PAGE.read_text(), re.MULTILINE)
        clauses = [(clause["code"], clause["title"]) for clause in Report().json["clauses"]]
        self.assertEqual(rows, clauses)


# Llama-3-8B's sizes: 8.03e9 parameters in bfloat16, whose bytes are holes in the files.
LLAMA_8B = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "dtype": "bfloat16",
}


def write_sparse_llama_8b(model: pathlib.Path, num_shards: int = 4) -> None:
    checkpoints.edit_json(model / "config.json", lambda config: config.update(LLAMA_8B))
    (model / "model.safetensors").unlink()
    hidden, mlp, kv, vocab = 4096, 14336, 1024, 128256
    shapes = {"model.embed_tokens": [vocab, hidden], "lm_head": [vocab, hidden]}
    shapes["model.norm"] = [hidden]
    for i in range(32):
        layer = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[layer + name] = [hidden]
        for name, out in (("q", hidden), ("k", kv), ("v", kv), ("o", hidden)):
            shapes[layer + f"self_attn.{name}_proj"] = [out, hidden]
        for name in ("gate", "up"):
            shapes[layer + f"mlp.{name}_proj"] = [mlp, hidden]
        shapes[layer + "mlp.down_proj"] = [hidden, mlp]
    names = sorted(shapes)
    weight_map = {}
    for shard in range(num_shards):
        file = f"model-{shard + 1:05}-of-{num_shards:05}.safetensors"
        header, end = {}, 0
        for name in names[shard::num_shards]:
            size = 2
            for dim in shapes[name]:
                size *= dim
            offsets = [end, end + size]
            header[name + ".weight"] = {
                "dtype": "BF16",
                "shape": shapes[name],
                "data_offsets": offsets,
            }
            end += size
            weight_map[name + ".weight"] = file
        text = json.dumps(header).encode()
        with open(model / file, "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            out.truncate(8 + len(text) + end)
    index = {"metadata": {}, "weight_map": weight_map}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


if __name__ == "__main__":
    unittest.main()
