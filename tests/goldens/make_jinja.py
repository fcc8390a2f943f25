"""Writes core/text/testdata/jinja.json: what Jinja2 makes of all that it and Python's types have.

  python3 tests/goldens/make_jinja.py        (jinja2 of requirements.txt, Python 3.11)

Every filter, test, global, operator and method is tried over values of every type, in an
environment set up as transformers sets it up (chat_template_utils). A case is a template and its
text; without one, Jinja2 or Python refuses it. What depends on an address is left out. A filter,
test or method that Jinja2 or Python has and this file does not try is an error.
"""

import json
import pathlib
import re

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Python writes objects that are no data with their addresses, or as Python's own names.
ADDRESS = r"(?i) at 0x|<(class|bound method|LoopContext) |o-b-j-e-c-t"
ADDRESSES = {("generator", name) for name in ("wordcount", "lower", "upper")}
OUT = pathlib.Path(__file__).parents[2] / "core" / "text" / "testdata" / "jinja.json"

TEXT = ("The quick brown fox jumps over the lazy dog, again and again, well-known and "
        "out-of-the-ordinary.\n\nSupercalifragilisticexpialidocious is   a long word.")

CONTEXT = {
    "s": "Hello World", "e": "", "u": "ünï ßtraße Ǆ", "ws": " \t pad\n ", "num": "42",
    "dec": "-3.75",
    "q": "it's", "qq": "it's \"x\"\\\n\t\u00e9\u200b\x7f", "html": "<a href=\"x\">&'b'</a>",
    "long": TEXT,
    "lines": "one\ntwo\r\nthree\n\nfive",
    "t": True, "f": False, "i": 7, "z": 0, "neg": -3, "big": 12345678901234, "x": 2.5, "w": 3.0,
    "tiny": 1e-7, "huge": 1e22, "nfl": -0.5,
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "lx": [1, 2.0, True, None, "s"], "l0": [],
    "ll": [[1, 2], [3]],
    "d": {"b": 1, "a": 2, "C": 3}, "d0": {}, "dn": {"k": {"n": [1, {"z": None}]}, "items": 5,
    "x": "y"},
    "ld": [{"n": "x", "v": 2, "o": {"p": 1}}, {"n": "Y", "v": 1, "o": {"p": 0}}, {"n": "x", "v": 3,
    "o": {"p": 2}}],
    "pairs": [["a", 1], ["b", 2]], "n": None,
}

# Values of every type, as expressions.
VALUES = {
    "str": "s", "empty str": "e", "digits": "num", "unicode": "u", "quotes": "qq", "true": "t",
    "false": "f",
    "int": "i", "zero": "z", "negative": "neg", "big": "big", "float": "x", "whole float": "w",
    "tiny": "tiny",
    "huge": "huge", "none": "n", "undefined": "nothing", "list": "l", "list of str": "ls",
    "mixed list": "lx",
    "empty list": "l0", "nested list": "ll", "tuple": "(1, 'a')", "tuple of one": "(1,)",
    "empty tuple": "()",
    "dict": "d", "empty dict": "d0", "nested dict": "dn", "list of dicts": "ld", "keys": "d.keys()",
    "values": "d.values()", "items": "d.items()", "range": "range(3)",
    "sum of lists": "([1] + ['x'])",
    "slice": "l[1:]", "product": "([0] * 2)", "dictsort": "(d | dictsort)",
    "safe": "('<b>' | safe)",
    "split": "('a b'.split())", "generator": "(l | map('string'))", "namespace member": "ns.v",
}
PREFIX = "{% set ns = namespace(v=[1, 'q']) %}"

FILTERS = {
    "abs": [""], "attr": ["('n')", "('upper')"], "batch": ["(2) | list", "(2, 'f') | list"],
    "capitalize": [""], "center": ["", "(20)", "(5)", "(14) ~ '|'"], "count": [""],
    "d": ["", "('x')", "('x', true)"], "default": ["", "('x')", "('x', true)",
    "(default_value='y', boolean=true)"],
    "dictsort": ["", "(true)", "(false, 'value')", "(reverse=true)", "(by='value', reverse=true)",
    "(by='z')"],
    "e": [""], "escape": [""], "filesizeformat": ["", "(true)"], "first": [""], "float": ["",
    "(1.5)", "(default=none)"],
    "forceescape": [""], "format": ["", "('a')", "(1, 2)"],
    "groupby": ["('n')", "('v')", "('n', case_sensitive=true)", "('q', default='D')",
    "(attribute='o.p')"],
    "indent": ["", "(2)", "(2, true)", "('>>', true, true)", "(width=3, first=true, blank=true)",
    "(0)"],
    "int": ["", "(5)", "(default=9)", "(0, 16)", "(base=8)"], "items": [" | list"],
    "join": ["", "(', ')", "('-', attribute='n')", "(d='+')", "(1)"], "last": [""], "length": [""],
    "list": [""], "lower": [""],
    "map": ["('upper') | list", "(attribute='n') | list", "(attribute='q', default='D') | list",
            "('default', 'x') | list", "(attribute='o.p') | list", "(attribute=0) | list",
            "('int', base=16) | list",
            "('nosuch') | list", " | list", "('string') | join(' ')"],
    "max": ["", "(true)", "(attribute='v')"], "min": ["", "(case_sensitive=true)",
    "(attribute='o.p')"],
    "pprint": [""], "random": None, "reject": [" | list", "('odd') | list", "('equalto', 3) | list",
    "('none') | list"],
    "rejectattr": ["('n') | list", "('v', 'gt', 1) | list", "('o.p') | list",
    "('q', 'defined') | list"],
    "replace": ["('l', 'L')", "('l', 'L', 1)", "('', '-')", "(1, 2)", "(old='o', new='0')",
    "('o')"],
    "reverse": ["", " | list"], "round": ["", "(1)", "(1, 'ceil')", "(0, 'floor')", "(precision=2)",
    "(method='x')",
                                          "(-1)"],
    "safe": [""], "select": [" | list", "('even') | list", "('string') | list",
    "('in', [1, 'b']) | list",
                             "('nosuch') | list"],
    "selectattr": ["('n') | list", "('n', 'equalto', 'x') | list",
    "('v', 'lt', 3) | map(attribute='v') | list",
                   "('q', 'undefined') | list", "('n', '==', 'Y') | list",
                   "('n', 'in', ['Y']) | list"],
    "slice": ["(2) | list", "(3, 'f') | list"],
    "sort": ["", "(true)", "(reverse=true)", "(case_sensitive=true)", "(attribute='v')",
    "(attribute='n,v')",
             "(false, true, 'n')"],
    "string": [""], "striptags": [""], "sum": ["", "(start=10)", "(attribute='v')", "('v', 5)",
    "(start=[])"],
    "title": [""], "tojson": ["", "(indent=2)", "(indent=1, sort_keys=true)",
    "(ensure_ascii=true)"], "trim": ["", "('Hd')", "(chars='x')"],
    "truncate": ["", "(9)", "(9, true)", "(5, false, '..', 0)", "(20, leeway=0)",
    "(length=9, killwords=true, end='~')",
                 "(2)"],
    "unique": [" | list", "(true) | list", "(attribute='n') | list",
    "(case_sensitive=true) | list"],
    "upper": [""], "urlencode": [""], "urlize": ["", "(10)"], "wordcount": [""],
    "wordwrap": ["", "(20)", "(10, false)", "(10, wrapstring='|')", "(12, break_on_hyphens=false)"],
    "xmlattr": ["", "(false)"],
}

TESTS = {name: [""] for name in """boolean callable defined escaped even false filter float integer
iterable
lower mapping none number odd sequence string test true undefined upper""".split()}
TESTS |= {"divisibleby": ["(2)", " 3", "(0)"], "sameas": ["(none)", "(true)", "(1)", "('a')"],
          "in": ["([1, 'Hello World', none])", "('Hello World 42')", "(d)", "((1, 2))", "(5)",
          "(nothing)"]}
TESTS |= {
    name: ["(7)", "('b')", "([3, 1, 2])", "(none)"]
    for name in "== eq equalto != ne > gt greaterthan ge >= < lt lessthan <= le".split()
    if name.isalpha()
}
# Only as arguments of select and its like.
SYMBOLS = ["==", "!=", ">", ">=", "<", "<="]

GLOBALS = {
    "range": ["range(4)", "range(1, 4) | list", "range(5, 0, -2) | list", "range(3) | length",
    "range(0)", "range(2)[1]",
              "range(3)[-1]", "range(10)[2:5]", "2 in range(3)", "range(1, 10, 3)",
              "range(1000000)", "range('a')",
              "range(3) == range(3)", "range(2) is sequence", "range(2, 0) | list",
              "range(5)[::2] | list", "range(3, step=2)"],
    "dict": ["dict(a=1, b='x')", "dict()", "dict(d, z=1)", "dict(pairs)", "dict(d) == d",
    "dict(**d)", "dict(5)"],
    "namespace": ["namespace(a=1).a", "namespace(d).b", "namespace().x",
    "namespace(a=1) is mapping", "namespace(d, q=2).q"],
    "cycler": ["cycler('a', 'b').next()", "cycler('a', 'b').current", "cycler()"],
    "joiner": ["joiner('|')()"], "lipsum": None,
}

ARGS = {
    "str": {
        "capitalize": ["()"], "casefold": ["()"], "center": ["(20)", "(20, '*')", "(3)", "()"],
        "count": ["('l')", "('')", "('l', 4)", "('lo', 0, 5)"], "encode": ["()"],
        "endswith": ["('ld')", "(('x', 'd'))", "('')", "('lo', 0, 5)", "(5)"],
        "expandtabs": ["()", "(4)"], "find": ["('o')", "('o', 5)", "('zz')", "('o', 0, 3)", "('')"],
        "format": ["()", "(1)", "(a=2)"], "format_map": ["(d)"], "index": ["('o')", "('zz')",
        "('o', 5)"],
        "isalnum": ["()"], "isalpha": ["()"], "isascii": ["()"], "isdecimal": ["()"],
        "isdigit": ["()"],
        "isidentifier": ["()"], "islower": ["()"], "isnumeric": ["()"], "isprintable": ["()"],
        "isspace": ["()"],
        "istitle": ["()"], "isupper": ["()"], "join": ["(['a', 'b'])", "(('x',))", "('xyz')",
        "([])", "([1, 2])", "(d)"],
        "ljust": ["(15)", "(15, '.')", "(2)"], "lower": ["()"], "lstrip": ["()", "('He')",
        "(none)"],
        "maketrans": ["('a', 'b')"], "partition": ["('o')", "('zz')", "(' ')"],
        "removeprefix": ["('Hell')", "('x')"], "removesuffix": ["('ld')", "('')"],
        "replace": ["('l', 'L')", "('l', 'L', 1)", "('l', '')", "('', '-')", "('o')",
        "('l', 'L', -1)"],
        "rfind": ["('o')", "('zz')", "('o', 0, 5)"], "rindex": ["('o')", "('zz')"],
        "rjust": ["(15)", "(15, '0')"],
        "rpartition": ["('o')", "('zz')"], "rsplit": ["()", "('o')", "('o', 1)", "(none, 1)",
        "(maxsplit=1)", "('o', maxsplit=0)"],
        "rstrip": ["()", "('ld')"], "split": ["()", "('o')", "('o', 1)", "(none, 1)", "(' ')",
        "('')", "(sep='o')",
                                            "('l', maxsplit=1)", "(maxsplit=1)"],
        "splitlines": ["()", "(true)", "(keepends=true)"], "startswith": ["('He')", "(('x', 'H'))",
        "('W', 6)", "('')"],
        "strip": ["()", "('Hd')", "(none)", "(' d')"], "swapcase": ["()"], "title": ["()"],
        "translate": ["({})"],
        "upper": ["()"], "zfill": ["(15)", "(2)", "(6)"],
    },
    "list": {
        "append": ["(1)"], "clear": ["()"], "copy": ["()"], "count": ["(1)", "('a')"],
        "extend": ["([1])"],
        "index": ["(1)", "('a')", "(99)", "(2, 1)"], "insert": ["(0, 1)"], "pop": ["()"],
        "remove": ["(1)"], "reverse": ["()"],
        "sort": ["()"],
    },
    "tuple": {"count": ["(1)", "('a')"], "index": ["('a')", "(9)"]},
    "dict": {
        "clear": ["()"], "copy": ["()"], "fromkeys": ["(['a'])"], "get": ["('b')", "('zz')",
        "('zz', 5)", "()", "('b', 1, 2)"],
        "items": ["()", "() | list"], "keys": ["()", "() | list"], "pop": ["('b')"],
        "popitem": ["()"], "setdefault": ["('z', 1)"],
        "update": ["({})"], "values": ["()", "() | list"],
    },
    "int": {"as_integer_ratio": ["()"], "bit_count": ["()"], "bit_length": ["()"],
    "conjugate": ["()"], "denominator": [""],
            "from_bytes": ["()"], "imag": [""], "numerator": [""], "real": [""],
            "to_bytes": ["()"]},
    "float": {"as_integer_ratio": ["()"], "conjugate": ["()"], "fromhex": ["('1')"], "hex": ["()"],
    "imag": [""],
              "is_integer": ["()"], "real": [""]},
}
RECEIVERS = {
    "str": ["s", "e", "u", "ws", "num", "dec", "q", "lines", "'a\\tb'", "'Title Case It'",
    "'{} {a}'", "'²½'"],
    "list": ["l", "ls", "l0"], "tuple": ["(1, 'a', 1)", "()"], "dict": ["d", "d0", "dn"],
    "int": ["i", "neg", "t"], "float": ["x", "w"],
}
TYPES = {"str": str, "list": list, "tuple": tuple, "dict": dict, "int": int, "float": float}

OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in",
    "not in", "and", "or"]
OPERANDS = ["s", "'%s'", "t", "i", "z", "neg", "x", "n", "nothing", "l", "ls", "(1, 2)", "d", "'a'",
    "range(2)", "1.0", "('<b>' | safe)"]

FORMATS = [
    "'%s' % s", "'%s and %s' % (s, i)", "'%d' % i", "'%d' % x",
    "'%5d|%-5d|%05d|%+d' % (i, i, i, i)", "'%x %X %o %#x' % (255, 255, 8, 255)",
    "'%.2f' % x", "'%8.3f|' % x", "'%e' % x", "'%g %g' % (x, huge)", "'%r %r' % (s, l)", "'%s' % l",
    "'%s' % (l,)", "'%s %s' % ('a',)",
    "'%s' % n", "'%s' % t", "'%s' % d", "'%(a)s-%(b)d' % d", "'%%' % ()", "'100%%' % ()",
    "'%c' % 'x'", "'%c' % 65", "'x' % 1",
    "'%10s|%-10s|%.2s' % (s, 'ab', 'abc')", "'%s' % nothing", "'%s' % (1, 2)", "'%d' % 'a'",
    "'%i' % 3.9", "'%u' % 3", "'%5.1f%%' % 12.345",
    "'%*d' % (5, 3)", "'% d' % 3", "'%a' % 'é'", "'%s' % ('<b>' | safe)",
    "'{}'.format(s)", "'{} {}'.format(1, 'b')", "'{0} {1} {0}'.format(1, 2)", "'{a}'.format(a=l)",
    "'{:>10}|{:<10}|{:^10}'.format('a', 'b', 'c')",
    "'{:05d} {:+} {:,}'.format(42, 7, 1234567)", "'{:.2f} {:e} {:g} {:%}'.format(x, x, x, 0.5)",
    "'{:x} {:X} {:#x} {:b} {:o} {:c}'.format(255, 255, 255, 5, 8, 65)",
    "'{{}}'.format()", "'{!r} {!s}'.format('a', 'b')", "'{.b}'.format(d)",
    "'{0[b]} {1[0]}'.format(d, l)", "'{:*^7}'.format('x')", "'{} {}'.format(1)",
    "'{:>{w}}'.format('a', w=4)", "'{:.3}'.format('abcdef')", "'{}'.format(n)", "'{}'.format(t)",
    "'{:d}'.format('a')", "'{:_}'.format(1234567)",
    "'{:.1%}'.format(0.1234)", "'{:,.2f}'.format(1234567.891)", "'{:10}|'.format(3)",
    "'{:10}|'.format('s')", "'{:s}'.format('s')", "'{:}'.format(l)",
    "'{:5}'.format(l)",
]

EXPRESSIONS = FORMATS + [
    # Subscripts and slices.
    "l[0]", "l[-1]", "l[9]", "s[0]", "s[-1]", "s[99]", "s[1:3]", "s[::-1]", "s[5:0:-1]", "s[:-3]",
    "s[-3:]", "s[::2]", "s[10:2]", "l[::-1]",
    "l[2:0:-1]", "l[5:]", "l[-2:]", "l[:0]", "(1, 2, 3)[1:]", "(1, 2, 3)[::-1]", "d['b']",
    "d['zz']", "d.b", "d.zz", "d['keys']", "d.zz.y", "n.x", "n[0]",
    "nothing.x", "nothing[0]", "nothing[1:]", "l.x", "l['x']", "l[1.0]", "l['0']", "s.x", "i.x",
    "i[0]", "dn.k.n[1].z", "dn.items is callable",
    "dn['items']", "dn.items", "dn.items()", "dn.x", "dn.keys() | list", "d.items", "s.upper",
    "l[t]", "pairs[0][1]", "ld[0].n", "ld[-1]['v']", "l.0", "ld.0.n",
    "d | attr('b')", "ls[-3:-1]", "ls[0:9]", "s[none:2]", "d[1:]", "s[1:'x']", "l[::0]",
    "nothing is defined", "d.zz is defined", "d.b is defined",
    "nothing.x is defined", "d.zz.y is defined", "(d.zz).y is undefined",
    # Truth, conditions, chains.
    "'y' if l0 else 'n'", "'y' if e else 'n'", "'y' if d0 else 'n'", "'y' if z else 'n'",
    "'y' if nothing else 'n'", "'y' if () else 'n'", "'y' if range(0) else 'n'",
    "'y' if (l0 | map('upper')) else 'n'", "'y' if (ld | selectattr('zz')) else 'n'",
    "'y' if d0.items() else 'n'", "1 if f", "(1 if f) is defined", "not l0", "not not s",
    "1 < 2 < 3",
    "1 < 3 < 2", "1 == 1.0", "t == 1", "'a' == 'A'", "l == [3, 1, 2]", "(1, 2) == [1, 2]",
    "(1, 2) == (1, 2)", "d == {'a': 2, 'b': 1, 'C': 3}", "n == false", "nothing == n",
    "nothing == nothing2",
    "e == false", "l0 == false", "none is iterable", "none is sequence", "'a' is sequence",
    "'a' is iterable", "{} is sequence", "{} is iterable", "5 is iterable", "nothing is iterable",
    "nothing is sequence",
    "l and 1", "l0 or 'x'", "n or nothing or 5", "e and 1", "1 and 2 or 3", "-i", "-x", "- l", "+i",
    "-d.b", "-2 ** 2", "2 ** 3 ** 2", "2 ** -1", "2 ** 0.5", "7 // 2", "-7 // 2", "7 // -2",
    "7 % -3", "-7 % 3", "7.5 // 2", "-7.5 % 2",
    "1 / 0", "1 // 0", "1 % 0", "1.0 / 0", "0.0 // 0", "5 / 2", "4 / 2", "1e3", "1_000", "0x1f",
    "0b11", "1.5e-7", "10 ** 20", "10 ** 40", "9007199254740993 * 3", "2 ** 63", "2 ** 64",
    "2 ** 127", "i * 1.0", "t + t", "t * 3", "3 * 'ab'", "'ab' * 0", "'ab' * -1", "[1] * 2",
    "2 * [1]", "(1,) * 2", "(1,) + (2,)", "[1] + (2,)",
    "l - [1]", "'a' + 1", "1 + 'a'", "'a' ~ 1 ~ 2.0 ~ n ~ t ~ l ~ d ~ (1,) ~ nothing", "1 in l",
    "'a' in d", "'ell' in s", "5 in s", "1 in 5", "n in l", "'x' not in l", "[1] in [[1]]",
    "1.0 in [1]", "nothing in l", "1 in nothing", "'1' in [1]", "e in s",
    "s < 5", "[1] < [2]", "'a' < 'b'", "n < 1", "l < 1", "(1, 2) < (1, 3)", "1 < 1.5", "t < 2",
    "nothing < 1",
    # Literals and how Python writes them.
    "[1, 'a', none, true, 2.5, [], {}, ()]", "{'k': 'v', 1: 2, none: true, 1.5: [1]}",
    "{'a': 1, 'a': 2}", "()", "(1,)", "(1, (2, 3))", "('a')", "1, 2", "[(1, 2), [3]]",
    "'\\a\\v\\0\\101\\x41\\u0041\\/\\q' | list", "'a\\' \\\\' \"b\\\"\"", "'\\N{BULLET}'",
    "{'t': (1,)}", "'a' 'b'", "'\\n\\t\\\\ \\'q\\''", "['\\n\\t\\\\']",
    "[\"it's\"]", "['it\\'s \"x\"']",
    "['é', '\\x7f', '\\u200b', '\\u00ad', '\\ud7ff', '\\U0001f600', '\\xa0']",
    "[tiny, huge, w, 1e16, 123456789012345678.0, 0.1, -0.0]", "[big, -1]", "[nothing]",
    "{'a': nothing}", "[n, t, f]", "[d.keys(), d.values(), d.items()]", "[range(2)]",
    "1e400", "-1e400", "[1e400]", "1e400 - 1e400", "true", "True", "none", "None", "[range]",
    "loop", "varargs", "True == true",
    # str() and repr() in other places.
    "[1, none, true, 2.0, 'a', [1, 'b'], (1,)] | join(',')", "l | string", "d | string",
    "(1, 'a') | string", "n | string", "x | string", "nothing | string", "d.items() | string",
    "l | string | length", "s | list", "d | list", "d.items() | list", "(1, 2) | list", "n | list",
    "nothing | list", "i | list", "d | length", "n | length", "nothing | length", "i | length",
    "(l | map('string')) | length",
    "d | dictsort", "d | dictsort | first", "ld | groupby('n')", "(ld | groupby('n'))[0].grouper",
    "(ld | groupby('n'))[0].list | length", "l | batch(2) | list", "'abc' | reverse",
    "l | reverse | list", "d | reverse | list", "d | first", "d | last", "s | first", "l0 | first",
    "l0 | last", "l0 | max", "(l0 | first) is undefined", "d | items | list",
    "nothing | items | list",
    "d.items() | first", "d.keys() | first", "d.keys() | length", "d.keys()[0]",
    "d.items() | length", "d.values() | sum", "d.values() | list | sort", "d.keys() | sort",
    "d.items() | sort", "d.keys() | join(',')", "'b' in d.keys()", "('b', 1) in d.items()",
    "d.keys() == d.keys()", "d.keys() is sequence", "d.keys() is iterable", "d.keys() is mapping",
    "d.items() is string",
    "(l | map('string')) is iterable", "(l | map('string')) is sequence", "(l | select) is mapping",
    "l | map('string') | first", "(l | select)[0]", "s is string", "('<' | e) is string",
    "('<' | e) is escaped", "('<' | e) + '<'", "'<' + ('<' | e)", "('<' | e) ~ '<'",
    "('<b>' | safe) | e", "('<b>' | safe) | forceescape", "['<', ('<' | e)] | join(',')",
    "('%s' | safe) % '<'", "('<x' | safe).upper()", "('<' | e) | length", "[('<' | e)]",
    "(5 | e) ~ 1",
    "1 is integer", "true is integer", "1.0 is integer", "1.0 is float", "true is number",
    "'1' is number", "n is none", "1 is sameas 1", "true is sameas true", "1 is sameas true",
    "3 is odd", "3.0 is odd", "'a' is odd", "3 is divisibleby 3", "6 is divisibleby(4)",
    "'abc' is lower", "5 is lower", "'ABC' is upper", "e is lower", "'upper' is filter",
    "'nosuch' is filter", "'odd' is test", "range is callable", "s is callable",
    "joiner is callable", "s.upper is callable", "1 is eq 1", "1 is ne 2", "1 is in [1]",
    "1 is not in [1]", "not 1 is odd", "1 is not odd", "1 is divisibleby 1 and true",
    "l is sequence and l is iterable",
    "namespace(a=1)",
    "'abc'.upper().lower()", "s.split()[0]", "s.split(' ')[-1]", "(s | upper).lower()",
    "'-'.join(['a', 'b'] + ['c'])", "'-'.join(d)", "'-'.join(l | map('string'))",
    "s.replace('l', 'L').count('L')", "'a,b'.split(',') | map('upper') | join(';')", "s.nosuch()",
    "l.nosuch()", "d.nosuch()", "i.nosuch()", "n.get('x')", "nothing.get('x')", "d.b()", "s()",
    "nosuch()", "i()", "'x'.__class__", "s._private", "d.get('b').real",
    "s | nosuchfilter", "s is nosuchtest", "l | sum", "ls | sum", "ll | sum(start=[])",
    "[1.5, 2] | sum", "ld | sum(attribute='v')", "ld | map(attribute='v') | sum", "[] | sum",
    "d | sum", "[1, 2] | max", "['a', 'B'] | max", "['a', 'B'] | min(true)", "[1, 'a'] | max",
    "[1, 'a'] | sort", "[none, 1] | sort", "[[2], [1]] | sort", "[(2, 'a'), (1, 'b')] | sort",
    "[true, false] | sort", "[1.5, 1] | sort", "['b', 'A'] | sort",
    "[1, 1.0, true] | unique | list", "['a', 'A'] | unique | list",
    "2.5 | round", "3.5 | round", "-2.5 | round", "2.675 | round(2)", "1234.5 | round(-2)",
    "7 | round", "7 | round(1)", "7 | round(0, 'floor')", "2.1 | round(0, 'ceil')", "true | round",
    "'2' | round", "1e22 | round(2)", "0.5 | round | int", "'0x1f' | int(0, 16)",
    "'1f' | int(base=16)", "'0b11' | int(0, 2)", "' 42 ' | int", "'4_2' | int", "'42.9' | int",
    "'1e3' | int", "'x' | int", "'x' | int(-1)", "none | int", "true | int", "2.9 | int",
    "-2.9 | int", "[] | int", "1e400 | int", "'inf' | float", "'nan' | float", "' 1.5 ' | float",
    "'1_0.5' | float", "'x' | float(2.0)", "none | float", "true | float", "'5' | float | string",
    "1024 | filesizeformat", "1 | filesizeformat", "999 | filesizeformat", "1000 | filesizeformat",
    "123456789 | filesizeformat", "123456789 | filesizeformat(true)", "'5000' | filesizeformat",
    "0 | filesizeformat",
    "'http://a.b/c?d=e f' | urlencode", "{'a b': 'c/d', 'e': 1} | urlencode", "'é/ ' | urlencode",
    "pairs | urlencode", "5 | urlencode", "'see http://x.org/ and www.y.com, a@b.cc' | urlize",
    "{'class': 'a b', 'id': none, 'x': 5, 'y': '<'} | xmlattr", "{'a b': 1} | xmlattr",
    "'a<b>c</b>  d <!-- x -->' | striptags", "html | escape", "html | striptags",
    "'hello world-foo (bar) [baz' | title", "'HELLO it\\'s' | title", "'hello it\\'s'.title()",
    "'ß' | upper", "'ǆ'.title()", "'İ' | lower", "'ΑΣ' | lower", "'ﬁ'.upper()", "'ﬁx' | capitalize",
    "'ßa'.capitalize()", "'a\\u2028b\\x0bc\\x1cd\\x85e'.splitlines()",
    "'\\x1c\\xa0a\\u3000'.strip() | length", "'a\\xa0b\\x1fc'.split()", "'٣'.isdigit()",
    "'²'.isdigit()", "'²'.isdecimal()", "'½'.isnumeric()", "'一'.isnumeric()", "'aB1'.isalnum()",
    "'a b'.isalpha()", "e.isascii()", "e.isalpha()", "'A1'.isupper()", "'1'.isupper()",
    "'ab12'.islower()", "'+5'.zfill(4)", "'-5'.zfill(4)", "'x'.center(4)", "'x'.center(5)",
    "'xy'.center(5)", "'ab' | center(5)", "'a'.ljust(3, 'xy')",
    "long | wordwrap(30)", "long | wordwrap(5)", "'a b c d' | wordwrap(3)",
    "'  a  b' | wordwrap(4)", "'ab-cd-ef' | wordwrap(4)", "long | truncate(40)",
    "long | truncate(40, true, '')", "lines | indent", "lines | indent(2, true, true)",
    "lines | indent('--')", "'a\\n\\nb\\n' | indent(1, blank=true)", "long | wordcount",
    "'a-b c_d é' | wordcount",
    "tiny | tojson", "[1.0, 1e16, 1e22, none, true, 'é\\u2028</'] | tojson", "d | tojson(indent=4)",
    "[] | tojson(indent=2)", "{'a': []} | tojson(indent=2)", "(1, 2) | tojson", "nothing | tojson",
    "d.items() | tojson", "d.keys() | tojson", "range(3) | tojson", "(l | map('string')) | tojson",
    "{1: 2, none: 3, true: 4, 1.5: 5} | tojson", "{'b': 1, 'a': 2} | tojson(sort_keys=true)",
    "'a' | tojson(separators=(',', ':'))", "[1, {'a': 2}] | tojson(separators=(',', ':'))",
    "1e400 | tojson", "('<' | e) | tojson", "dn | tojson(indent='--')", "[1] | tojson(indent=0)",
    "d | pprint", "ld | pprint", "s | pprint", "[1, 'a'] | pprint", "n | pprint",
    "(1, 'x') | pprint", "long | length", "u | upper", "u | lower", "u | title", "u | capitalize",
    "u.swapcase()", "u.casefold()",
]

STATEMENTS = [
    "{% for a, b in d.items() %}{{ a }}{{ b }};{% endfor %}",
    "{% for a, b in d | dictsort %}{{ a }}{{ b }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'abc' %}{{ c }}-{% endfor %}",
    "{% for x in nothing %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in n %}{{ x }}{% endfor %}", "{% for x in 5 %}{% endfor %}",
    "{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }} {% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for a in l | map('string') %}{{ loop.index }}{{ a }}{{ loop.last }} {% endfor %}",
    "{% for a in l %}{{ loop.cycle('x', 'y') }}{{ loop.changed(a > 1) }} {% endfor %}",
    "{% for a in ll recursive %}{{ a if a is number else '[' ~ loop(a) ~ ']' }}{{ loop.depth }}{% endfor %}",
    "{% for a in l %}{{ loop }}{% break %}{% endfor %}",
    "{% for a in l %}{{ loop.length }}{{ loop.revindex0 }}{{ loop.depth0 }}{{ loop.previtem is defined }}{{ loop.nextitem }}|{% endfor %}",
    "{% for i in range(3) %}{% set z = i %}{% endfor %}{{ z }}",
    "{% set a, b = (1, 'x') %}{{ a }}{{ b }}", "{% set t2 = 1, 2 %}{{ t2 }}",
    "{% set a = [] %}{% set _ = a.append(1) %}{{ a }}",
    "{% set ns.v = ns.v + [5] %}{{ ns.v }} {{ ns.v | length }} {{ ns.v[0] }}",
    "{% set ns.w = d %}{{ ns.w.b }}{{ ns.zz is defined }}", "{% set d.b = 1 %}",
    "{% set x2 %}a{{ 1 }}{% endset %}{{ x2 }}{{ x2 is string }}",
    "{% set x2 | upper %}a{{ 'b' }}{% endset %}{{ x2 }}",
    "{% filter upper | replace('A', 'x') %}abc{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% macro m(a, b=2, c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=3) }}|{{ m() }}|{{ m(b=5, a=4) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(x=1) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}",
    "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m('x') ~ 'y' }}{{ m('x') | upper }}{{ m('x') is string }}{{ [m('q')] }}{{ m.name }}{{ m.arguments }}",
    "{% macro m(a) %}{{ caller(a, 2) }}{% endmacro %}{% call(x, y) m('p') %}{{ x }}{{ y }}{% endcall %}",
    "{% macro m(x) %}{{ x }}{% if x > 0 %}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "{% if none is iterable %}a{% elif 'a' is sequence %}b{% endif %}",
    "{% if 0 %}a{% elif [] %}b{% else %}c{% endif %}", "{% block b %}in{{ s }}{% endblock %}",
    "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}",
    "{% do l.append(1) %}", "{% autoescape true %}{{ '<' }}{% endautoescape %}",
    "{% autoescape false %}{{ '<' }}{% endautoescape %}", "{% trans %}x{% endtrans %}",
    "{% debug %}",
    "{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}",
    "{% set g = l | map('string') %}{{ g | list }}{{ g | list }}",
    "{% set g = ld | selectattr('v', 'gt', 1) %}{{ g | list | length }}{{ g | list | length }}",
    "{# comment #}a{#- c -#} b", "{% raw %}{{ x }}{% endraw %}", "{{ 'a' }}\n{{ 'b' }}\n",
    "a\n{% if true %}\nb\n{% endif %}\nc", "  {% if true %}x{% endif %}  \n", "{{- s -}}  x",
    "{%- set q2 = 1 -%} x {{+ 1 }}", "{% if true -%}  a  {%- endif %} b",
    "{%+ if true %}a{% endif %}", "x  {#- c #} y", "{{ '{{' }}{{ '%}' }}",
    "{% set x = {'a': 1} %}{{ x }}", "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ [[1, 2], [3]] | map('first') | list }}", "{{ [{'a': 1}] | map(attribute='a') | first }}",
    "{% for m in ld %}{% if loop.first %}F{% endif %}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for m in ld if m.v > 1 %}{{ loop.index }}{{ m.n }}{% endfor %}",
    "{% for k, v in dn.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in dn | items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d | sort %}{{ k }}{% endfor %}",
    "{% for g in ld | groupby('n') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}",
    "{% for g, items in ld | groupby('n') %}{{ g }}{{ items | length }}{% endfor %}",
    "{% for row in range(5) | batch(2, 'x') %}{{ row }}{% endfor %}",
    "{% for row in range(5) | slice(2) %}{{ row }}{% endfor %}",
    "{{ ld | map('attr', 'n') | list }}",
    "{{ ld | map(attribute='n') | map('upper') | unique | join('/') }}",
    "{{ d.items() | map('first') | list }}", "{{ d | dictsort | map('last') | list }}",
    "{{ d.items() | list | map('join', '=') | join('&') }}", "{{ s | map('upper') | list }}",
    "{{ dict(d.items()) }}", "{{ dict(d | dictsort) }}", "{{ dict(d, **{'q': 1}) }}",
    "{{ [1, 2, 3] | map('string') | join(', ') }}", "{{ ['x'] | map('replace', 'x', 'y') | list }}",
    "{% set lst = [1, 2] + [3] %}{{ lst[-1] }}{{ lst | last }}{{ lst is sequence }}{{ lst == [1, 2, 3] }}{{ lst | length }}{{ lst[1:] }}{{ lst.index(3) }}",
    "{{ range(3) | list + [9] }}", "{{ (1, 2) + (3,) }}", "{{ 'a' if true else 'b' ~ 'c' }}",
    "{{ not true == false }}", "{{ 1 if 0 else 2 if 0 else 3 }}", "{{ [1, 2][0] + 1 }}",
    "{{ s | upper | lower | title }}", "{{ -1 | abs }}", "{{ 2 - 1 - 1 }}", "{{ 2 * 3 + 4 * 5 }}",
    "{{ 'a' ~ 'b' + 'c' }}", "{{ 1 + 2 ~ 3 }}", "{{ (1 + 2) * 3 }}", "{{ 'x' * 3 ~ 'y' }}",
    "{{ not 1 in [2] }}", "{{ 1 not in [2] and true }}", "{{ true and not false }}",
    "{{ 5 is odd and 4 is even }}",
]


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
        extensions=[loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
            sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    return env


def check_complete(env):
    for what, ours, theirs in [("filter", FILTERS, env.filters), ("test", set(TESTS) | set(SYMBOLS),
        env.tests),
                               ("global", GLOBALS, env.globals)]:
        missing = set(theirs) - set(ours)
        assert not missing, f"{what}s not tried: {sorted(missing)}"
    for name, kind in TYPES.items():
        missing = {m for m in dir(kind) if not m.startswith("_")} - set(ARGS[name])
        assert not missing, f"methods of {name} not tried: {sorted(missing)}"


def sources():
    """Lists of templates."""
    def expression(text):
        return (PREFIX if "ns." in text else "") + "{{ " + text + " }}"

    forms = ["%s", "[%s]", "{'k': %s}", "%s ~ ''", "'%%s' %% (%s,)", "'{}'.format(%s)",
        "%s | string", "[%s] | join",
             "%s | tojson", "1 if %s else 0"]
    yield [expression(form % value) for value in VALUES.values() for form in forms]
    yield [expression(f"{value} == {value}") for value in VALUES.values()]
    yield [expression(f"{value} | {name}{args}") for name,
        calls in FILTERS.items() if calls for args in calls
           for kind, value in VALUES.items() if (kind, name) not in ADDRESSES]
    yield [expression(f"{value} is {name}{args}") for name, calls in TESTS.items() for args in calls
           for kind, value in VALUES.items() if (kind, name) not in ADDRESSES]
    yield [
        expression(f"{value} | select('{name}', {arg}) | list")
        for name in SYMBOLS
        for value in ("l", "ls")
        for arg in ("2", "'b'")
    ]
    yield [expression(call) for calls in GLOBALS.values() if calls for call in calls]
    yield [
        expression(
            f"({receiver}).{name}{args}" if receiver[0] == "'" else f"{receiver}.{name}{args}"
        )
        for kind, methods in ARGS.items()
        for name, calls in methods.items()
        for args in calls
        for receiver in RECEIVERS[kind]
    ]
    yield [expression(f"{a} {op} {b}") for op in OPERATORS for a in OPERANDS for b in OPERANDS]
    yield [expression(text) for text in EXPRESSIONS]
    yield [PREFIX + text if "ns." in text else text for text in STATEMENTS]


def outcome(env, source):
    """The text; None if Jinja2 or Python refuses; False if the text has an address."""
    try:
        text = env.from_string(source).render(json.loads(json.dumps(CONTEXT)))
    except Exception:  # whatever Python raises
        return None
    return False if re.search(ADDRESS, text) else text


def main():
    assert jinja2.__version__ == "3.1.6", jinja2.__version__
    env = environment()
    check_complete(env)
    lines = []
    for template in dict.fromkeys(template for group in sources() for template in group):
        text = outcome(env, template)
        if text is not False:
            lines.append(json.dumps([template] if text is None else [template, text],
                ensure_ascii=False))
    with open(OUT, "w", encoding="utf-8") as out:
        context = json.dumps(CONTEXT, ensure_ascii=False)
        out.write('{"jinja2": "%s",\n"context": %s,\n"cases": [\n' % (jinja2.__version__, context))
        out.write(",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
