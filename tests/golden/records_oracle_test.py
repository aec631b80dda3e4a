# SPDX-License-Identifier: Apache-2.0
# Runs the independent reader over every golden record, and FORMAT.md's examples against them.
"""The independent reader gives the committed dump of every golden record, and refuses every bad one."""

import os
import re
import sys
import unittest

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../oracle"))
import read_ring  # noqa: E402
import read_store  # noqa: E402

folder = os.path.join(here, "records")
NAMES = [name for name in sorted(os.listdir(folder)) if not name.endswith(".dump")]


def content(name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def examples():
    """The hex dumps of section 26, as bytes."""
    with open(os.path.join(here, "../../src/format/FORMAT.md"), encoding="utf-8") as file:
        section = file.read().split("\n## 26.")[1]
    for block in re.findall(r"```\n(.*?)```", section, re.DOTALL):
        data = b""
        for line in block.splitlines():
            at, row = line[:4], re.match("( [0-9a-f]{2}){1,16}", line[5:])
            assert row and int(at, 16) == len(data), line
            data += bytes.fromhex(row[0])
        yield data


class RecordsOracle(unittest.TestCase):
    def test_every_golden_record_gives_its_committed_dump(self):
        for name in NAMES:
            if not name.startswith("bad-"):
                with self.subTest(name=name):
                    found = "\n".join(read_store.dump_file(os.path.join(folder, name))) + "\n"
                    self.assertEqual(found, content(name + ".dump").decode())

    def test_every_bad_record_is_refused(self):
        for name in NAMES:
            if name.startswith("bad-"):
                with self.subTest(name=name), self.assertRaises(read_ring.Bad):
                    read_store.dump_file(os.path.join(folder, name))

    def test_the_examples_of_the_format_are_the_smallest_golden_records(self):
        self.assertEqual(list(examples()), [content("smallest-0.1.store"), content("smallest-0.1.record")])


if __name__ == "__main__":
    unittest.main()
