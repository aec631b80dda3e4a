# SPDX-License-Identifier: Apache-2.0
# Kills a writer that saves in the background and keeps two versions, at random, while four readers
# restore and compare the latest: no wrong byte, no acknowledged step that is missing.
import os
import random
import signal
import subprocess
import threading

import harness
from harness import Bad

KEEP, READERS, MEAN, LONGEST = 2, 4, 0.12, 1.5


def first_acknowledged(process):
    """What a writer said up to its first acknowledged step; a hung one is killed."""
    text = ""
    guard = threading.Timer(harness.TIMEOUT, process.kill)
    guard.start()
    while '"train"' not in text:
        line = process.stdout.readline()
        if not line:
            break
        text += line
    guard.cancel()
    return text


def train(driver, directory, delay, after_answer):
    """One writer until it is killed, a while after its start or first answer. What it answered."""
    command = [driver, directory, "keep", str(KEEP), "kib", "64", "open", "train"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = ""
    try:
        text = first_acknowledged(process) if after_answer else ""
        process.wait(delay)
        raise Bad(f"the writer ended by itself: {text}{process.stdout.read()[-600:]}")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        text += process.communicate()[0]
    return [a["step"] for a in harness.answers(text) if a["command"] == "train"]


def judge(driver, directory, acknowledged, before):
    """What is there after a kill; answers the greatest step."""
    answer = harness.run(driver, directory, "check", expect=None)[-1]
    harness.require_intact(answer)
    if answer["status"] != "OK":
        raise Bad(f"check: {answer['status']}: {answer['message']}")
    found = [step for step, _ in harness.versions(answer)]
    last = max(acknowledged, default=before)
    if not found and last:
        raise Bad(f"nothing is left; {last} was acknowledged")
    newest = max(found, default=0)
    if newest < last:
        raise Bad(f"the latest is {newest}, but {last} was acknowledged")
    for step in range(max(1, newest - KEEP + 1), newest + 1):
        if step not in found:
            raise Bad(f"step {step} is missing; there are {found}, {last} was acknowledged")
    if newest > last + 2:
        raise Bad(f"the latest is {newest}, but only {last} was acknowledged")
    if answer["leftovers"] > 2 * KEEP + 2:
        raise Bad(f"{answer['leftovers']} leftovers")
    return newest


def stop(readers):
    """Ends the readers; their answers."""
    told = []
    for reader in readers:
        reader.terminate()
    for reader in readers:
        try:
            text, _ = reader.communicate(timeout=harness.TIMEOUT)
            told.append((harness.answers(text) or [{"status": "no answer", "wrong": ""}])[-1])
        except subprocess.TimeoutExpired:
            reader.kill()
            told.append({"status": "TIMEOUT", "wrong": "a reader did not end"})
    return told


def run(driver, work, kills=500, seed=1):
    findings = harness.Findings("random kill")
    chance = random.Random(seed)
    harness.say(f"{kills} random kills, seed {seed}")
    acknowledged, newest = 0, 0
    with harness.scratch(work, "random_kill") as folder:
        store = os.path.join(folder, "store")
        harness.run(driver, store, "create", "close")
        command = [driver, store, "watch"]
        readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                   for _ in range(READERS)]  # fmt: skip
        told = []
        try:
            for number in range(kills):
                delay = min(LONGEST, chance.expovariate(1 / MEAN))
                try:
                    steps = train(driver, store, delay, number % 2)
                    acknowledged += len(steps)
                    newest = judge(driver, store, steps, newest)
                except Bad as error:
                    findings.add(f"kill {number} after {delay:.3f} s", error)
                if number % 100 == 99:
                    harness.say(f"{number + 1} kills, {findings.bad} bad so far, step {newest}")
        finally:
            told = stop(readers)
        for answer in told:
            if answer["status"] != "OK":
                findings.add("a reader", f"{answer['status']}: {answer.get('wrong')}")
        try:
            last = harness.run(driver, store, "open", "close", "check")[-1]
            harness.require_clean(store, len(harness.versions(last)))
        except Bad as error:
            findings.add("in the end", error)
    restored = sum(answer.get("restored", 0) for answer in told)
    if not restored or not acknowledged:
        findings.add("in the end", f"{acknowledged} steps acknowledged, {restored} restored")
    return {
        "kills": kills, "seed": seed, "acknowledged": acknowledged, "latest": newest,
        "restored": restored, "gone": sum(answer.get("gone", 0) for answer in told),
        "bad": findings.bad,
    }  # fmt: skip
