"""Training: against a plain loop, killed and resumed, in two processes, and on bad input."""

import io
import os
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmlearn import train as training
from mmlearn.data import Dataset
from mmlearn.runtime import device, start
from mmlearn.train import History, evaluate, fit
from tests.package import toy_training as toy

SCRIPT = str(Path(__file__).parent / "toy_training.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    """As the killed process has: sums over more threads round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MMLEARN_STATIC": "1"}


def same(model, other):
    pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == n and torch.equal(a, b) for (name, a), (n, b) in pairs)


def curves(history):
    return {k: v for k, v in vars(history).items() if k != "seconds"}


fit_pairs = partial(fit, loss=F.cross_entropy, epochs=2, batch=8, seed=0)


def test_is_the_plain_loop():
    data, model, by_hand = toy.pairs(20), toy.plain(), toy.plain()
    history = fit_pairs(model, data, learning_rate=0.1, optimiser=torch.optim.SGD)
    steps, losses = torch.optim.SGD(by_hand.parameters(), lr=0.1), []
    for epoch in range(2):
        order = np.random.default_rng([0, epoch]).permutation(20)
        for rows in (order[:8], order[8:16]):  # the last four are no full batch
            x, y = data[rows]
            loss = F.cross_entropy(by_hand(x), y)
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses.append(loss.item())
    assert same(model, by_hand) and not model.training
    assert history.train_loss == pytest.approx([sum(losses[:2]) / 2, sum(losses[2:]) / 2])
    assert np.isnan(history.val_loss).all() and np.isnan(history.accuracy).all()
    assert len(history) == len(history.seconds) == 2 and history.best == 1


def test_learns_what_is_there_to_learn():
    model = toy.model()
    history = toy.train(model, epochs=15)
    assert history.train_loss[-1] < history.train_loss[0] - 0.2
    assert evaluate(model, toy.dataset(60, 3), loss=F.cross_entropy).accuracy > 0.8


def test_evaluate_is_the_whole_set_at_once():
    model, data = toy.plain(), toy.pairs(13)
    x, y = data[:]
    outputs = model(x)
    for batch in (1, 4, 13, 50):
        found = evaluate(model, data, loss=F.cross_entropy, batch=batch)
        torch.testing.assert_close(found.outputs, outputs)
        assert torch.equal(found.label, y) and not found.outputs.requires_grad
        assert found.loss == pytest.approx(F.cross_entropy(outputs, y).item())
        assert found.accuracy == (outputs.argmax(1) == y).double().mean().item()
    assert model.training  # as it was


def test_regression_has_no_accuracy():
    x = torch.randn(10, 3)
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    history = fit_pairs(nn.Linear(3, 1), data, val=data, loss=F.mse_loss)
    assert np.isfinite(history.val_loss).all() and np.isnan(history.accuracy).all()


def test_any_iterable_of_pairs():
    data = toy.pairs(20)
    model, other = toy.plain(), toy.plain()
    fit_pairs(model, data)
    fit_pairs(other, (data[i] for i in range(20)))
    assert same(model, other)


def test_repeats_with_its_seed_whatever_was_drawn_before():
    model, again, other = toy.model(), toy.model(), toy.model()
    first = toy.train(model, epochs=2)
    torch.rand(3)
    assert curves(first) == curves(toy.train(again, epochs=2)) and same(model, again)
    start(seed=8)
    fit(other, toy.dataset(), loss=F.cross_entropy, epochs=2, batch=8)
    assert not same(model, other)


def test_frozen_parameters_stay():
    model = toy.plain()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit_pairs(model, toy.pairs(20))
    assert torch.equal(before, model[0].weight) and not same(model, toy.plain())


class Rising:
    """A loss that is lowest after some epochs of one step, on the validation samples."""

    def __init__(self, values):
        self.values = list(values)

    def __call__(self, outputs, label):
        if outputs.requires_grad:
            return F.cross_entropy(outputs, label)
        return torch.tensor(self.values.pop(0))


def test_patience_stops_and_the_best_weights_return():
    best, stopped = toy.plain(), toy.plain()
    fit_pairs(best, toy.pairs(8), epochs=2)
    history = fit_pairs(
        stopped, toy.pairs(8), val=toy.pairs(8), epochs=9, patience=2,
        loss=Rising([3.0, 1.0, 2.0, 1.0, 0.5]),
    )  # fmt: skip
    assert history.val_loss == [3.0, 1.0, 2.0, 1.0] and history.best == 1
    assert same(best, stopped)


@pytest.mark.parametrize(("when", "done"), [("step", 3), ("write", 2)])
def test_killed_and_started_again_is_never_stopped(tmp_path, when, done):
    path = tmp_path / "kept" / "run.pt"
    killed = subprocess.run([sys.executable, SCRIPT, "kill", path, when], env=environment())
    assert killed.returncode == -9
    state = torch.load(path, weights_only=True)
    assert len(state["history"]["train_loss"]) == done
    resumed, whole = toy.model(), toy.model()
    history = toy.train(resumed, path)
    assert curves(history) == curves(toy.train(whole)) and same(resumed, whole)
    assert history.seconds[:done] == state["history"]["seconds"]
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]
    # And once it is done, the same call only reads it.
    again = toy.model()
    assert curves(toy.train(again, path)) == curves(history) and same(again, whole)


def test_longer_training_goes_on_from_a_shorter_one(tmp_path):
    longer, whole = toy.model(), toy.model()
    toy.train(toy.model(), tmp_path / "run.pt", epochs=2)
    history = toy.train(longer, tmp_path / "run.pt", epochs=3)
    assert curves(history) == curves(toy.train(whole, epochs=3)) and same(longer, whole)


def test_goes_on_from_the_last_weights_not_from_the_best(tmp_path):
    path, one, whole, resumed = tmp_path / "run.pt", toy.pairs(16), toy.plain(), toy.plain()
    call = partial(fit_pairs, val=one, checkpoint=path)
    call(toy.plain(), one, epochs=3, loss=Rising([1.0, 2.0, 3.0]))
    history = call(resumed, one, epochs=4, loss=Rising([0.5]))
    assert history.val_loss == [1.0, 2.0, 3.0, 0.5] and history.best == 3
    fit_pairs(whole, one, epochs=4)
    assert same(resumed, whole)


def test_trains_in_training_mode_whatever_mode_the_model_was_in():
    model, other = toy.model(), toy.model().eval()
    toy.train(model, epochs=2)
    toy.train(other, epochs=2)
    assert same(model, other)


def test_patience_counts_over_a_stop(tmp_path):
    path, one = tmp_path / "run.pt", toy.pairs(8)
    call = partial(fit_pairs, val=one, checkpoint=path, patience=2)
    call(toy.plain(), one, epochs=3, loss=Rising([1.0, 2.0, 3.0]))
    assert len(call(toy.plain(), one, epochs=9, loss=Rising([]))) == 3


@pytest.mark.parametrize("damage", [b"", b"half of it"])
def test_damaged_checkpoint(tmp_path, damage):
    path = tmp_path / "run.pt"
    path.write_bytes(damage)
    with pytest.raises(ValueError, match=r"run\.pt is damaged or no checkpoint of fit; delete it"):
        fit_pairs(toy.plain(), toy.pairs(8), checkpoint=path)
    torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="no checkpoint of fit"):
        fit_pairs(toy.plain(), toy.pairs(8), checkpoint=path)


def test_checkpoint_cut_off(tmp_path):
    path = tmp_path / "run.pt"
    fit_pairs(toy.plain(), toy.pairs(8), checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        fit_pairs(toy.plain(), toy.pairs(8), checkpoint=path)


def test_checkpoint_of_another_training(tmp_path):
    path = tmp_path / "run.pt"
    fit_pairs(toy.plain(), toy.pairs(8), checkpoint=path)
    with pytest.raises(ValueError, match="of another training: batch was 8, is 4"):
        fit_pairs(toy.plain(), toy.pairs(8), checkpoint=path, batch=4)
    with pytest.raises(ValueError, match="of another model"):
        fit_pairs(nn.Linear(5, 3).double(), toy.pairs(8), checkpoint=path)


def test_failed_write_leaves_the_old_checkpoint_alone(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    fit_pairs(toy.plain(), toy.pairs(8), epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(state, file):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        fit_pairs(toy.plain(), toy.pairs(8), epochs=2, checkpoint=path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_two_processes_find_what_one_finds(tmp_path):
    # By address: a machine's own name need not resolve, and then the two never meet.
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    command = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    ran = subprocess.run(
        [sys.executable, *command, "--nproc_per_node", "2", SCRIPT, "together", tmp_path],
        env={**environment(), "GLOO_SOCKET_IFNAME": loopback}, timeout=300, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    model = toy.plain()
    history, found = toy.train_plain(model)
    left, right = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in "01")
    for theirs in (left, right):
        assert theirs["processes"] == 2
        torch.testing.assert_close(theirs["weights"], dict(model.state_dict()))
        for name in ("train_loss", "val_loss", "accuracy"):
            assert theirs[name] == pytest.approx(getattr(history, name))
        loss, accuracy, outputs, label = theirs["evaluation"]
        assert loss == pytest.approx(found.loss) and accuracy == found.accuracy
        torch.testing.assert_close(outputs, found.outputs)
        assert torch.equal(label, found.label)
    # What is each process's own in training, its running statistics, agrees in the end.
    torch.testing.assert_close(left["statistics"], right["statistics"], rtol=0, atol=0)
    assert left["curve"] == right["curve"]


def test_device_asked_for_first_shares_the_cpu_too(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "accelerate.PartialState", lambda cpu: asked.append(cpu) or SimpleNamespace(device=None)
    )
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    device()
    monkeypatch.setenv("LOCAL_RANK", "0")
    device()
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    device()
    assert asked == [False, True, False]


class Breaking:
    """A loss that is no number from one step on."""

    def __init__(self, step, value):
        self.left, self.value = step, value

    def __call__(self, outputs, label):
        loss = F.cross_entropy(outputs, label)
        if outputs.requires_grad:
            self.left -= 1
        return loss * (self.value if self.left == 0 else 1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_loss_that_is_no_number_stops_at_its_step(tmp_path, value):
    path, model, best = tmp_path / "run.pt", toy.plain(), toy.plain()
    fit_pairs(best, toy.pairs(20))
    with pytest.raises(FloatingPointError, match=rf"the loss is {value} at step 6 \(epoch 3\)"):
        fit_pairs(model, toy.pairs(20), epochs=4, loss=Breaking(6, value), checkpoint=path)
    assert same(model, best) and not model.training
    assert len(torch.load(path, weights_only=True)["history"]["train_loss"]) == 2


def test_nan_in_the_first_batch_leaves_the_first_weights():
    x = torch.full((8, 5), torch.nan, dtype=torch.float64)
    data, model = torch.utils.data.TensorDataset(x, torch.zeros(8, dtype=torch.int64)), toy.plain()
    with pytest.raises(FloatingPointError, match=r"nan at step 1 \(epoch 1\).*learning_rate"):
        fit_pairs(model, data)
    assert same(model, toy.plain())


def test_weight_that_is_no_number_reaches_no_checkpoint(tmp_path):
    model = toy.plain()
    with pytest.raises(FloatingPointError, match=r"a weight is (inf|nan) at step 1"):
        fit_pairs(
            model, toy.pairs(8), learning_rate=torch.inf, optimiser=torch.optim.SGD,
            checkpoint=tmp_path / "run.pt",
        )  # fmt: skip
    assert same(model, toy.plain()) and list(tmp_path.iterdir()) == []


def test_validation_loss_that_is_no_number():
    x, y = toy.pairs(4)[:]
    bad = torch.utils.data.TensorDataset(x / 0, y)
    with pytest.raises(FloatingPointError, match="the validation loss is nan at step 1"):
        fit_pairs(toy.plain(), toy.pairs(8), val=bad)


def test_interrupted_by_the_reader_keeps_the_best_weights():
    class Stop(Rising):
        def __call__(self, outputs, label):
            if not self.values:
                raise KeyboardInterrupt
            return super().__call__(outputs, label)

    model, best, one = toy.plain(), toy.plain(), toy.pairs(8)
    fit_pairs(best, one, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        fit_pairs(model, one, val=one, epochs=5, loss=Stop([1.0, 2.0]))
    assert same(model, best)


def unlabelled():
    return [{"image": np.ones((8, 8))}] * 8


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ([], {}, "train is empty"),
        (toy.pairs(8), {"val": []}, "val is empty"),
        (Dataset("none", {"image": []}, np.array([], dtype=int), []), {}, "train is empty"),
        (toy.pairs(7), {}, "batch is at most 7, as many samples as train has, got 8"),
        (toy.pairs(8), {"batch": 0}, "batch is a positive multiple of the 1 processes, got 0"),
        (toy.pairs(8), {"epochs": 0}, "epochs is 1 or more, got 0"),
        (toy.pairs(8), {"patience": 2}, "needs val"),
        (toy.pairs(8), {"patience": 0, "val": toy.pairs(8)}, "patience is 1 or more"),
        (unlabelled(), {}, "train has no labels"),
        (torch.ones(8, 3), {}, "train has no labels"),
        ([(torch.ones(5),)] * 8, {}, "train has no labels"),
    ],
)
def test_bad_input(data, options, message):
    with pytest.raises(ValueError, match=message):
        fit_pairs(toy.plain(), data, **options)


def test_model_with_nothing_to_train():
    with pytest.raises(ValueError, match="no parameter that could be trained"):
        fit_pairs(toy.plain().requires_grad_(False), toy.pairs(8))
    with pytest.raises(ValueError, match="data has no labels"):
        evaluate(toy.plain(), unlabelled(), loss=F.cross_entropy)


def test_out_of_memory_names_what_to_lower():
    def hungry(outputs, label):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(MemoryError, match="lower batch=8, to 4 say"):
        fit_pairs(toy.plain(), toy.pairs(8), loss=hungry)

    def broken(outputs, label):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        fit_pairs(toy.plain(), toy.pairs(8), loss=broken)


@pytest.mark.parametrize(("static", "delay", "shown"), [("1", 0, 0), ("", 0, 1), ("", 5, 0)])
def test_bar_shows_on_what_takes_long_and_in_no_stored_output(monkeypatch, static, delay, shown):
    out = io.StringIO()

    def bar(**options):
        assert options["delay"] == 5
        return training_bar(**{**options, "delay": delay, "file": out, "mininterval": 0})

    training_bar = __import__("tqdm").tqdm
    monkeypatch.setattr(training, "tqdm", bar)
    monkeypatch.setenv("MMLEARN_STATIC", static)

    def slow(outputs, label):
        time.sleep(0.02)
        return F.cross_entropy(outputs, label)

    fit_pairs(toy.plain(), toy.pairs(16), loss=slow)
    assert ("fit" in out.getvalue()) == bool(shown)


def test_history_without_epochs():
    assert len(History()) == 0 and History().best == -1
