"""The fast subset of the survey, and what the tables may say."""

import os
import pathlib
import tempfile
import unittest

import survey  # isort: skip, puts transformers on the path
import tables
import tiny_configs
import torch
import vector_classes
from subset import SUBSET


class CoverageTest(unittest.TestCase):
    def test_the_tables_have_every_class(self):
        for table, classes in (
            (tables.TEXT, tiny_configs.classes()),
            (tables.VECTORS, vector_classes.classes()),
        ):
            self.assertEqual(sorted(table.read()), sorted(classes))

    def test_what_is_said_of_a_class_is_of_one_in_the_tables(self):
        self.assertLessEqual(
            {*vector_classes.APART, *vector_classes.REASONS}, set(vector_classes.classes())
        )

    def test_the_page_prints_the_tables(self):
        self.assertEqual(
            tables.PAGE.read_text(encoding="utf-8"),
            tables.page(),
            "write it anew: ./bazelw run //tests/transformers:survey -- --page",
        )

    def test_the_guide_says_the_counts(self):
        for table in tables.TABLES:
            said = table.count.findall(tables.GUIDE.read_text(encoding="utf-8"))
            self.assertEqual(said, table.count.findall(table.summary(table.read())))

    def test_the_subset_is_what_the_tables_say(self):
        torch.set_num_threads(1)
        survey.warm_up()
        before = tables.TEXT.read() | tables.VECTORS.read()
        with tempfile.TemporaryDirectory() as work:
            for row in survey.survey(
                SUBSET, survey.CHECK_GRAPH, pathlib.Path(work), jobs=os.cpu_count() or 1
            ):
                with self.subTest(row.name):
                    self.assertFalse(
                        tables.is_worse(row, before[row.name]), f"{row.result}: {row.reason}"
                    )


if __name__ == "__main__":
    unittest.main()
