# SPDX-License-Identifier: Apache-2.0
# The whole journey on real data: train, be killed, resume bit for bit, read the result from plain C.
import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCHS, KILLED_IN = 12, 6


def say(text):
    print(text, flush=True)


def fail(text):
    sys.exit(f"demo: {text}")


def start(folder):
    env = dict(os.environ, JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")
    command = [sys.executable, os.path.join(HERE, "train.py"), folder, "--epochs", str(EPOCHS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def follow(child, until=None):
    """Shows what a run says of checkpoints; returns when it ends or has said a line starting with `until`."""
    for line in child.stdout:
        if line.startswith(("saving", "resumed")):
            say("   " + line.rstrip())
        if until is not None and line.startswith(until):
            return
    if child.wait() != 0:
        fail(f"the training ended with status {child.returncode}")


def train_and_kill(folder):
    child = start(folder)
    follow(child, until=f"epoch {KILLED_IN} step 20 ")
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    if child.wait() != -signal.SIGKILL:
        fail("the training was over before it could be killed")


def versions(folder):
    """The versions in the folder, by epoch. Reading takes no lock and changes nothing."""
    import treering

    with treering.CheckpointManager(folder, read_only=True) as manager:
        return {version.step: version for version in manager.versions()}


def show_kept(found):
    best = sorted(found, key=lambda epoch: (-found[epoch].metrics["accuracy"], -epoch))[:2]
    last = sorted(found)[-2:]
    for epoch, version in found.items():
        why = " and ".join(word for word, chosen in (("last", last), ("best", best)) if epoch in chosen)
        say(f"   kept: epoch {epoch}, accuracy {version.metrics['accuracy']:.4f}, of the {why} two")
    if set(found) != set(best + last):
        fail(f"epochs {', '.join(map(str, found))} are there, not the last two and the best two")


def differing(first, second):
    """Paths of leaves that are not the same in kind, dtype, shape and bits; and how many were compared."""
    import jax
    import numpy as np

    def bits(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        return array.dtype, array.shape, array.tobytes()

    one, structure = jax.tree_util.tree_flatten_with_path(first)
    two, other_structure = jax.tree_util.tree_flatten_with_path(second)
    if structure != other_structure:
        return ["the structure"], 0
    names = [jax.tree_util.keystr(path) for (path, x), (_, y) in zip(one, two) if bits(x) != bits(y)]
    return names, len(one)


def compare(unbroken, resumed):
    import treering

    names, count = differing(treering.load(unbroken), treering.load(resumed))
    if names:
        fail(f"the resumed run differs from the uninterrupted one in {', '.join(names)}")
    digests = [treering.info(path)["content"] for path in (unbroken, resumed)]
    if digests[0] != digests[1]:
        fail(f"equal leaves, but the content digests are {digests[0]} and {digests[1]}")
    say(f"   {count} leaves of parameters, optimizer and RNG state: equal bit for bit")
    say(f"   content digest of both files: {digests[0]}")


def predictions(checkpoint):
    """Accuracy and predictions of the model in the file, by JAX."""
    import train
    from flax import nnx

    _, _, images, labels = train.digits()
    model = train.Classifier(nnx.Rngs(0))
    import treering

    nnx.update(model, treering.load(checkpoint)["model"])
    found = train.predict(model, images)
    return float((found == labels).mean()), "".join(map(str, found)), images, labels


def build_classifier(prefix, work):
    source = os.path.normpath(os.path.join(HERE, "../../c/examples/classify.c"))
    program = os.path.join(work, "classify")
    path = os.pathsep.join(filter(None, [
        os.path.join(prefix, "lib/pkgconfig"), os.environ.get("PKG_CONFIG_PATH"),
    ]))  # fmt: skip
    flags = subprocess.run(
        ["pkg-config", "--static", "--cflags", "--libs", "treering"],
        env=dict(os.environ, PKG_CONFIG_PATH=path), check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    command = ["cc", "-std=c11", "-O2", source, *shlex.split(flags), "-o", program]
    say(f"   cc -std=c11 -O2 {os.path.basename(source)} $(pkg-config --static --cflags --libs treering)")
    subprocess.run(command, check=True)
    return program


def classify_in_c(program, checkpoint, digits):
    """What the C program prints as accuracy and as predictions."""
    out = subprocess.run([program, checkpoint, digits], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = dict(line.split(": ", 1) for line in out.splitlines())
    for line in out.splitlines():
        say("   " + (line if len(line) < 90 else line[:87] + "..."))
    return found["accuracy"], found["predictions"]


def main():
    parser = argparse.ArgumentParser(description="Train, kill, resume, compare, and classify from C.")
    parser.add_argument("--work", required=True, help="folder for checkpoints; emptied first")
    parser.add_argument("--prefix", required=True, help="where treering is installed (lib/pkgconfig)")
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    work, began = os.path.abspath(options.work), time.monotonic()
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    unbroken, broken = os.path.join(work, "uninterrupted"), os.path.join(work, "killed")

    say(f"1. Train {EPOCHS} epochs on handwritten digits; each is saved while the next one runs")
    follow(start(unbroken))
    whole = versions(unbroken)
    show_kept(whole)
    say(f"2. Train again from the start; SIGKILL in the middle of epoch {KILLED_IN}")
    train_and_kill(broken)
    found = versions(broken)
    resumed_at = max(found, default=0)
    say(f"   killed; the directory has epochs {', '.join(map(str, found))}")
    if resumed_at < 2 or resumed_at >= EPOCHS:
        fail(f"killed after epoch {resumed_at}, which shows nothing")
    say("3. Resume in a new process from the latest checkpoint")
    follow(start(broken))
    say("4. Compare the two runs' last checkpoints")
    checkpoint = versions(broken)[EPOCHS].path
    compare(whole[EPOCHS].path, checkpoint)
    say("5. Classify the test digits with the checkpoint's weights: in Python")
    accuracy, expected, images, labels = predictions(checkpoint)
    say(f"   accuracy: {accuracy:.4f} of {len(labels)} digits")
    say("6. The same in plain C, no Python: weights by path, as views into the mapped file")
    import treering

    digits = os.path.join(work, "digits.ring")
    treering.save(digits, {"images": images, "labels": labels})
    c_accuracy, found = classify_in_c(build_classifier(options.prefix, work), checkpoint, digits)
    if found != expected:
        where = [i for i, (a, b) in enumerate(zip(found, expected)) if a != b]
        fail(f"the C program's predictions differ at {where or 'the end'}")
    if f"{accuracy:.4f}" != c_accuracy or accuracy <= 0.9:
        fail(f"accuracy {accuracy:.4f} in Python, {c_accuracy} in C; above 0.9 and equal are wanted")
    say(f"   all {len(labels)} predictions agree ({time.monotonic() - began:.0f} s in all)")
    say(
        f"demo: file={checkpoint} resumed_at={resumed_at} identical=yes "
        f"accuracy={accuracy:.4f} c_accuracy={c_accuracy}"
    )


if __name__ == "__main__":
    main()
