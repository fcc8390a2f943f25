"""Arguments: checkpoints, as parity.py takes them. The table of docs/images.md says what the tests
measure today: as many rows, the same shares, and differences no larger than it says, but for the
one power of ten by which a number beside a border may be another on another processor."""

import pathlib
import sys
import unittest

from tests.multimodal import parity


class ParityTest(unittest.TestCase):
    checkpoints: tuple[str, ...] = ()

    def test_the_page_says_what_is_measured(self) -> None:
        said = parity.read(parity.table_of(pathlib.Path(parity.PAGE).read_text(encoding="utf-8")))
        measured = parity.read(
            parity.table([row for name in self.checkpoints for row in parity.measure(name)])
        )
        self.assertEqual(list(said), list(measured), parity.__doc__)
        for row, cells in measured.items():
            with self.subTest(row):
                self.assertEqual(said[row][3:], cells[3:])
                for limit, number in zip(said[row][:3], cells[:3]):
                    self.assertLess(float(number), 11 * float(limit))


if __name__ == "__main__":
    ParityTest.checkpoints = tuple(sys.argv[1:])
    unittest.main(argv=sys.argv[:1])
