"""The embedded digits: the published data, tasks that train, variants that are kept apart."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.resources import files
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrsearch.exceptions import TaskError
from lrsearch.tasks import EMBEDDED, digits, digits_cnn, load_digits, optimizer_by_name
from lrsearch.training import Task, batches, find_task, rng_state

NPZ = files("lrsearch.tasks").joinpath("digits.npz")


def stored() -> tuple[Any, Any]:
    with NPZ.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        return arrays["images"], arrays["labels"]


def train(task: Task, learning_rate: float, steps: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = task.model()
    optimizer = task.optimizer(model, learning_rate)
    for batch in islice(batches(task, seed), steps):
        optimizer.zero_grad()
        task.loss(model, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def test_the_file_holds_the_data_of_scikit_learn() -> None:
    datasets = pytest.importorskip(
        "sklearn.datasets", reason="scikit-learn, the origin of the data, is not installed"
    )
    images, labels = stored()
    origin = datasets.load_digits()
    assert images.dtype == labels.dtype == np.uint8
    assert np.array_equal(images, origin.images)
    assert np.array_equal(labels, origin.target)


def test_the_file_is_small_and_whole() -> None:
    assert len(NPZ.read_bytes()) < 60_000
    images, labels = stored()
    assert images.shape == (1797, 8, 8)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_parts_are_every_image_once() -> None:
    data = load_digits()
    parts = [data.train, data.validation, data.test]
    assert [len(part.labels) for part in parts] == [1200, 297, 300]
    images, labels = stored()
    pixels = torch.cat([part.images for part in parts]).squeeze(1)
    offset = pixels.amin(dim=0)  # every pixel is black somewhere in the data
    restored = ((pixels - offset) * 16).round().numpy().astype(np.uint8)
    joined = torch.cat([part.labels for part in parts]).numpy()

    def pairs(some: Any, some_labels: Any) -> list[tuple[bytes, int]]:
        return sorted((a.tobytes(), int(b)) for a, b in zip(some, some_labels, strict=True))

    assert pairs(restored, joined) == pairs(images, labels)


def test_inputs_are_centred_and_in_units_of_full_brightness() -> None:
    data = load_digits()
    assert data.train.images.shape == (1200, 1, 8, 8)
    assert data.train.images.dtype == torch.float32
    assert data.train.images.mean(dim=0).abs().max() < 1e-6
    assert data.train.images.abs().max() <= 1
    assert (data.train.images.amax(dim=0) - data.train.images.amin(dim=0)).max() == 1


def test_the_split_is_the_one_that_studies_were_run_on() -> None:
    data = load_digits()
    assert data.train.labels[:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]
    assert data.validation.labels[:8].tolist() == [6, 1, 6, 0, 6, 4, 0, 1]
    assert data.test.labels[:8].tolist() == [8, 8, 2, 2, 2, 9, 8, 8]


def test_importing_reads_no_data_and_neither_does_building_a_task() -> None:
    code = (
        "import lrsearch.tasks as tasks\n"
        "from lrsearch.tasks._digits import load_digits\n"
        "tasks.digits(), tasks.digits_cnn()\n"
        "assert load_digits.cache_info().currsize == 0\n"
        "tasks.digits().stream(0, 0)\n"
        "assert load_digits.cache_info().currsize == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_the_data_leaves_global_generators_alone() -> None:
    load_digits.cache_clear()
    before = rng_state()
    load_digits()
    after = rng_state()
    assert torch.equal(before["numpy"]["key"], after["numpy"]["key"])
    assert before["numpy"]["position"] == after["numpy"]["position"]
    assert torch.equal(before["torch"], after["torch"])


@pytest.mark.parametrize(
    ("name", "learning_rate", "reached"),
    [("digits", 0.1, 0.15), ("digits-cnn", 0.01, 0.15)],
)
def test_a_sensible_rate_reaches_a_low_loss(
    name: str, learning_rate: float, reached: float
) -> None:
    task = find_task(name, EMBEDDED)
    assert task.name == name
    model = train(task, learning_rate, 300)
    assert task.evaluate(model) < reached
    test = load_digits().test
    with torch.no_grad():
        hits = (model.eval()(test.images).argmax(dim=1) == test.labels).double().mean().item()
    assert hits > 0.94


def test_rates_matter() -> None:
    task = digits()
    good = task.evaluate(train(task, 0.1, 150))
    assert task.evaluate(train(task, 0.001, 150)) > 2 * good
    assert not task.evaluate(train(task, 3.0, 150)) < 2 * good


def test_the_networks_have_the_stated_sizes() -> None:
    def parameters(task: Task) -> int:
        return sum(parameter.numel() for parameter in task.model().parameters())

    assert parameters(digits()) == 65 * 128 + 129 * 64 + 65 * 10
    assert parameters(digits(width=10)) == 65 * 10 + 11 * 5 + 6 * 10
    assert parameters(digits_cnn()) == 72 + 16 + 1152 + 32 + 650


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_leaves_mode_statistics_and_generators_alone(training: bool) -> None:
    task = digits_cnn()
    model = task.model().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generators = rng_state()["torch"]
    first = task.evaluate(model)
    assert task.evaluate(model) == first
    assert model.training is training
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(rng_state()["torch"], generators)


def test_evaluating_is_the_mean_cross_entropy_of_the_validation_part() -> None:
    task = digits()
    model = task.model()
    part = load_digits().validation
    log_odds = model(part.images).double().log_softmax(dim=1)
    expected = -log_odds[torch.arange(297), part.labels].mean().item()
    assert task.evaluate(model) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("sgd", torch.optim.SGD),
        ("momentum", torch.optim.SGD),
        ("nesterov", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
        ("adagrad", torch.optim.Adagrad),
    ],
)
def test_optimizers_by_name(kind: str, kept: type[torch.optim.Optimizer]) -> None:
    optimizer = optimizer_by_name(kind)(nn.Linear(2, 2), 0.25)
    assert type(optimizer) is kept
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.25
    assert len(group["params"]) == 2
    if kept is torch.optim.SGD:
        assert group["momentum"] == (0.0 if kind == "sgd" else 0.9)
        assert group["nesterov"] == (kind == "nesterov")


def test_defaults() -> None:
    for task, kept, budget in [
        (digits(), torch.optim.SGD, 600),
        (digits_cnn(), torch.optim.AdamW, 400),
    ]:
        assert task.budget == budget
        assert task.metric == "validation loss"
        assert task.direction == "minimize"
        assert type(task.optimizer(task.model(), 0.1)) is kept
        assert len(next(batches(task, 0))[1]) == 32


def test_variants_have_names_of_their_own() -> None:
    variants = [
        digits(),
        digits(optimizer="adam"),
        digits(width=64),
        digits(batch_size=64),
        digits(optimizer="adam", width=64, batch_size=64),
        digits_cnn(),
        digits_cnn(optimizer="sgd", width=16),
    ]
    assert [task.name for task in variants] == [
        "digits",
        "digits-adam",
        "digits-width64",
        "digits-batch64",
        "digits-adam-width64-batch64",
        "digits-cnn",
        "digits-cnn-sgd-width16",
    ]
    assert len(next(batches(variants[3], 0))[1]) == 64


@pytest.mark.parametrize("build", [digits, digits_cnn])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "sdg"}, "no optimizer is called 'sdg': choose one of .*'sgd'"),
        ({"width": 0}, "width must be a whole number, at least [12], got 0"),
        ({"width": 8.0}, r"width .* got 8\.0"),
        ({"batch_size": 0}, "batch_size must be a whole number, from 1 to 1200, got 0"),
        ({"batch_size": 1201}, "from 1 to 1200, got 1201"),
        ({"batch_size": True}, "got True"),
    ],
)
def test_arguments_are_checked(build: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build(**arguments)


def test_tasks_can_be_sent_to_other_processes_without_the_data() -> None:
    load_digits()
    sent = pickle.dumps(digits())
    assert len(sent) < 2_000
    task = pickle.loads(sent)
    assert task.evaluate(train(task, 0.1, 20)) == digits().evaluate(train(digits(), 0.1, 20))
