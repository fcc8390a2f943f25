"""include_graph finds what breaks the order of the folders, and nothing else."""

import tempfile
import unittest
from pathlib import Path

from tests.lint import include_graph


def problems(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return include_graph.problems(root)


class IncludeGraphTest(unittest.TestCase):
    def test_a_tree_in_order_has_no_problem(self):
        self.assertEqual(
            problems(
                {
                    "sdk/keel/tensor.h": '#include "sdk/abi/plugin.h"\n',
                    "core/base/json.h": '#include <string>\n#include "absl/status/status.h"\n',
                    "core/engine/engine.cc": '#include "core/base/json.h"\n',
                    "core/capi/capi.cc": '#include "sdk/abi/engine.h"\n',
                    "core/capi/BUILD": 'cc_library(name = "capi", deps = ["//core/engine"])\n',
                    "plugins/llama/llama.cc": '#include "sdk/keel/plugin.h"\n',
                    "apps/server/main.cc": '#include "sdk/keel/engine.h"\n',
                    "tests/parity/parity_test.cc": '#include "core/engine/engine.h"\n',
                }
            ),
            [],
        )

    def test_each_arrow_against_the_order_is_found(self):
        for name, include in {
            "core/base/a.h": "core/tensor/b.h",
            "core/graph/a.cc": "core/exec/b.h",
            "core/engine/a.cc": "sdk/keel/engine.h",
            "core/plugin/a.cc": "plugins/llama/llama.h",
            "core/capi/a.cc": "apps/server/http.h",
            "plugins/qwen2/a.cc": "core/base/json.h",
            "plugins/qwen2/b.cc": "plugins/llama/llama.h",
            "apps/server/a.cc": "core/engine/engine.h",
            "sdk/keel/a.h": "core/base/status.h",
            "sdk/abi/a.h": "sdk/keel/tensor.h",
            "sdk/keel/b.h": "third_party/text/text.h",
        }.items():
            with self.subTest(name=name, include=include):
                found = problems({name: f'#include "{include}"\n'})
                self.assertEqual(len(found), 1, found)
                self.assertIn(name, found[0])

    def test_a_dependency_of_a_build_file_counts_as_well(self):
        build = 'cc_library(name = "llama", deps = ["//sdk/keel"] + ["//core/engine:engine"])\n'
        found = problems({"plugins/llama/BUILD": build})
        self.assertEqual(found, ["plugins/llama/BUILD: plugins/llama may not use core/engine"])

    def test_data_of_a_build_file_does_not_count(self):
        build = 'cc_test(name = "a_test", data = ["//plugins/llama"])\n'
        self.assertEqual(problems({"core/plugin/BUILD": build}), [])

    def test_a_cycle_that_no_single_arrow_shows_is_found(self):
        found = problems(
            {
                "apps/chat/a.h": '#include "apps/server/b.h"\n',
                "apps/server/c.h": '#include "apps/chat/d.h"\n',
            }
        )
        self.assertEqual(len(found), 1, found)
        self.assertIn("cycle: apps/chat -> apps/server -> apps/chat", found[0])

    def test_a_header_and_its_source_count_as_one_in_a_cycle(self):
        found = problems(
            {
                "core/base/a.h": '#include "core/base/b.h"\n',
                "core/base/b.h": "\n",
                "core/base/b.cc": '#include "core/base/a.h"\n#include "core/base/b.h"\n',
            }
        )
        self.assertEqual(len(found), 1, found)
        self.assertIn("cycle: core/base/a -> core/base/b -> core/base/a", found[0])

    def test_a_folder_of_core_without_a_place_is_found(self):
        found = problems({"core/misc/a.h": "\n"})
        self.assertEqual(len(found), 1, found)
        self.assertIn("core/misc", found[0])


if __name__ == "__main__":
    unittest.main()
