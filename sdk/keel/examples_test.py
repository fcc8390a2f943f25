"""Every public header of the SDK begins with an example, and every example compiles.

An example is what follows an indented #include in the header's first comment, up to a line that is
not indented. engine.h and models.h have programs, which //tests/engine runs.
"""

import glob
import re
import subprocess
import tempfile
import unittest

INTERNAL = ("sdk/keel/host.h", "sdk/keel/plugin_note.h")
PROGRAMS = ("sdk/keel/engine.h", "sdk/keel/models.h")
CXX = ["g++", "-std=c++20"]
C = ["gcc", "-std=c11"]


def example(header):
    """The example's text, or ""."""
    lines = []
    with open(header, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            text = re.match(r"(?://| \*)(?:   (.*))?$", line)
            if not lines and not (text and (text.group(1) or "").startswith("#include")):
                continue
            if not text:
                break
            lines.append(text.group(1) or "")
    return "\n".join(lines)


def complaints(compiler, text):
    """What a compiler says with the warnings that a careful author turns on."""
    with tempfile.NamedTemporaryFile("w", suffix=".c" if compiler == C else ".cc") as file:
        file.write(text + "\n")
        file.flush()
        command = [*compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I.", file.name]
        return subprocess.run(command, stderr=subprocess.PIPE, text=True).stderr


class ExamplesTest(unittest.TestCase):
    def check(self, compiler, header):
        text = example(header)
        self.assertIn(f'#include "{header}"', text, f"{header} has no example")
        self.assertEqual(complaints(compiler, text), "", header)

    def test_the_headers_of_sdk_keel_have_examples_that_compile(self):
        headers = glob.glob("sdk/keel/**/*.h", recursive=True)
        self.assertGreater(len(headers), 10)
        for header in sorted(set(headers) - set(INTERNAL) - set(PROGRAMS)):
            with self.subTest(header):
                self.check(CXX, header)

    def test_the_headers_of_the_plugin_abi_have_examples_that_compile(self):
        for header in ("sdk/abi/plugin.h", "sdk/abi/plugin_note.h"):
            with self.subTest(header):
                self.check(C, header)


class ForgottenTest(unittest.TestCase):
    """What KEEL_PLUGIN says of a class that lacks something: one error, in the author's words."""

    def errors_without(self, piece):
        text = example("sdk/keel/plugin.h")
        self.assertIn(piece, text)
        found = complaints(CXX, text.replace(piece, ""))
        return [line for line in found.split("\n") if "error:" in line]

    def check(self, piece, word):
        errors = self.errors_without(piece)
        self.assertEqual(len(errors), 1, errors)
        self.assertIn("static assertion failed", errors[0])
        self.assertIn(word, errors[0])

    def check_class(self, header, name, piece, word):
        """The class that a header's example ends with, in KEEL_PLUGIN without `piece`."""
        text = example(header).replace(header, "sdk/keel/plugin.h")
        text += f'\nKEEL_PLUGIN("org.example.x", "1.0.0", {name});\n'
        self.assertEqual(complaints(CXX, text), "")
        self.assertIn(piece, text)
        found = complaints(CXX, text.replace(piece, piece.replace("(", "Else(")))
        errors = [line for line in found.split("\n") if "error:" in line]
        self.assertEqual(len(errors), 1, errors)
        self.assertIn(word, errors[0])

    def test_run_of_a_kernel(self):
        piece = "void Run(const KernelContext& context"
        self.check_class("sdk/keel/kernel_class.h", "ScaleKernel", piece, "void Run(")

    def test_infer_of_a_kernel(self):
        piece = "static std::vector<Meta> Infer("
        self.check_class("sdk/keel/kernel_class.h", "ScaleKernel", piece, "Infer(")

    def test_run_of_an_attention(self):
        piece = "void Run(const KernelContext&"
        self.check_class("sdk/keel/attention_class.h", "NewestValue", piece, "void Run(")

    def test_forward(self):
        self.check(
            "  Tensor Forward(const Inputs& in) const { return norm(in.embeds); }\n",
            "Tensor Forward(const Inputs&) const",
        )

    def test_spec(self):
        start, end = "  Spec spec() const {", "return s;\n  }\n"
        text = example("sdk/keel/plugin.h")
        piece = text[text.index(start) : text.index(end) + len(end)]
        self.check(piece, "Spec spec() const")

    def test_model_type(self):
        self.check('  static constexpr const char* kModelType = "tiny";\n', "kModelType")

    def test_config_type(self):
        self.check("  using ConfigType = TinyConfig;\n", "using ConfigType")


if __name__ == "__main__":
    unittest.main()
