# SPDX-License-Identifier: Apache-2.0
# Trains a small Flax NNX classifier on handwritten digits; one checkpoint an epoch, resumes if there is one.
import argparse
import os
import re

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

import treering  # noqa: E402

HIDDEN, CLASSES, BATCH, SEED = 64, 10, 32, 20


class Classifier(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, HIDDEN, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.output = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.relu(self.hidden(x))))


def digits():
    """(training images, labels, test images, labels): real scans, 8 by 8 pixels of 0 to 16."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(labels))
    images, labels = images[order].astype(np.uint8), labels[order].astype(np.int32)
    return images[360:], labels[360:], images[:360], labels[:360]


@nnx.jit
def train_step(model, optimizer, images, labels):
    def loss(model):
        logits = model(images.astype(jnp.float32) / 16)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    value, gradients = nnx.value_and_grad(loss)(model)
    optimizer.update(model, gradients)
    return value


def predict(model, images):
    model.eval()
    logits = model(jnp.asarray(images, jnp.float32) / 16)
    model.train()
    return np.asarray(logits.argmax(axis=1))


def state_of(model, optimizer):
    """What a checkpoint holds: parameters, optimizer state, and the state of dropout's randomness."""
    return {
        "model": nnx.state(model, nnx.Param),
        "rng": nnx.state(model, nnx.RngState),
        "optimizer": nnx.state(optimizer),
    }


def latest(folder):
    """(epoch, path) of the newest checkpoint there, or (0, None)."""
    names = filter(re.compile(r"epoch-\d{4}\.ring").fullmatch, os.listdir(folder))
    return max(((int(name[6:10]), os.path.join(folder, name)) for name in names), default=(0, None))


def resume(path, model, optimizer):
    """Puts what the checkpoint holds into model and optimizer; answers its JSON document."""
    restored = treering.load(path, target=state_of(model, optimizer))
    nnx.update(model, restored["model"], restored["rng"])
    nnx.update(optimizer, restored["optimizer"])
    return treering.load(path, item="run")


def train(folder, epochs):
    os.makedirs(folder, exist_ok=True)
    images, labels, test_images, test_labels = digits()
    model = Classifier(nnx.Rngs(SEED))
    optimizer = nnx.Optimizer(model, optax.adam(2e-3), wrt=nnx.Param)
    document = {"epoch": 0, "history": []}
    epoch, path = latest(folder)
    if path is not None:
        document = resume(path, model, optimizer)
        print(f"resumed at epoch {document['epoch']} from {path}", flush=True)
    for epoch in range(document["epoch"] + 1, epochs + 1):
        order = np.random.default_rng([SEED, epoch]).permutation(len(labels))
        for step in range(len(labels) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            loss = float(train_step(model, optimizer, images[batch], labels[batch]))
            print(f"epoch {epoch} step {step} loss {loss:.4f}", flush=True)
        accuracy = float((predict(model, test_images) == test_labels).mean())
        document["epoch"] = epoch
        document["history"].append({"epoch": epoch, "loss": loss, "accuracy": accuracy})
        treering.save(
            os.path.join(folder, f"epoch-{epoch:04}.ring"),
            state_of(model, optimizer),
            items={"run": treering.Json(document)},
        )
        print(f"saved epoch {epoch} accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, required=True)
    options = parser.parse_args()
    train(options.folder, options.epochs)
