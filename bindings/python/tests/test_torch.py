# SPDX-License-Identifier: Apache-2.0
# Tensors of PyTorch: bits, layouts, sharing, targets; and files of theirs where torch is not there.
import subprocess
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import treering  # noqa: E402

NAMES = "bool int8 int16 int32 int64 uint8 float16 float32 float64 bfloat16 complex64 complex128".split()
NAMES += [n for n in "uint16 uint32 float8_e4m3fn float8_e5m2 float8_e8m0fnu".split() if hasattr(torch, n)]


def same(a, b):
    narrow = {1: torch.uint8, 2: torch.int16}.get(a.element_size())
    bits = (lambda x: x) if narrow is None or a.dtype == torch.bool else (lambda x: x.contiguous().view(narrow))
    return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and bool((bits(a) == bits(b)).all())


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_keeps_its_bits(round_trip, tmp_path, name):
    dtype = getattr(torch, name)
    tensor = (torch.arange(12).reshape(3, 4) % 5).to(torch.float32).to(dtype)
    tree = {"a": tensor, "0d": tensor[1, 1], "empty": tensor[:0], "turned": tensor.t(), "every": tensor[:, ::2]}
    for back in (round_trip(tree), round_trip(tree, target={k: torch.empty_like(v) for k, v in tree.items()})):
        assert all(same(tree[key], back[key]) for key in tree)
    if name == "bfloat16":
        back = round_trip(tree, target=treering.metadata(tmp_path / "run.ring").tree)
        assert same(tree["a"], back["a"])


def test_tied_weights_are_stored_once_and_tied_again(round_trip, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
    model[1].weight = model[0].weight
    back = round_trip(dict(model.state_dict()))
    assert back["0.weight"] is back["1.weight"] and same(back["0.weight"], model[0].weight.detach())
    assert treering.info(tmp_path / "run.ring")["raw_bytes"] == (64 * 64 + 2 * 64) * 4


def test_a_target_says_parameter_gradient_and_type(round_trip):
    target = {"p": torch.nn.Parameter(torch.zeros(3)), "g": torch.zeros(3, requires_grad=True), "n": np.zeros(3, "f4")}
    back = round_trip({key: torch.ones(3) for key in target}, target=target)
    assert type(back["p"]) is torch.nn.Parameter and back["p"].requires_grad
    assert type(back["g"]) is torch.Tensor and back["g"].requires_grad and type(back["n"]) is np.ndarray
    with torch.no_grad():
        back["p"] += 1  # the memory is its own


def test_an_optimizer_state_comes_back(round_trip):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    back = round_trip(state)
    assert back["param_groups"] == state["param_groups"] and list(back["state"]) == [0, 1]
    torch.optim.AdamW(model.parameters()).load_state_dict(back)
    assert same(back["state"][0]["exp_avg"], state["state"][0]["exp_avg"])


def test_tensors_may_change_as_soon_as_save_async_returns(tmp_path):
    gate = threading.Event()
    tensor = torch.ones(1 << 22)
    response = treering.save_async(tmp_path / "x", [tensor], progress=lambda *a: gate.wait(60))
    tensor.zero_()
    gate.set()
    response.result(60)
    assert treering.load(tmp_path / "x")[0].min() == 1


def test_what_has_no_place_is_refused_by_path(round_trip):
    for value, words in ((torch.eye(2).to_sparse(), "to_dense"), (torch.empty(2, device="meta"), "meta")):
        with pytest.raises(TypeError, match=f"'a'.*{words}"):
            round_trip({"a": value})


def test_without_torch_tensors_come_back_as_numpy(tmp_path):
    treering.save(tmp_path / "x", {"w": torch.ones(2, dtype=torch.bfloat16)})
    code = "import sys, treering; w = treering.load(sys.argv[1])['w']; print(type(w).__module__, w.dtype, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "numpy bfloat16 False\n"
