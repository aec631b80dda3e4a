# SPDX-License-Identifier: Apache-2.0
# Each lint fails where it should: small wrong checkouts, and a right one that passes.
import os
import tempfile
import unittest

import files
import rooms

HEAD = "// SPDX-License-Identifier: Apache-2.0\n// Purpose of the file.\n"
INTRO = "//\n// The problem.\n// The idea.\n// The invariant.\n"
RIGHT = {
    "src/base/a.h": HEAD + "#pragma once\n#include <cstdint>\n",
    "src/tree/b.cc": HEAD + INTRO + '#include "base/a.h"\n// abort() getenv(\nconst char* s = "throw";\n',
    "src/format/c.cc": HEAD + INTRO + '#include "codec/hash.h"\n#include "tree/b.h"\n',
    "src/capi/d.cc": HEAD + INTRO + '#include "treering/treering.h"\n#include "format/c.h"\n',
    "dev": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n# Runs the tasks of a developer.\n",
}


def findings(lint, path=None, text=""):
    """What the lint says of the right checkout with one file added or replaced."""
    with tempfile.TemporaryDirectory() as root:
        for name, content in {**RIGHT, **({path: text} if path else {})}.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                file.write(content)
        return list(lint.check(root))


def code(*lines):
    return HEAD + INTRO + "\n".join(lines) + "\n"


class Rooms(unittest.TestCase):
    def test_the_right_checkout_passes(self):
        self.assertEqual(findings(rooms), [])

    def test_wrong_includes_are_found(self):
        for path, line in [
            ("src/base/x.cc", '#include "tree/b.h"'),
            ("src/storage/x.cc", '#include "codec/hash.h"'),
            ("src/format/x.cc", '#include "codec/codec.h"'),
            ("src/container/x.cc", '#include "capi/guard.h"'),
            ("src/container/x.cc", "#include <treering/treering.h>"),
            ("src/tree/x.h", '#include "treering/treering.h"'),
            ("src/cli/x.cc", '#include "base/a.h"'),
            ("src/tree/x.cc", '#include "b.h"'),
            ("src/tree/x.cc", '#include "base/../codec/hash.h"'),
            ("src/format/x.cc", "#include <xxhash.h>"),
            ("src/codec/x.cc", "#include <unistd.h>"),
            ("src/extra/x.cc", ""),
            ("src/x.cc", ""),
        ]:
            with self.subTest(path=path, line=line):
                self.assertEqual(len(findings(rooms, path, code(line))), 1)


class Files(unittest.TestCase):
    def finds(self, path, text, words):
        found = findings(files, path, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_the_right_checkout_passes(self):
        self.assertEqual(findings(files), [])

    def test_missing_opening_lines_are_found(self):
        self.finds("tests/a.cc", "int a;\n", "first line")
        self.finds("tests/a.py", "# SPDX-License-Identifier: Apache-2.0\nimport os\n", "second line")
        self.finds("src/base/a.cc", HEAD + "int a;\n", "introduction")

    def test_long_files_are_found(self):
        self.finds("src/base/a.h", HEAD + "\n" * 399, "401 lines; 400")
        self.finds("tests/base/a.cc", HEAD + "\n" * 599, "601 lines; 600")
        self.assertEqual(findings(files, "src/base/a.h", HEAD + "\n" * 398), [])
        self.assertEqual(findings(files, "include/treering/a.h", HEAD + "\n" * 599), [])

    def test_long_functions_are_found(self):
        def function(lines):
            body = ["  if (a) { /* } */ }", '  g("}");'] + [""] * (lines - 5)
            head = ["namespace a {", "struct S {", "int f(int a,", "    int b) {"]
            return code(*head, *body, "}", "};", "}  // namespace a")

        self.assertEqual(findings(files, "src/base/a.cc", function(60)), [])
        self.finds("src/base/a.cc", function(61), "a function of 61 lines")
        table = code("const int kTable[] = {", *["    1,"] * 80, "};")
        self.assertEqual(findings(files, "src/base/a.cc", table), [])

    def test_rooms_of_nothing_and_strangers_are_found(self):
        self.finds("tests/util/a.cc", HEAD, "nothing is called util")
        self.finds("tests/base/common.h", HEAD, "nothing is called common")
        self.finds("notes.md", "", "top level")

    def test_banned_words_are_found(self):
        for line in [
            "thread_local int a;",
            'auto a = getenv("A");',
            "void f() { std::abort(); }",
            "void f() { exit(1); }",
            "void f() { throw 1; }",
            "void f() { std::cout << 1; }",
            'void f() { printf("a"); }',
            "std::random_device a;",
        ]:
            with self.subTest(line=line):
                self.finds("src/base/a.cc", code(line), "src/base/a.cc:7:")
        self.assertEqual(findings(files, "src/cli/a.cc", code("void f() { exit(1); }")), [])


if __name__ == "__main__":
    unittest.main()
