import unittest

from tests.parity import compare


class Row:
    """As much of an array as compare needs."""

    def __init__(self, *values):
        self.values, self.shape = values, (len(values),)

    def __sub__(self, other):
        return Row(*(a - b for a, b in zip(self.values, other.values)))

    def __abs__(self):
        return Row(*map(abs, self.values))

    def max(self):
        return max(self.values)


class CompareTest(unittest.TestCase):
    def test_differences_are_in_units_of_the_largest_value(self):
        self.assertEqual(compare.difference(Row(1.0, -8.0), Row(1.0, -10.0)), 0.2)
        self.assertEqual(compare.difference(Row(1.0), Row(1.0, 2.0)), float("inf"))

    def test_halving_finds_the_first_layer_that_is_wrong(self):
        for count in range(9):
            for first in range(count + 1):
                asked = []

                def is_wrong(index):
                    asked.append(index)
                    return index >= first

                expected = first if first < count else None
                self.assertEqual(compare.first_wrong(count, is_wrong), expected)
                self.assertLessEqual(len(asked), count.bit_length())


if __name__ == "__main__":
    unittest.main()
