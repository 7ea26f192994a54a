"""The same learning rates in other frameworks, where these are installed; and clear refusals."""

from __future__ import annotations

import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrsearch.exceptions import UnsupportedError
from lrsearch.schedules import (
    Averaging,
    Schedule,
    families,
    get_family,
    join,
    scheduler_arguments,
    to_csv,
    to_numpy,
    to_optax,
    to_transformers,
    training_arguments,
)

T, PEAK = 60, 0.3
PLAIN = [name for name in families() if not get_family(name).averages]

EVERYTHING = [
    *(Schedule(name, PEAK, T) for name in PLAIN),
    *(Schedule(name, PEAK, T, {}, 7, 0.02) for name in PLAIN),
    *(Schedule("wsd", PEAK, T, {"cooldown_shape": s}) for s in ("cosine", "square", "exponential")),
    Schedule("uba", PEAK, T, {"phi": 3.0, "cycles": 4}, 3),
    Schedule("uba", PEAK, T, {"phi": 0.0}),
    Schedule("step", PEAK, T, {"drops": 3, "spacing": "halving"}),
    Schedule("cosine_restarts", PEAK, T, {"cycles": 3, "growth": 1.7}),
    Schedule("cyclic", PEAK, T, {"cycles": 3, "rise": 0.3, "decay": 0.5}, 2, 0.05),
    Schedule("one_cycle", PEAK, T, {"rise": 0.0, "anneal": "linear", "momentum": "kept"}),
    Schedule("piecewise", PEAK, T, {"levels": (0.3, 1.0, 0.2, 0.0)}, 3, 0.01),
    join(
        Schedule("wsd", PEAK, 40, {}, 4),
        Schedule("cyclic", 0.1, 11, {}, 2, 0.01),
        join(Schedule("step", 0.2, 9), Schedule("piecewise", 0.05, 5, {"levels": (1.0, 0.2)})),
    ),
]


def namespace(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(source, names)
    return names


@pytest.mark.parametrize("schedule", EVERYTHING, ids=lambda s: s.family)
def test_numpy_source_gives_the_same_numbers(schedule: Schedule) -> None:
    names = namespace(to_numpy(schedule))
    steps = np.arange(schedule.budget + 3)
    expected = [schedule(step) for step in steps]
    np.testing.assert_allclose(names["learning_rate"](steps), expected, rtol=1e-12, atol=1e-15)
    assert float(names["learning_rate"](5)) == pytest.approx(expected[5], rel=1e-12)
    if schedule.momentum(0) is not None:
        momenta = [schedule.momentum(step) for step in steps]
        np.testing.assert_allclose(names["momentum"](steps), momenta, rtol=1e-12)
    with pytest.raises(ValueError, match="step must be >= 0, got -1"):
        names["learning_rate"](np.array([3, -1]))


@pytest.mark.parametrize("schedule", EVERYTHING, ids=lambda s: s.family)
def test_optax_source_runs_on_an_array_library_that_is_no_jax(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everything that the source asks of jax.numpy exists in numpy under the same name.
    stand_in = types.ModuleType("jax")
    stand_in.numpy = np  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jax", stand_in)
    monkeypatch.setitem(sys.modules, "jax.numpy", np)
    learning_rate = namespace(to_optax(schedule))["learning_rate"]
    steps = np.arange(schedule.budget + 3)
    expected = [schedule(step) for step in steps]
    np.testing.assert_allclose(learning_rate(steps), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("schedule", EVERYTHING, ids=lambda s: s.family)
def test_optax_source_is_an_optax_schedule(schedule: Schedule) -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    names = namespace(to_optax(schedule))
    learning_rate = jax.jit(names["learning_rate"])
    expected = [schedule(step) for step in range(schedule.budget + 3)]
    used = [float(learning_rate(step)) for step in range(schedule.budget + 3)]
    np.testing.assert_allclose(used, expected, rtol=2e-5, atol=2e-6 * PEAK)
    if schedule.momentum(0) is not None:
        momenta = [float(names["momentum"](step)) for step in range(T)]
        assert momenta == pytest.approx([schedule.momentum(step) for step in range(T)], abs=1e-6)


@pytest.mark.parametrize("kind", ["uint64", "uint8", "int8", "int64", "float64"])
def test_numpy_source_takes_steps_of_every_kind(kind: str) -> None:
    schedule = Schedule("linear", 0.1, 100)
    steps = np.array([0, 8, 100, 120]).astype(kind)
    rates = namespace(to_numpy(schedule))["learning_rate"](steps)
    np.testing.assert_allclose(rates, [0.1, 0.092, 0.0, 0.0], atol=1e-15)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule("uba", PEAK, T, {"phi": 1e39}), "phi = 1e\\+39 becomes inf"),
        (Schedule("uba", PEAK, T, {"phi": 1e-50}), "phi = 1e-50 becomes 0.0"),
        (Schedule("rex", PEAK, T, {"alpha": 1 - 1e-9}), "alpha = 0.999999999 becomes 1.0"),
        (Schedule("linear", 1e-50, T), "peak = 1e-50 becomes 0.0"),
        (Schedule("linear", PEAK, 2**31), "int32, which a budget of 2147483648 exceeds"),
    ],
)
def test_what_single_precision_cannot_say_is_refused(schedule: Schedule, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        to_optax(schedule)


def test_extreme_ratios_in_single_precision() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    for schedule in (
        Schedule("exponential", PEAK, T, {"ratio": 1e-30}),
        Schedule("wsd", PEAK, T, {"cooldown_shape": "exponential", "cooldown_ratio": 1e-30}),
    ):
        learning_rate = jax.jit(namespace(to_optax(schedule))["learning_rate"])
        used = [float(learning_rate(step)) for step in range(T)]
        assert used == pytest.approx(schedule.values().tolist(), abs=1e-5 * PEAK)


def test_momentum_in_optax() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")
    schedule = Schedule("one_cycle", PEAK, T)
    names = namespace(to_optax(schedule))
    optimizer = optax.inject_hyperparams(optax.sgd)(
        learning_rate=names["learning_rate"], momentum=names["momentum"]
    )
    weight = jax.numpy.zeros(())
    state = optimizer.init(weight)
    for step in range(T):
        _, state = optimizer.update(jax.numpy.ones(()), state, weight)
        assert float(state.hyperparams["momentum"]) == pytest.approx(schedule.momentum(step))


def test_an_optax_optimizer_takes_these_steps() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")
    schedule = Schedule("wsd", PEAK, T, {"cooldown_shape": "square"}, 5, 0.01)
    optimizer = optax.sgd(namespace(to_optax(schedule))["learning_rate"])
    weight = jax.numpy.zeros(())
    state = optimizer.init(weight)
    for step in range(T):
        update, state = optimizer.update(jax.numpy.ones(()), state, weight)
        assert float(update) == pytest.approx(-schedule(step), rel=1e-5)


# Hugging Face.

THEIRS = [
    Schedule("constant", PEAK, T, end_value=0.1),
    Schedule("linear", PEAK, T),
    Schedule("linear", PEAK, T, end_value=0.02),
    Schedule("polynomial", PEAK, T, {"power": 1.7}, end_value=0.02),
    Schedule("polynomial", PEAK, T),
    Schedule("cosine", PEAK, T),
    Schedule("cosine", PEAK, T, end_value=0.02),
    *(Schedule("cosine_restarts", PEAK, T, {"cycles": cycles}) for cycles in (1, 2, 4, 5)),
    Schedule("inverse_sqrt", PEAK, T, {"timescale": 0.13}),
    *(
        Schedule("wsd", PEAK, T, {"cooldown": 0.3, "cooldown_shape": shape}, end_value=end)
        for shape in ("linear", "cosine", "1-sqrt")
        for end in (0.0, 0.02)
    ),
]
COSINES = [Schedule("cosine", PEAK, T, {}, warmup, end) for warmup in (1, 9) for end in (0.0, 0.02)]


def sgd() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=PEAK)


def rates(scheduler: Any, optimizer: torch.optim.Optimizer, steps: int = T) -> list[float]:
    used = []
    for _ in range(steps):
        used.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return used


@pytest.mark.parametrize("schedule", [*THEIRS, *COSINES], ids=lambda s: s.family)
def test_get_scheduler_gives_the_same_learning_rates(schedule: Schedule) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    optimizer = sgd()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scheduler = transformers.get_scheduler(optimizer=optimizer, **scheduler_arguments(schedule))
    used = rates(scheduler, optimizer)
    assert used == pytest.approx(schedule.values().tolist(), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("schedule", THEIRS, ids=lambda s: s.family)
def test_training_arguments_give_the_same_learning_rates(
    schedule: Schedule, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, **schedule.transformers()
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=arguments.learning_rate)
    trainer = transformers.Trainer(
        model=torch.nn.Linear(1, 1), args=arguments, optimizers=(optimizer, None)
    )
    scheduler = trainer.create_scheduler(arguments.max_steps, optimizer)
    used = rates(scheduler, optimizer, arguments.max_steps)
    assert used == pytest.approx(schedule.values().tolist(), rel=1e-9, abs=1e-14)


def test_a_trainer_takes_our_scheduler(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    schedule = Schedule("rex", 0.1, 6, warmup_steps=2)

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": (self.layer(x) - labels).square().mean()}

    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    used: list[float] = []
    optimizer.register_step_pre_hook(lambda o, *_: used.append(o.param_groups[0]["lr"]))
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=schedule.budget,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
    )
    data = [{"x": torch.ones(1), "labels": torch.ones(1)} for _ in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=data,
            optimizers=(optimizer, schedule.torch(optimizer)),
        ).train()
    assert used == schedule.values().tolist()


@pytest.mark.parametrize(
    "schedule",
    [
        *(Schedule(n, PEAK, T) for n in ("uba", "rex", "power", "step", "cyclic", "exponential")),
        Schedule("two_phase", PEAK, T),
        Schedule("one_cycle", PEAK, T, {"momentum": "kept"}),
        Schedule("wsd", PEAK, T, {"cooldown_shape": "square"}),
        Schedule("inverse_sqrt", PEAK, T, end_value=0.02),
        Schedule("cosine_restarts", PEAK, T, {"cycles": 2}, end_value=0.02),
        Schedule("cosine_restarts", PEAK, T, {"cycles": 2, "growth": 2}),
        Schedule("cosine_restarts", PEAK, T, {"cycles": 7}),
        Schedule("cosine_restarts", PEAK, 49, {"cycles": 49}),  # theirs loses a restart to rounding
        Schedule("piecewise", PEAK, T, {"levels": (1.0, 0.0)}),
        join(Schedule("linear", PEAK, T)),
    ],
    ids=lambda s: s.family,
)
def test_what_does_not_exist_there_is_refused_with_the_way_out(schedule: Schedule) -> None:
    for convert in (training_arguments, scheduler_arguments, to_transformers):
        with pytest.raises(UnsupportedError) as caught:
            convert(schedule)
        assert schedule.family in str(caught.value)
        assert "optimizers=(optimizer, schedule.torch(optimizer))" in str(caught.value)


def test_their_warmup_is_another() -> None:
    schedule = Schedule("linear", PEAK, T, {}, 9)
    with pytest.raises(
        UnsupportedError, match=r"reaches step / 9 of the peak .* \(step \+ 1\) / 10"
    ):
        schedule.transformers()
    with pytest.raises(UnsupportedError, match="approximate=True"):
        scheduler_arguments(schedule)
    assert scheduler_arguments(schedule, approximate=True)["num_warmup_steps"] == 9
    arguments = schedule.transformers(approximate=True)
    assert arguments == {
        "learning_rate": PEAK,
        "lr_scheduler_type": "linear",
        "warmup_steps": 9,
        "max_steps": T,
    }
    constant = Schedule("constant", PEAK, T, {}, 9).transformers(approximate=True)
    assert constant["lr_scheduler_type"] == "constant_with_warmup"


@pytest.mark.parametrize(
    "schedule", [s for s in THEIRS if s.end_value == 0], ids=lambda s: s.family
)
def test_the_approximate_warmup_is_off_by_no_more_than_it_says(schedule: Schedule) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    mine = Schedule(schedule.family, PEAK, T, schedule.parameters, 10)
    if schedule.family == "cosine_restarts" and 50 % int(schedule.parameters["cycles"]):
        return
    arguments = mine.transformers(approximate=True)
    optimizer = sgd()
    scheduler = transformers.get_scheduler(
        arguments["lr_scheduler_type"],
        optimizer,
        arguments["warmup_steps"],
        arguments["max_steps"],
        arguments.get("lr_scheduler_kwargs"),
    )
    gap = np.abs(np.array(rates(scheduler, optimizer)) - mine.values())
    assert gap.max() <= PEAK / 11 * (1 + 1e-12)
    assert gap[10:].max() < 1e-12


def test_exported_arguments_are_json() -> None:
    schedule = Schedule("wsd", PEAK, T)
    assert json.loads(to_transformers(schedule)) == schedule.transformers()


# Lightning.


def test_lightning_trains_with_it() -> None:
    lightning = pytest.importorskip("lightning", reason="lightning is not installed")
    schedule = Schedule("one_cycle", 0.1, 8, averaging=Averaging(0.5))
    used: list[tuple[float, float]] = []
    weights: list[torch.Tensor] = []

    class Line(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any) -> torch.Tensor:
            x, y = batch
            return (self.layer(x) - y).square().mean()

        def configure_optimizers(self) -> dict[str, Any]:
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0, momentum=0.9)
            optimizer.register_step_pre_hook(
                lambda o, *_: used.append((o.param_groups[0]["lr"], o.param_groups[0]["momentum"]))
            )
            optimizer.register_step_post_hook(
                lambda *_: weights.append(self.layer.weight.detach().clone())
            )
            return schedule.lightning(optimizer, model=self.layer)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = torch.utils.data.TensorDataset(torch.ones(6, 1), torch.ones(6, 1))
        trainer = lightning.Trainer(
            max_steps=schedule.budget,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        )
        module = Line()
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=2))
    assert [rate for rate, _ in used] == schedule.values().tolist()
    assert [momentum for _, momentum in used] == [schedule.momentum(step) for step in range(8)]
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    mean = torch.stack(weights[4:]).mean(dim=0)
    torch.testing.assert_close(scheduler.averaged.module.weight.detach(), mean)


# Averaged weights: an adapter does them or says that it can't.


@pytest.mark.parametrize("write", [to_csv, to_numpy, to_optax, to_transformers])
def test_formats_that_cannot_average_say_so(write: Any) -> None:
    schedule = Schedule("linear", PEAK, T, averaging=Averaging(0.8))
    with pytest.raises(UnsupportedError, match=r"cannot average weights, .* from update 48 on"):
        write(schedule)
    for family, first in (("swa", 45), ("ema", 45)):
        with pytest.raises(UnsupportedError, match=f"from update {first} on: .*family='constant'"):
            write(Schedule(family, PEAK, T))
    with pytest.raises(UnsupportedError, match="averaging=None"):
        scheduler_arguments(Schedule("cosine", PEAK, T, {}, 3, averaging=Averaging(0.8)))
