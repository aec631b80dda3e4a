# SPDX-License-Identifier: Apache-2.0
# The judges of the crash tests: what they could not judge, or hardly looked at, is not good.
import concurrent.futures
import contextlib
import io
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import device
import kill_points
import planted
from harness import Bad


def begun(name):
    return f"[==========] Running 2 test(s).\n[ RUN      ] {name}\n"


class Device(unittest.TestCase):
    def measured(self, judge, flushing=True):
        image = ((n, f"image-{n}", 0, n, False) for n in range(3))
        with mock.patch.multiple(
            device,
            record=lambda *_: [],
            points=lambda *_: [],
            images=lambda *_: image,
            judge=judge,
        ), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return device.measure({}, ".", "ext4", flushing, 3, 1)

    def raising(self, *errors):
        errors = list(errors)

        def judge(_tools, _kind, path, *_):
            error = errors[int(path[-1])]
            if error:
                raise error

        return judge

    def test_an_exception_of_any_kind_is_no_good_image(self):
        judge = self.raising(None, KeyError("versions"), UnicodeDecodeError("utf-8", b"", 0, 1, ""))
        figures = self.measured(judge)
        self.assertEqual((figures["images"], figures["bad"], figures["failed"]), (3, 0, 2))

    def test_an_image_that_cannot_be_mounted_is_no_damage_to_a_store(self):
        figures = self.measured(self.raising(device.NotMounted("a"), Bad("b"), None), False)
        self.assertEqual((figures["bad"], figures["not_mounted"], figures["failed"]), (1, 1, 0))

    def verdict(self, real, control):
        zero = {"images": 10, "bad": 0, "not_mounted": 0, "failed": 0}

        def measure(_tools, _work, _kind, flushing, _limit, _seed):
            return {**zero, **(real if flushing else control)}

        with mock.patch.multiple(device, possible=lambda _: None, measure=measure):
            with contextlib.redirect_stdout(io.StringIO()):
                return device.run({}, ".")["bad"]

    def test_the_verdict_counts_what_was_not_judged(self):
        damaged = {"bad": 9}
        self.assertEqual(self.verdict({}, damaged), 0)
        for real in ({"not_mounted": 1}, {"failed": 1}, {"bad": 1}, {"images": 0}):
            self.assertEqual(self.verdict(real, damaged), 2, real)  # one for each file system
        for control in ({"not_mounted": 10}, {"bad": 9, "failed": 1}, {"bad": 5}):
            self.assertEqual(self.verdict({}, control), 2, control)


class KillPoints(unittest.TestCase):
    def test_few_points_or_few_kills_prove_nothing(self):
        for scenario in kill_points.scenarios():
            least = scenario.least
            self.assertGreater(least, 50)
            self.assertIsNone(kill_points.too_little(scenario, least, least, 1))
            self.assertIsNotNone(kill_points.too_little(scenario, 0, 0, 0))
            self.assertIsNotNone(kill_points.too_little(scenario, least - 1, least - 1, 0))
            self.assertIsNotNone(kill_points.too_little(scenario, least, least, least))
            self.assertIsNotNone(kill_points.too_little(scenario, least, 6, 4))


class Planted(unittest.TestCase):
    def outcome(self, text, end="exit 1", limit=60):
        command = ["sh", "-c", f'printf %s "$0"; {end}', text]
        return planted.outcome(command, os.getcwd(), "Named", limit)

    def test_only_the_named_test_finds_a_fault(self):
        end = "[==========] 2 test(s) run.\n"
        for text, answer in (
            (begun("Named") + "[       OK ] Named\n" + end, "passes"),
            (begun("Named") + "[  FAILED  ] Named\n" + end, "fails"),
            (begun("Other") + "[  FAILED  ] Other\n" + end, "lacks"),
            (begun("Named") + "[  ERROR   ] Named\n" + end, "lacks"),
            (end, "lacks"),
            ("", "lacks"),
        ):
            self.assertEqual(self.outcome(text), answer, text)

    def test_a_death_or_a_hang_counts_in_the_named_test_only(self):
        for end, limit in (("kill -ABRT $$", 60), ("exit 1", 60), ("exec sleep 60", 1)):
            self.assertEqual(self.outcome(begun("Named"), end, limit), "fails")
            self.assertEqual(self.outcome(begun("Other"), end, limit), "lacks")
        passed = begun("Named") + "[       OK ] Named\n"
        self.assertEqual(self.outcome(passed, "kill -ABRT $$"), "passes")


if __name__ == "__main__":
    unittest.main()
