# SPDX-License-Identifier: Apache-2.0
# Runs the tool on directories of checkpoints: run_test.py TREERING MAKE_RUN.
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOL, MAKE = map(os.path.abspath, sys.argv[1:3])


def setUpModule():
    global folder, made
    folder = tempfile.mkdtemp(prefix="treering-run-")
    made = os.path.join(folder, "made")
    subprocess.run([MAKE, made], check=True)


def tearDownModule():
    shutil.rmtree(folder)


def picture(directory):
    """Every name below, with size and time."""
    found = []
    for place, folders, files in os.walk(directory):
        for name in folders + files:
            info = os.lstat(os.path.join(place, name))
            found.append((place, name, info.st_size, info.st_mtime_ns))
    return sorted(found)


class RunTest(unittest.TestCase):
    def setUp(self):
        self.directory = os.path.join(folder, "run")
        shutil.copytree(made, self.directory)

    def tearDown(self):
        shutil.rmtree(self.directory)

    def run_tool(self, *args):
        return subprocess.run(
            [TOOL, *args], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
        )

    def text(self, *args, code=0):
        result = self.run_tool(*args)
        self.assertEqual(result.returncode, code, (args, result))
        return result.stdout.decode()

    def answer(self, *args, code=0):
        return json.loads(self.text("--json", *args, code=code))

    def fails(self, code, part, *args):
        result = self.run_tool(*args)
        self.assertEqual(result.returncode, code, (args, result))
        error = result.stderr.decode()
        self.assertTrue(error.startswith("treering: "), error)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertIn(part, error)

    def steps(self):
        return [version["step"] for version in self.answer("log", "run")["versions"]]

    def file_of(self, step):
        versions = self.answer("log", "run")["versions"]
        return os.path.join(self.directory, next(v["file"] for v in versions if v["step"] == step))

    def flip(self, file, offset):
        with open(file, "r+b") as opened:
            opened.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            byte = opened.read(1)[0]
            opened.seek(-1, os.SEEK_CUR)
            opened.write(bytes([byte ^ 1]))


class Log(RunTest):
    def test_the_log_shows_steps_sizes_metrics_and_marks(self):
        rows = self.text("log", "run", "--lowest").splitlines()
        self.assertEqual(len(rows), 4)
        row = r"^200  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \d+\.\d KiB  loss=1\.0  best$"
        self.assertRegex(rows[1], row)
        self.assertTrue(rows[2].endswith("loss=2.0  latest"), rows[2])
        self.assertRegex(rows[3], r"^3 versions · .* KiB · best: lowest loss$")
        self.assertIn("loss=3.0  best", self.text("log", "run"))
        self.assertIn("best: highest loss", self.text("log", "--metric", "loss", "run"))
        self.assertNotIn("best", self.text("log", "--metric", "other", "run"))

    def test_the_json_of_the_log_has_everything_a_record_tells(self):
        log = self.answer("log", "--lowest", "run")
        self.assertEqual(log["directory"], "run")
        self.assertEqual(log["metric"], "loss")
        self.assertEqual(log["size"], sum(v["size"] for v in log["versions"]))
        last = log["versions"][-1]
        self.assertEqual((last["step"], last["latest"], last["best"]), (300, True, False))
        self.assertEqual(last["metrics"], {"loss": 2.0})
        self.assertEqual(last["size"], os.path.getsize(os.path.join(made, last["file"])))
        self.assertLessEqual(last["started"], last["committed"])
        self.assertFalse(last["rebuilt"])
        self.assertIsNone(last["metadata"])
        self.assertEqual(len(log["uuid"]), 32)

    def test_what_is_no_directory_of_checkpoints_is_told_apart(self):
        os.mkdir(os.path.join(self.directory, "inner"))
        self.fails(1, "nope", "log", "nope")
        self.fails(1, "inner", "log", "run/inner")
        self.fails(2, "run@latest", "ls", "run")
        self.fails(2, "run@latest", "info", "run")

    def test_looking_changes_nothing(self):
        before = picture(self.directory)
        for args in (
            ("log", "run"), ("verify", "run"), ("ls", "run@latest"), ("info", "run@200"),
            ("prune", "--dry-run", "--keep-latest", "1", "run"),
        ):  # fmt: skip
            self.text(*args)
        self.assertEqual(picture(self.directory), before)


class Addressing(RunTest):
    def test_a_version_is_used_like_a_file(self):
        self.assertEqual(self.answer("info", "run@200")["file"], "run@200")
        self.assertEqual(self.text("cat", "run@200:params/bias"), "[200.0 201.0 202.0 203.0]\n")
        self.assertEqual(self.text("cat", "run@200:params/bias[1:3]"), "[201.0 202.0]\n")
        self.assertEqual(self.text("cat", "run@latest:step"), "300\n")
        leaves = self.answer("ls", "run@100:params/**")["leaves"]
        self.assertEqual([leaf["path"] for leaf in leaves], ["params/bias", "params/kernel"])
        self.assertIn("params", self.text("tree", "run@latest"))
        self.assertRegex(self.text("verify", "run@100"), r"^run@100: OK ")
        self.assertEqual(self.text("cat", self.directory + "@00000200:step"), "200\n")

    def test_the_best_is_ranked_by_a_metric(self):
        best = ("cat", "run@best:step", "--metric", "loss")
        self.assertEqual(self.text(*best), "100\n")
        self.assertEqual(self.text(*best, "--lowest"), "200\n")
        result = self.run_tool("cat", "run@best:step", "--lowest")
        self.assertEqual(result.stdout, b"200\n")
        self.assertIn(b"lowest loss", result.stderr)
        self.fails(1, "'nope'", "cat", "run@best:step", "--metric", "nope")

    def test_a_version_that_is_not_there_names_its_neighbours(self):
        self.fails(1, "300", "ls", "run@250")
        self.fails(1, "nope@latest", "ls", "nope@latest")
        self.fails(1, "run@newest", "ls", "run@newest")

    def test_a_file_of_that_name_comes_first(self):
        shutil.copy(self.file_of(100), os.path.join(folder, "run@200"))
        self.addCleanup(os.remove, os.path.join(folder, "run@200"))
        self.assertEqual(self.text("cat", "run@200:step"), "100\n")

    def test_damaged_versions_are_passed_over_and_told(self):
        self.flip(self.file_of(300), -10)
        result = self.run_tool("cat", "run@latest:step")
        self.assertEqual((result.returncode, result.stdout), (0, b"200\n"))
        self.assertIn(b"step 300", result.stderr)
        self.fails(1, "step 300", "cat", "run@300:step")


class Verify(RunTest):
    def test_an_intact_directory_is_told_with_its_versions(self):
        self.assertRegex(self.text("verify", "run"), r"^run: OK  .* KiB  3 versions  .* GB/s\n$")
        found = self.answer("verify", "run")
        self.assertEqual((found["ok"], found["versions"], found["leaves"]), (True, 3, None))

    def test_damaged_leaves_are_named_with_their_step(self):
        self.flip(self.file_of(200), 200)
        out = self.text("verify", "run", code=1)
        self.assertIn("DAMAGED  step 200: params/kernel  at byte", out)
        self.assertIn("run: DAMAGED, 1 finding", out)
        found = self.answer("verify", "run", code=1)
        self.assertEqual([f["path"] for f in found["findings"]], ["step 200: params/kernel"])

    def test_missing_files_and_bad_records_are_damage(self):
        os.remove(self.file_of(100))
        out = self.text("verify", "run", code=1)
        self.assertIn("UNREADABLE  step 100", out)
        records = os.path.join(self.directory, "manifests")
        self.flip(os.path.join(records, sorted(os.listdir(records))[-1]), 40)
        found = self.answer("verify", "run", code=1)
        self.assertEqual({f["kind"] for f in found["findings"]} >= {"unreadable", "record"}, True)
        self.assertFalse(found["ok"])

    def test_leftovers_and_unknown_names_are_told_and_are_no_damage(self):
        with open(os.path.join(self.directory, "data", "notes.txt"), "w") as file:
            file.write("mine")
        os.remove(os.path.join(self.directory, "manifests", "0" * 19 + "1"))
        found = self.answer("verify", "run")
        self.assertEqual(sorted(f["kind"] for f in found["findings"]), ["leftover", "unknown"])
        out = self.text("verify", "run")
        self.assertIn("UNKNOWN  data/notes.txt", out)
        self.assertIn("LEFTOVER  data/00000100-", out)
        self.assertIn("run: OK", out)


class Changing(RunTest):
    def test_a_dry_run_says_what_prune_then_does(self):
        rules = ("--keep-latest", "1", "--keep-best", "1", "--metric", "loss", "--lowest", "run")
        rows = self.text("prune", "--dry-run", *rules).splitlines()
        self.assertEqual([row[:4] for row in rows[:3]], ["drop", "keep", "keep"])
        self.assertEqual(rows[3], "would keep 2 and drop 1 of 3 versions")
        dry = self.answer("prune", "--dry-run", *rules)
        self.assertEqual([d["keep"] for d in dry["decisions"]], [False, True, True])
        self.assertTrue(all(d["rule"] for d in dry["decisions"]))
        self.assertEqual(self.steps(), [100, 200, 300])
        done = self.answer("prune", *rules)
        self.assertEqual(done["decisions"], dry["decisions"])
        self.assertEqual((done["dry_run"], done["kept"], done["dropped"]), (False, 2, 1))
        self.assertEqual(self.steps(), [200, 300])
        self.assertEqual(len(os.listdir(os.path.join(self.directory, "data"))), 2)

    def test_prune_keeps_the_steps_that_a_number_divides(self):
        self.text("prune", "--keep-every", "200", "run")
        self.assertEqual(self.steps(), [200, 300])

    def test_prune_needs_rules_that_mean_something(self):
        self.fails(2, "rule", "prune", "run")
        self.fails(2, "--metric", "prune", "--keep-best", "1", "run")
        self.fails(2, "--keep-latest", "prune", "--keep-latest", "0", "run")
        self.fails(2, "takes no --keep-latest", "log", "--keep-latest", "1", "run")

    def test_rm_removes_all_the_steps_or_none(self):
        self.fails(1, "step 150", "rm", "run", "100", "150")
        self.assertEqual(self.steps(), [100, 200, 300])
        self.assertEqual(self.text("rm", "run", "100"), "run: removed step 100\n")
        self.assertEqual(self.answer("rm", "run@300", "run@200")["removed"], [300, 200])
        self.assertEqual(self.steps(), [])
        for words in (("run",), ("run@latest",), ("run", "latest"), ("run", "-1"), ("run", "x")):
            self.fails(2, "", "rm", *words)
        self.fails(1, "nope", "rm", "nope", "1")

    def test_rebuild_brings_back_versions_whose_records_are_lost(self):
        os.remove(os.path.join(self.directory, "manifests", "0" * 19 + "2"))
        self.assertEqual(self.steps(), [100, 300])
        self.assertEqual(self.text("rebuild", "run"), "run: 1 version came back\n")
        log = self.answer("log", "run")
        self.assertEqual([v["step"] for v in log["versions"]], [100, 200, 300])
        back = log["versions"][1]
        self.assertEqual((back["rebuilt"], back["committed"], back["metrics"]), (True, None, {"loss": 1.0}))
        self.assertIn("unknown", self.text("log", "run").splitlines()[1])
        self.assertEqual(self.answer("rebuild", "run"), {"directory": "run", "rebuilt": 0, "not_taken": []})

    def test_rebuild_says_what_it_could_not_take(self):
        self.flip(self.file_of(200), 200)
        os.remove(os.path.join(self.directory, "manifests", "0" * 19 + "2"))
        found = self.answer("rebuild", "run", code=1)
        self.assertEqual(found["rebuilt"], 0)
        self.assertIn("data/00000200-", found["not_taken"][0]["path"])
        self.assertEqual(len(os.listdir(os.path.join(self.directory, "data"))), 3)

    def test_a_held_lock_names_its_holder(self):
        with subprocess.Popen(
            [MAKE, "--hold", self.directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            self.assertEqual(holder.stdout.readline(), b"held\n")
            for args in (("rm", "run", "100"), ("rebuild", "run"), ("prune", "--keep-latest", "1", "run")):
                self.fails(2, str(holder.pid), *args)
            self.assertEqual(self.steps(), [100, 200, 300])
            holder.stdin.close()
        self.text("rm", "run", "100")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
