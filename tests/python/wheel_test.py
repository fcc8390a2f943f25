"""The wheel, installed beside a torch: what is in it, its programs, and transformers' page on
modeling backends with the imports renamed."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path.cwd()
MODEL = ROOT / "apps/demo/model"
(WHEEL,) = (ROOT / "sdk/python").glob("*.whl")

# https://huggingface.co/docs/transformers/main/en/transformers_as_backend, word for word but for
# the names of the packages and of the command.
VLLM = """\
from keel import LLM
llm = LLM(model="meta-llama/Llama-3.2-1B", model_impl="transformers")
"""
VLLM_SERVE = """\
keel serve meta-llama/Llama-3.2-1B \\
    --task generate \\
    --model-impl transformers
"""
SGLANG = """\
import keel as sgl

llm = sgl.Engine("meta-llama/Llama-3.2-1B-Instruct", impl="transformers")
print(llm.generate(["The capital of France is"], {"max_new_tokens": 20})[0])
"""
SGLANG_SERVE = """\
python3 -m keel.launch_server \\
  --model-path kyutai/helium-1-preview-2b \\
  --impl transformers \\
  --host 0.0.0.0 \\
  --port 30000
"""
MODELS = [
    "meta-llama/Llama-3.2-1B",
    "meta-llama/Llama-3.2-1B-Instruct",
    "kyutai/helium-1-preview-2b",
]


def dynamic(path: pathlib.Path, tag: str) -> list[str]:
    """Entries of a file's dynamic section."""
    out = subprocess.check_output(["readelf", "--dynamic", "--wide", path], text=True)
    return re.findall(rf"\({tag}\).*\[(.*)\]", out)


class WheelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory()
        cls.addClassCleanup(work.cleanup)
        cls.work = pathlib.Path(work.name)
        cls.site = cls.work / "site-packages"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        pip += ["--no-deps", "--no-index", "--target", cls.site, WHEEL]
        subprocess.run(pip, check=True)
        cls.put_torch()
        cls.hub = cls.work / "hub"
        cls.environment = {
            "PATH": f"{cls.site / 'bin'}:{pathlib.Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": str(cls.site),
            "HF_HUB_CACHE": str(cls.hub),
            "HOME": str(cls.work),
        }

    @classmethod
    def put_torch(cls):
        """The libraries of this build's libtorch, where the package torch has them."""
        torch = cls.site / "torch"
        (torch / "lib").mkdir(parents=True)
        out = subprocess.check_output(["ldd", ROOT / "core/capi/libkeel.so.0"], text=True)
        for name, path in re.findall(r"^\s*(lib(?:torch|c10|cu|gomp)\S*) => (/\S+)", out, re.M):
            (torch / "lib" / name).symlink_to(pathlib.Path(path).resolve())
        (torch / "__init__.py").touch()
        (torch / "version.py").write_text("__version__ = '2.11.0+cpu'\n")

    def run_program(self, *command, **more):
        return subprocess.run(
            command,
            env={**self.environment, **more},
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def python(self, program: str, **more) -> str:
        run = self.run_program(sys.executable, "-c", program, **more)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    # ---- what is in it

    def test_name_version_and_size_are_as_promised(self):
        self.assertRegex(WHEEL.name, r"^keel-[\d.]+-py3-none-manylinux_2_\d+_x86_64\.whl$")
        version = WHEEL.name.split("-")[1]
        self.assertEqual(self.python("import keel; print(keel.__version__)").strip(), version)
        self.assertEqual(self.run_program("keel", "--version").stdout.strip(), version)
        self.assertLess(WHEEL.stat().st_size, 40 << 20)

    def test_every_file_finds_its_libraries_in_the_wheel_or_in_torch(self):
        files = [path for path in (self.site / "keel").rglob("*") if path.is_file()]
        binaries = [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]
        self.assertGreater(len(binaries), 10)
        ours = {path.name for path in binaries}
        system = r"(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+)\.so\.\d+"
        torch = r"(libtorch_cpu|libc10|libgomp)\.so[.\d]*"
        for path in binaries:
            for runpath in dynamic(path, "RUNPATH") + dynamic(path, "RPATH"):
                for part in runpath.split(":"):
                    self.assertTrue(part.startswith("$ORIGIN"), f"{path.name}: {part}")
            for name in dynamic(path, "NEEDED"):
                if name not in ours and not re.fullmatch(torch, name):
                    self.assertRegex(name, f"^{system}$", path.name)

    def test_types_are_marked_and_licences_come_along(self):
        self.assertTrue((self.site / "keel/py.typed").exists())
        (licences,) = self.site.glob("keel-*.dist-info/licenses")
        names = " ".join(path.name for path in licences.iterdir())
        for library in ("LICENSE", "libabsl", "libprotobuf", "libseccomp", "libssl"):
            self.assertIn(library, names)

    # ---- the package and its command

    def test_three_lines_answer(self):
        golden = json.loads(
            (ROOT / "apps/demo/testdata/greedy.jsonl").read_text().split("\n", 1)[0]
        )
        out = self.python(
            "from keel import LLM, SamplingParams\n"
            f"llm = LLM({str(MODEL)!r})\n"
            f"asked = {golden['messages']!r}\n"
            "greedy = SamplingParams(temperature=0, max_tokens=48)\n"
            "found = llm.chat(asked, greedy, use_tqdm=False)\n"
            "print(found[0].outputs[0].text)"
        )
        self.assertEqual(out.strip(), golden["text"])

    def test_another_torch_is_refused_by_name(self):
        other = self.work / "other"
        (other / "torch").mkdir(parents=True)
        (other / "torch/__init__.py").touch()
        (other / "torch/version.py").write_text("__version__ = '2.9.1+cu130'\n")
        path = f"{other}:{self.site}"
        run = self.run_program(sys.executable, "-c", "from keel import LLM", PYTHONPATH=path)
        self.assertIn("keel is built for torch 2.11, found 2.9.1+cu130 in", run.stderr)

    def test_the_command_has_every_program(self):
        usage = self.run_program("keel", "--help").stdout
        for command in ("serve", "batch", "chat", "check", "bench", "plugin"):
            self.assertIn(f"  {command} ", usage)
            run = self.run_program("keel", command, "--help")
            self.assertEqual(run.returncode, 0, run.stderr)
        unknown = self.run_program("keel", "server")
        self.assertEqual(unknown.returncode, 2)
        self.assertIn("there is no command 'server'", unknown.stderr)
        self.assertIn("  export-transformers MODEL ", usage)

    def test_check_and_batch_run_a_model(self):
        run = self.run_program("keel", "check", str(MODEL))
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        request = {
            "custom_id": "a",
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": str(MODEL), "prompt": "Define:", "max_tokens": 2},
        }
        (self.work / "in.jsonl").write_text(json.dumps(request) + "\n")
        files = ["--input-file", "in.jsonl", "--output-file", "out.jsonl"]
        run = self.run_program("keel", "batch", "--model", str(MODEL), *files)
        self.assertEqual(run.returncode, 0, run.stderr)
        (line,) = (self.work / "out.jsonl").read_text().splitlines()
        self.assertEqual(json.loads(line)["custom_id"], "a")

    # ---- the page

    def put_models(self):
        """Each model of the page in the Hugging Face cache: the demo model, and its graph."""
        for name in MODELS:
            place = self.hub / ("models--" + name.replace("/", "--"))
            if place.exists():
                continue
            snapshot = place / "snapshots" / ("0" * 40)
            shutil.copytree(MODEL, snapshot)
            (place / "refs").mkdir()
            (place / "refs/main").write_text("0" * 40)
            run = self.run_program("keel", "plugin", "export-graph", str(snapshot))
            self.assertEqual(run.returncode, 0, run.stderr)

    def test_the_page_in_python(self):
        self.put_models()
        self.python(VLLM + "assert llm.info['model_impl'] == 'graph', llm.info")
        out = self.python(SGLANG)
        self.assertIn("'text':", out)
        self.assertIn("'completion_tokens': ", out)

    def test_the_page_in_the_shell(self):
        self.put_models()
        commands = {VLLM_SERVE: (MODELS[0], 8000), SGLANG_SERVE: (MODELS[2], 30000)}
        for command, (model, port) in commands.items():
            # The pages' ports may be taken here.
            free = 20000 + os.getpid() % 10000
            given = command.strip().replace(f"--port {port}", f"--port {free}")
            given += "" if "--port" in given else f" --port {free}"
            server = subprocess.Popen(
                ["bash", "-c", "exec " + given],
                env=self.environment,
                cwd=self.work,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                answer = self.ask(server, free, model)
                self.assertEqual(answer["choices"][0]["finish_reason"], "length")
                self.assertEqual(answer["model"], model)
            finally:
                server.send_signal(signal.SIGTERM)
                server.communicate(timeout=30)

    def ask(self, server, port, model):
        """A completion, as soon as the server answers."""
        body = {"model": model, "prompt": "Define:", "max_tokens": 3, "ignore_eos": True}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise AssertionError(error.read()) from error
            except OSError:
                pass
            if server.poll() is not None:
                raise AssertionError(server.stderr.read())
            time.sleep(0.05)
        raise AssertionError("the server did not answer")


if __name__ == "__main__":
    unittest.main()
