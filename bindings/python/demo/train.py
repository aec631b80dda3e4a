# SPDX-License-Identifier: Apache-2.0
# Trains a small Flax NNX classifier on handwritten digits; saves while it trains, and resumes.
import argparse
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

import treering  # noqa: E402
from treering import policies  # noqa: E402

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


def open_manager(folder):
    """The folder's checkpoints, a step for each epoch: the last two stay, and the best two."""
    return treering.CheckpointManager(
        folder, keep_policies=[policies.Latest(2), policies.Best("accuracy", 2)], best_metric="accuracy"
    )


def resume(manager, epoch, model, optimizer):
    """Puts what the checkpoint holds into model and optimizer; answers its JSON document."""
    restored = manager.restore(epoch, target=state_of(model, optimizer))
    nnx.update(model, restored["model"], restored["rng"])
    nnx.update(optimizer, restored["optimizer"])
    return manager.restore(epoch, item="run")


def train(manager, epochs):
    images, labels, test_images, test_labels = digits()
    model = Classifier(nnx.Rngs(SEED))
    optimizer = nnx.Optimizer(model, optax.adam(2e-3), wrt=nnx.Param)
    document = {"epoch": 0, "history": []}
    epoch = manager.latest_step()
    if epoch is not None:
        document = resume(manager, epoch, model, optimizer)
        print(f"resumed at epoch {document['epoch']} from {manager.metadata(epoch).path}", flush=True)
    for epoch in range(document["epoch"] + 1, epochs + 1):
        order = np.random.default_rng([SEED, epoch]).permutation(len(labels))
        for step in range(len(labels) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            loss = float(train_step(model, optimizer, images[batch], labels[batch]))
            print(f"epoch {epoch} step {step} loss {loss:.4f}", flush=True)
        accuracy = float((predict(model, test_images) == test_labels).mean())
        document["epoch"] = epoch
        document["history"].append({"epoch": epoch, "loss": loss, "accuracy": accuracy})
        manager.save(
            epoch,
            state_of(model, optimizer),
            items={"run": treering.Json(document)},
            metrics={"accuracy": accuracy, "loss": loss},
        )
        print(f"saving epoch {epoch} accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, required=True)
    options = parser.parse_args()
    with open_manager(options.folder) as manager:
        train(manager, options.epochs)
