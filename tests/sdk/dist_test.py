"""From the SDK's archive to a plugin that keeps its contract, in an empty directory."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

ARCHIVE = os.path.abspath("sdk/dist/keel-sdk.tar.gz")
NEW = os.path.abspath("apps/new/new")


class DistTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp()).resolve()
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(cls.dir)
        (cls.sdk,) = cls.dir.glob("keel-sdk-*")
        cls.new("my_arch")

    @classmethod
    def run_in(cls, directory, *command):
        # Nothing of the test's surroundings: a plain user's shell.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(cls.dir)}
        return subprocess.run(
            command,
            cwd=cls.dir / directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @classmethod
    def new(cls, *args):
        run = cls.run_in(".", cls.sdk / "bin/keel-new", *args)
        if run.returncode != 0:
            raise AssertionError(run.stdout)

    def check(self, directory, *command):
        run = self.run_in(directory, *command)
        self.assertEqual(run.returncode, 0, run.stdout)
        return run.stdout

    def test_the_archive_is_small_and_needs_no_libtorch(self):
        self.assertLess(os.path.getsize(ARCHIVE), 40 << 20)
        libraries = self.check(".", "ldd", self.sdk / "bin/keel-validate")
        self.assertNotIn("not found", libraries)
        self.assertNotIn("torch", libraries)
        for name in (
            "LICENSE",
            "README.md",
            "docs/plugin-authoring.md",
            "sdk/abi/plugin.h",
            "sdk/keel/plugin.h",
        ):
            self.assertTrue((self.sdk / name).exists(), name)

    def test_pages_lead_to_files_of_the_archive(self):
        # Beside Keel's own sources, which the README says are elsewhere.
        for page in [self.sdk / "README.md", *self.sdk.glob("docs/*.md")]:
            for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
                target = os.path.relpath(page.parent / link, self.sdk)
                if not re.match(
                    r"(apps|core|tests|plugins/[^/]+/README|sdk/examples/embed|CONTRIBUTING|WORKSPACE)",
                    target,
                ):
                    self.assertTrue((self.sdk / target).exists(), f"{page.name}: {link}")

    def test_a_project_may_take_its_names_from_a_checkpoint(self):
        checkpoint = self.dir / "checkpoint"
        checkpoint.mkdir()
        config = {"model_type": "gpt9-big", "architectures": ["GPT9LMHeadModel"], "hidden_size": 64}
        config.update(
            intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
        )
        config.update(vocab_size=128, max_position_embeddings=512)
        (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf-8")
        for name, like in (("gpt9", []), ("gpt9_llama", ["--like", "llama"])):
            self.new(name, *like, "--checkpoint", checkpoint)
            source = (self.dir / name / f"{name}.cc").read_text(encoding="utf-8")
            self.assertIn('kModelType = "gpt9-big"', source)
            self.assertIn('kArchitectures[] = {"GPT9LMHeadModel"', source)
            self.assertIn("struct GPT9Config", source)
            self.assertIn(
                '"GPT9LMHeadModel"', (self.dir / name / "BUILD").read_text(encoding="utf-8")
            )
            self.check(name, "./build.sh")
            library = self.dir / name / f"lib{name}.so"
            out = self.check(
                name, "./validate.sh", library, "--config", checkpoint, "--group", "S,B"
            )
            self.assertIn("keeps its contract", out)

    def test_a_new_project_builds_with_a_compiler_and_passes(self):
        self.check("my_arch", "./build.sh")
        out = self.check("my_arch", "./validate.sh")
        self.assertIn("libmy_arch.so keeps its contract", out)
        self.assertNotRegex(out, r"(?m)^(warn|fail|crash)")
        self.assertRegex(out, r"(?m)^pass +KEEL-PLG-083")

    def test_a_new_project_builds_with_cmake_and_passes(self):
        self.check("my_arch", "cmake", "-B", "build")
        self.check("my_arch", "cmake", "--build", "build")
        self.assertIn("100% tests passed", self.check("my_arch", "ctest", "--test-dir", "build"))

    def test_a_new_project_builds_with_bazel_and_passes(self):
        if shutil.which("bazel") is None:
            self.skipTest("no bazel here")
        bazel = ("bazel", "--batch", f"--output_user_root={self.dir}/bazel")
        out = self.check(
            "my_arch", *bazel, "test", "//...", "--spawn_strategy=local", "--test_output=errors"
        )
        self.assertIn("1 test passes", out.replace("Executed 1 out of 1 test: ", ""))

    def test_a_project_may_begin_with_a_familys_file(self):
        self.new("my_llama", "--like", "llama")
        self.check("my_llama", "./build.sh")
        self.assertIn("libmy_llama.so keeps its contract", self.check("my_llama", "./validate.sh"))

    def test_every_family_can_be_begun_with_and_leaves_no_name_behind(self):
        families = sorted(path.parent.name for path in self.sdk.glob("plugins/*/*.cc"))
        self.assertGreater(len(families), 5)
        for family in families:
            name = "own_" + family
            self.new(name, "--like", family)
            source = (self.dir / name / f"{name}.cc").read_text(encoding="utf-8")
            self.assertIn(f'kModelType = "{name}"', source)
            self.assertIn(f'KEEL_PLUGIN("org.example.{name}", "1.0.0", ', source)
            config = json.loads((self.dir / name / "config.json").read_text(encoding="utf-8"))
            self.assertIn(f'{{"{config["architectures"][0]}"', source)
            self.assertEqual(config["model_type"], name)

    def test_the_command_of_the_repository_unpacks_the_archive_once(self):
        for name in ("first", "second"):
            self.check(".", NEW, ARCHIVE, name)
            build = (self.dir / name / "build.sh").read_text(encoding="utf-8")
            self.assertIn(f"{self.dir}/.cache/keel/sdk-", build)
        self.assertEqual(len(list((self.dir / ".cache/keel").iterdir())), 1)

    def test_wrong_names_are_refused(self):
        for args, word in (
            (("My-Model",), "expected small letters"),
            (("x", "--like", "gpt9"), "gpt9"),
            (("x", "--checkpoint", "/nowhere"), "/nowhere"),
        ):
            run = self.run_in(".", self.sdk / "bin/keel-new", *args)
            self.assertEqual(run.returncode, 2, run.stdout)
            self.assertIn(word, run.stdout)


if __name__ == "__main__":
    unittest.main()
