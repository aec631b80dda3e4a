# SPDX-License-Identifier: Apache-2.0
# Runs the treering tool as a person and as a script would: tool_test.py TREERING MAKE_RING.
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOL, MAKE = map(os.path.abspath, sys.argv[1:3])
LEAF_COUNT = 200000


def setUpModule():
    global folder
    folder = tempfile.mkdtemp(prefix="treering-cli-")
    for kind in ("layers", "zstd", "zoo", "items", "leaf"):
        subprocess.run([MAKE, kind, at(kind + ".ring")], check=True)


def tearDownModule():
    shutil.rmtree(folder)


def at(name):
    return os.path.join(folder, name)


def run(*args, **options):
    return subprocess.run(
        [TOOL, *args], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, **options
    )


def text(*args, code=0):
    result = run(*args)
    assert result.returncode == code, (args, result)
    return result.stdout.decode()


def answer(*args, code=0):
    return json.loads(text("--json", *args, code=code))


def on_terminal(*args, **environment):
    """What the tool writes where standard output and standard error are a terminal."""
    master, slave = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    process = subprocess.Popen(
        [TOOL, *args], cwd=folder, stdin=slave, stdout=slave, stderr=slave, env={**env, **environment}
    )
    os.close(slave)
    out = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(master)
    return process.wait(), out


def copy_with(name, source, change):
    with open(at(source), "rb") as file:
        data = bytearray(file.read())
    changed = change(data)
    data = data if changed is None else changed
    with open(at(name), "wb") as file:
        file.write(data)


def flip(offset):
    def change(data):
        data[offset] ^= 1

    return change


class Tool(unittest.TestCase):
    def fails(self, code, part, *args):
        result = run(*args)
        self.assertEqual(result.returncode, code, (args, result))
        error = result.stderr.decode()
        self.assertTrue(error.startswith("treering: "), error)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertIn(part, error)
        return error


class Usage(Tool):
    def test_each_wrong_command_line_is_told_in_one_line(self):
        for args in (
            (), ("",), ("frob", "x"), ("ls",), ("ls", "a", "b"), ("ls", "--nope", "x"),
            ("ls", "--raw", "x"), ("tree", "--depth", "x", "y"), ("tree", "--depth", "-1", "y"),
            ("verify", "-j"), ("cat", "--raw", "--json", "leaf.ring"), ("ls", ""),
            ("ls", 'zoo.ring:"x'), ("ls", "zoo.ring:a//b"), ("ls", "zoo.ring:[a"),
            ("cat", "zoo.ring:u64[::2]"), ("cat", "zoo.ring:u64[0,0]"), ("cat", "zoo.ring:yes[0]"),
            ("cat", "--raw", "zoo.ring:*"), ("ls", "."), ("info", "/dev/zero"),
        ):  # fmt: skip
            self.fails(2, "", *args)

    def test_help_and_version_need_no_file(self):
        self.assertTrue(text("--version").startswith("treering "))
        self.assertTrue(text("ls", "--version").startswith("treering "))
        self.assertIn("format", answer("--version"))
        for verb in ("info", "ls", "tree", "cat", "verify", "log", "prune", "rm", "rebuild"):
            self.assertIn("JSON", text(verb, "--help"))
            self.assertEqual(text("help", verb), text(verb, "--help"))
            self.assertLess(max(map(len, text(verb, "--help").split("\n"))), 101)

    def test_a_pipe_in_place_of_a_file_is_refused_without_waiting(self):
        os.mkfifo(at("fifo"))
        self.fails(2, "fifo", "verify", "fifo")


class Files(Tool):
    def test_what_is_no_container_is_told_apart(self):
        with open(at("empty"), "w"), open(at("text"), "w") as file:
            file.write("hello")
        copy_with("short", "layers.ring", lambda data: data[:30000])
        self.fails(1, "nope", "ls", "nope.ring:a")
        self.fails(1, "empty", "info", "empty")
        self.fails(1, "not a treering", "verify", "text")
        self.fails(1, "cut off", "verify", "short")

    def test_file_names_may_hold_anything(self):
        for name in ("a:b.ring", "-x.ring", "a\n\033[31m.ring", "[0].ring"):
            shutil.copy(at("leaf.ring"), at(name))
            self.assertEqual(answer("info", "--", name)["file"], name)
            out = text("verify", "--", name)
            self.assertNotIn("\033", out)
            self.assertEqual(out.count("\n"), 1)
        self.assertIn("layers/3", text("ls", "./layers.ring:layers/3"))
        name = b"bad\xff.ring"
        shutil.copy(at("leaf.ring"), os.path.join(os.fsencode(folder), name))
        self.assertEqual(json.loads(run("info", "--json", name).stdout)["file"], "bad\udcff.ring")

    def test_a_truncated_file_is_an_error_of_one_line(self):
        size = os.path.getsize(at("leaf.ring"))
        for cut in range(0, size, 41):
            copy_with("cut", "leaf.ring", lambda data: data[:cut])
            for verb in ("ls", "verify"):
                self.fails(1, "cut", verb, "cut")

    def test_a_flipped_byte_is_found_by_verify(self):
        size = os.path.getsize(at("leaf.ring"))
        for offset in range(0, size, 29):
            copy_with("flipped", "leaf.ring", flip(offset))
            result = run("verify", "--json", "flipped")
            self.assertIn(result.returncode, (1, 2), (offset, result))
            self.assertFalse(json.loads(result.stdout)["ok"])
            for verb in ("info", "ls", "tree", "cat"):
                self.assertIn(run(verb, "flipped").returncode, (0, 1, 2))

    def test_verify_names_the_damaged_leaf_and_counts_the_intact(self):
        copy_with("damaged", "layers.ring", flip(9000))
        out = text("verify", "damaged", code=1)
        self.assertIn("DAMAGED  embed  at byte", out)
        found = answer("verify", "damaged", code=1)
        self.assertEqual(found["findings"][0]["kind"], "damaged")
        self.assertEqual(found["findings"][0]["path"], "embed")
        several = answer("verify", "damaged", "leaf.ring", code=1)
        self.assertEqual([f["ok"] for f in several], [False, True])
        self.fails(1, "embed", "cat", "damaged:embed")

    def test_verify_says_how_much_was_fine(self):
        out = text("verify", "layers.ring", "-j", "0")
        self.assertRegex(out, r"^layers.ring: OK  .* KiB  16 leaves  .* GB/s\n$")


class Listing(Tool):
    def test_repeated_layers_are_one_line(self):
        rows = text("ls", "layers.ring").splitlines()
        self.assertEqual(len(rows), 7)
        self.assertRegex(rows[1], r"^layers/\[0-2,4-6\]/attn/kernel ×6 +float32 \[64, 32\] +48.0 KiB +Param")
        self.assertRegex(rows[3], r"^layers/3/attn/kernel +float32 \[64\]")
        self.assertIn("= embed", rows[5])
        self.assertEqual(rows[6], "6 rows for 16 leaves · 58.0 KiB")
        self.assertEqual(len(text("ls", "--no-collapse", "layers.ring").splitlines()), 17)
        self.assertIn("Param < Variable", text("ls", "-l", "layers.ring"))
        self.assertIn("×6", text("tree", "layers.ring"))
        self.assertEqual(len(text("tree", "--depth", "1", "layers.ring").splitlines()), 4)

    def test_sizes_are_exact_where_asked(self):
        self.assertIn(" 49152 ", text("ls", "--bytes", "layers.ring"))
        size = str(os.path.getsize(at("layers.ring")))
        for verb in ("info", "verify"):
            self.assertIn(size + " bytes", text(verb, "--bytes", "layers.ring"))

    def test_globs_choose_leaves_and_containers(self):
        paths = lambda target: [leaf["path"] for leaf in answer("ls", target)["leaves"]]
        self.assertEqual(paths("layers.ring:layers/3"), ["layers/3/attn/kernel", "layers/3/bias"])
        self.assertEqual(paths("layers.ring:layers/3/"), paths("layers.ring:layers/3"))
        self.assertEqual(len(paths("layers.ring:**/bias")), 7)
        self.assertEqual(len(paths("layers.ring:layers/[0-2]")), 6)
        self.assertEqual(len(paths("layers.ring:layers/[!0-2]/b?as")), 4)
        self.assertEqual(paths('zoo.ring:names/"7"'), ['names/"7"'])
        self.assertEqual(paths("zoo.ring:names/7"), ["names/7"])
        self.assertEqual(paths('zoo.ring:*/"c:d"'), ['names/"c:d"'])
        self.fails(1, "nothing matches", "ls", "zoo.ring:**/nope*")
        self.assertIn("'names'", self.fails(1, "nams", "ls", "zoo.ring:nams"))

    def test_json_says_what_the_leaves_are(self):
        leaves = {leaf["path"]: leaf for leaf in answer("ls", "layers.ring")["leaves"]}
        kernel = leaves["layers/0/attn/kernel"]
        self.assertEqual((kernel["dtype"], kernel["shape"], kernel["bytes"]), ("float32", [64, 32], 8192))
        self.assertEqual(kernel["attributes"]["variable_type"], ["Param", "Variable"])
        self.assertEqual(leaves["head"]["alias_of"], "embed")
        nodes = {node["path"]: node for node in answer("tree", "zoo.ring")["nodes"]}
        self.assertEqual((nodes["pair"]["kind"], nodes["pair"]["type_name"]), ("namedtuple", "optax:AdamState"))
        self.assertEqual(nodes["tuple"]["children"], 0)
        info = answer("info", "layers.ring")
        self.assertEqual((info["leaves"], info["aliases"], info["parameters"]), (16, 1, 14848))
        self.assertEqual(json.loads(info["metadata"])["step"], 7)
        self.assertEqual(sum(d["bytes"] for d in info["dtypes"]), info["raw_bytes"])

    def test_items_stand_in_front_of_paths(self):
        self.assertIn("opt:mu", text("ls", "items.ring"))
        self.assertEqual(text("cat", "items.ring:opt:mu"), "[1.5 1.0]\n")
        self.assertEqual(text("cat", "items.ring:mu"), "[1.5 1.0]\n")
        self.assertEqual(text("cat", "items.ring", "--item", "config"), '{\n  "lr": 0.1,\n  "name": "x"\n}\n')
        self.assertEqual(len(run("cat", "--raw", "items.ring:blob:").stdout), 3000)
        self.assertIn("'params'", self.fails(1, "nix", "ls", "items.ring:nix:mu"))

    def test_hostile_names_are_escaped(self):
        for verb in ("ls", "tree", "cat"):
            out = run(verb, "zoo.ring").stdout
            for bad in (b"\033", b"\x00", b"\xe2\x80\xae", b"\xed\xa0"):
                self.assertNotIn(bad, out)
            out.decode()
        self.assertNotIn("\033", text("info", "layers.ring"))
        self.assertIn("\ud800", answer("cat", "zoo.ring:text")["leaves"][0]["value"])

    def test_a_large_file_lists_each_leaf_once(self):
        subprocess.run([MAKE, "many", at("many.ring"), str(LEAF_COUNT)], check=True)
        rows = text("ls", "many.ring").splitlines()
        self.assertEqual(rows[-1].split(" · ")[0], f"1 row for {LEAF_COUNT} leaves")
        self.assertTrue(rows[0].startswith(f"block_[000-199]/leaf[0,7,…,6993] ×{LEAF_COUNT} "), rows[0])
        self.assertEqual(len(text("ls", "--no-collapse", "many.ring").splitlines()), LEAF_COUNT + 1)
        self.assertEqual(len(answer("ls", "many.ring:block_01?")["leaves"]), 10000)

    def test_a_reader_that_leaves_ends_the_tool_quietly(self):
        subprocess.run([MAKE, "many", at("pipe.ring"), "5000"], check=True)
        args = [TOOL, "ls", "--no-collapse", at("pipe.ring")]
        with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tool:
            tool.stdout.read(10)
            tool.stdout.close()
            self.assertEqual(tool.stderr.read(), b"")


class Values(Tool):
    def value(self, target):
        return answer("cat", "zoo.ring:" + target)["leaves"][0]["value"]

    def test_every_number_is_exact_in_json(self):
        self.assertEqual(self.value("f8"), [1.0, 448.0, -0.001953125])
        self.assertEqual(self.value("bf16"), [0.10009765625, "Infinity", -2.0])
        self.assertEqual(self.value("f16"), [0.0999755859375, "NaN", 2.0**-24])
        self.assertEqual(self.value("f32")[2], 3.0)
        self.assertEqual(self.value("f64"), [0.1, 1e300, -0.0])
        self.assertEqual(self.value("c64"), [[1.0, -2.0], [0.5, 0.0], [0.0, 1.0]])
        self.assertEqual(self.value("i4"), [[-8, 7, 0], [1, 2, 3]])
        self.assertEqual(self.value("u64"), [0, 2**64 - 1, 2**53 + 1])
        self.assertEqual(self.value("flags"), [True, False, True])
        self.assertEqual(self.value("f4"), [0.5, 1.0, -6.0])
        self.assertEqual(self.value("empty"), [])
        self.assertEqual(self.value("big"), 2**64)
        self.assertEqual(self.value("complex"), [2.5, -1.0])
        self.assertEqual(self.value("text"), 'line\nwith "quotes" \033[31m and \ud800')
        self.assertEqual(self.value("bytes"), "00ff10")
        self.assertEqual(self.value("long"), [[[100 * i + 10 * j + k for k in range(10)] for j in range(10)] for i in range(20)])  # fmt: skip

    def test_floats_are_as_short_as_their_dtype_allows(self):
        self.assertEqual(text("cat", "zoo.ring:bf16"), "[ 0.1  inf -2.0]\n")
        self.assertEqual(text("cat", "zoo.ring:f32"), "[   0.1 -1e+30    3.0]\n")
        self.assertEqual(text("cat", "zoo.ring:f8"), "[   1.0  448.0 -0.002]\n")
        self.assertEqual(text("cat", "zoo.ring:point"), "0.1\n")
        self.assertEqual(text("cat", "zoo.ring:big"), "18446744073709551616\n")

    def test_boxes_are_cut_as_numpy_cuts_them(self):
        self.assertEqual(text("cat", "zoo.ring:long[-1, -1,-1]"), "1999\n")
        self.assertEqual(text("cat", "zoo.ring:long[0:2,3,5:7]"), "[[ 35  36]\n [135 136]]\n")
        self.assertEqual(text("cat", "zoo.ring:long[19:99,-1:,9]"), "[[1999]]\n")
        self.assertEqual(text("cat", "zoo.ring:long[5:2]"), "[] shape [0, 10, 10]\n")
        self.assertEqual(text("cat", "leaf.ring:[3:5]"), "[3 4]\n")
        self.assertEqual(text("cat", "zoo.ring:bytes[1:]"), "ff10\n")
        self.fails(1, "outside", "cat", "zoo.ring:u64[3]")

    def test_long_arrays_show_their_edges(self):
        out = text("cat", "zoo.ring:long")
        self.assertEqual(out.count("..."), 43)
        self.assertTrue(out.startswith("[[[   0    1    2 ...    7    8    9]\n  [  10"))
        self.assertTrue(out.endswith("1997 1998 1999]]]\n"))
        self.assertNotIn("...", text("cat", "--full", "zoo.ring:long"))

    def test_raw_gives_the_bytes(self):
        self.assertEqual(run("cat", "--raw", "leaf.ring").stdout, bytes(range(12)))
        self.assertEqual(run("cat", "--raw", "zoo.ring:i4").stdout, b"\x78\x10\x32")
        box = run("cat", "--raw", "zoo.ring:long[1:3,2,3]").stdout
        self.assertEqual(box, b"".join(n.to_bytes(4, sys.byteorder) for n in (123, 223)))


class Terminal(Tool):
    def test_escapes_are_for_terminals_without_no_color(self):
        self.assertNotIn(b"\033", run("ls", "layers.ring").stdout)
        self.assertIn(b"\033[", on_terminal("ls", "layers.ring")[1])
        self.assertNotIn(b"\033[", on_terminal("ls", "layers.ring", NO_COLOR="1")[1])

    def test_raw_refuses_a_terminal(self):
        code, out = on_terminal("cat", "--raw", "leaf.ring")
        self.assertEqual(code, 2)
        self.assertIn(b"terminal", out)

    def test_a_full_disk_is_not_overlooked(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            result = subprocess.run([TOOL, "ls", at("zoo.ring")], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"standard output", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
