# SPDX-License-Identifier: Apache-2.0
# Runs the independent reader over every golden file.
"""The independent reader gives the committed dump of every golden file, and refuses every bad one."""

import os
import sys
import unittest

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../oracle"))
import read_ring  # noqa: E402

FILES = [name for name in sorted(os.listdir(here)) if name.endswith(".ring")]
FILES += ["merged/index.ring", "merged/part-00001.ring", "earlier/part-00002.ring"]


def dump(name):
    path = os.path.join(here, name)
    with open(path, "rb") as file:
        return read_ring.Ring(file.read(), os.path.dirname(path)).dump()


class Oracle(unittest.TestCase):
    def test_every_golden_file_gives_its_committed_dump(self):
        for name in FILES:
            if name.startswith("bad-"):
                continue
            with self.subTest(name=name), open(os.path.join(here, name[:-5] + ".dump"), encoding="ascii") as expected:
                self.assertEqual(dump(name), expected.read())

    def test_every_bad_file_is_refused(self):
        for name in FILES:
            if name.startswith("bad-"):
                with self.subTest(name=name), self.assertRaises(read_ring.Bad):
                    dump(name)


if __name__ == "__main__":
    unittest.main()
