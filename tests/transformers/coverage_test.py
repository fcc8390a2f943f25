"""The fast subset of the survey, and what coverage.tsv may say."""

import os
import pathlib
import tempfile
import unittest

import survey  # isort: skip, puts transformers on the path
import tiny_configs
import torch
from subset import SUBSET


class CoverageTest(unittest.TestCase):
    def test_the_table_has_every_class(self):
        self.assertEqual(sorted(survey.read_table()), sorted(tiny_configs.classes()))

    def test_the_page_prints_the_table(self):
        self.assertEqual(
            survey.PAGE.read_text(encoding="utf-8"),
            survey.page(survey.read_table()),
            "write it anew: ./bazelw run //tests/transformers:survey -- --page",
        )

    def test_the_guide_says_the_count(self):
        said = survey.COUNT.findall(survey.GUIDE.read_text(encoding="utf-8"))
        self.assertEqual(said, survey.COUNT.findall(survey.summary(survey.read_table())))

    def test_the_subset_is_what_the_table_says(self):
        torch.set_num_threads(1)
        survey.warm_up()
        table = survey.read_table()
        with tempfile.TemporaryDirectory() as work:
            for row in survey.survey(SUBSET, survey.CHECK_GRAPH, pathlib.Path(work), jobs=os.cpu_count() or 1):
                with self.subTest(row.name):
                    self.assertFalse(survey.is_worse(row, table[row.name]), f"{row.result}: {row.reason}")


if __name__ == "__main__":
    unittest.main()
