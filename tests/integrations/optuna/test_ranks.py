"""A study whose trials two processes run together: alike on both, and nobody waits for ever."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch.distributed as dist
from optuna.trial import TrialState

import lrsearch
from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.optuna import ERROR_KEY, RankTrial, readings_of, verdict_of
from lrsearch.integrations.optuna._runner import RUNNER_KEY, fail_abandoned, runner

two_ranks = [
    pytest.mark.distributed,
    pytest.mark.skipif(
        not (dist.is_available() and dist.is_gloo_available()), reason="needs torch with gloo"
    ),
]

SCENE = Path(__file__).with_name("ranks_scene.py")
ROOT = SCENE.parents[3]
EARLY = 3  # how a scene exits that has not come to its end
PATIENCE = 120  # seconds: a scene takes six, one that hangs would take for ever


class Stage:
    """Plays scenes on one storage, and tells what came of them."""

    def __init__(self, folder: Path, workshop: Any) -> None:
        self.folder, self.workshop, self.turn = folder, workshop, 0
        self.storage = f"sqlite:///{folder / 'study.db'}"

    def play(self, scene: str, codes: tuple[int, int] = (0, 0), **environment: str) -> list[Any]:
        """What each rank reports; nothing of one that was killed."""
        self.turn += 1
        results = self.folder / str(self.turn)
        results.mkdir()
        ranks = [
            self.workshop.script(
                *(SCENE, scene, self.storage, results, rank, results / "meet"),
                folder=results,
                **environment,
            )
            for rank in range(2)
        ]
        try:
            ended = tuple(rank.wait(PATIENCE).code for rank in ranks)
        finally:
            for rank in ranks:
                rank.kill()
        # Where a rank ends early, gloo's threads now and then abort it while it tears them down.
        met = [
            e == code or (code == EARLY and e == -signal.SIGABRT)
            for e, code in zip(ended, codes, strict=True)
        ]
        assert all(met), f"{ended}\n" + "\n".join(rank.err for rank in ranks)
        return self._reports(results)

    def torchrun(self, scene: str, **environment: str) -> list[Any]:
        """The same, started as users start it; it may be started anew once.

        For that each start gets a store of its own: in the one that torchrun shares between them,
        gloo (torch 2.13) finds the addresses of the dead.
        """
        environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
        command = [sys.executable, "-m", "torch.distributed.run", *options, SCENE, scene]
        path = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            list(map(str, [*command, self.storage, self.folder])),
            env=os.environ | path | environment,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
        )
        assert run.returncode == 0, run.stderr
        return self._reports(self.folder)

    def _reports(self, folder: Path) -> list[Any]:
        files = [folder / f"rank{rank}.json" for rank in range(2)]
        return [json.loads(f.read_text()) if f.exists() else None for f in files]

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return optuna.load_study(study_name="s", storage=self.storage).trials

    @property
    def states(self) -> list[str]:
        return [t.state.name for t in self.trials]

    def reason(self, number: int) -> str:
        return str(self.trials[number].user_attrs[ERROR_KEY])


@pytest.fixture
def stage(tmp_path: Path, workshop: Any) -> Stage:
    return Stage(tmp_path, workshop)


class TestTwoRanks:
    pytestmark = two_ranks

    def test_a_study_runs_alike_on_both_and_goes_on_another_day(self, stage: Stage) -> None:
        one, other = stage.play("study")
        assert one["ended"] == other["ended"] == "returned"
        assert one["seen"] == other["seen"]  # bit for bit: edges, plans, readings, weights, steps
        assert [s["number"] for s in one["seen"]] == [0, 1, 2, 3]
        assert [s["measured"] > 0 for s in one["seen"]] == [True, False, False, False]
        assert stage.states == ["COMPLETE", "PRUNED", "PRUNED", "COMPLETE"]
        for seen, trial in zip(one["seen"], stage.trials, strict=True):
            kept = [r.to_dict() for r in readings_of(trial.user_attrs)]
            assert json.loads(json.dumps(kept)) == seen["readings"] != []
            assert trial.params == seen["params"]
            assert seen["start"] != seen["end"]
        # A rate that is far too high is stopped on both at the same step.
        assert one["seen"][1]["steps"] < 40 == one["seen"][0]["steps"]
        assert one["seen"][1]["ended"].startswith("TrialPruned('diverged")
        # A metric that is not a number is none.
        assert "not finite" in verdict_of(stage.trials[2].user_attrs).reason
        # Goes on, and measures nothing, for the study knows the edge.
        again, with_it = stage.play("study", TRIALS="1")
        assert again["seen"] == with_it["seen"]
        assert [(s["number"], s["measured"]) for s in again["seen"]] == [(4, 0)]
        assert again["seen"][0]["edge"] == one["seen"][0]["edge"]
        assert len(stage.states) == 5

    def test_what_fails_on_some_ranks_fails_that_trial_alone(self, stage: Stage) -> None:
        one, other = stage.play("failing", TRIALS="12")
        assert one["ended"] == other["ended"] == "returned"
        assert stage.states == ["FAIL"] * 7 + ["PRUNED"] + ["FAIL"] * 2 + ["COMPLETE"] * 2
        expected = [
            "rank 1: MemoryError: no room on rank 1",
            "rank 0: MemoryError: no room on rank 0",
            "rank 0: OSError: validation data gone",
            "rank 1: OSError: validation data gone",
            "rank 0, 1: ValueError: the same on all",
            "rank 0: suggest_float('z', 0.0, 1.0); rank 1: suggest_float('y', 0.0, 1.0)",
            "rank 0 went on to suggest_categorical('c', ['a', 'b']) where others had ended",
        ]
        for number, reason in enumerate(expected):
            assert reason in stage.reason(number)
        assert "returned None on the first rank" in stage.reason(8)
        assert stage.reason(9).startswith("rank 0: AttributeError")
        assert [s for s in one["seen"] if s.get("number") != 3] == [
            s for s in other["seen"] if s.get("number") != 2
        ]
        assert {"prune": False} in one["seen"]

    def test_an_exception_that_is_not_to_be_caught_ends_the_study(self, stage: Stage) -> None:
        one, other = stage.play("failing", (EARLY, EARLY), CATCH="none")
        assert one["ended"] == "RunStopped: rank 1: MemoryError: no room on rank 1"
        assert other["ended"] == "MemoryError: no room on rank 1"
        assert stage.states == ["FAIL"]

    def test_ranks_without_ddp_are_told_the_edge_of_the_first(self, stage: Stage) -> None:
        one, other = stage.play("bare", TRIALS="2")
        assert [s["losses"] > 0 for s in one["seen"]] == [True, True]
        assert [s["losses"] for s in other["seen"]] == [0, 0]
        assert [s["edge"] for s in one["seen"]] == [s["edge"] for s in other["seen"]]

    def test_a_callback_stops_the_study_for_all(self, stage: Stage) -> None:
        one, other = stage.play("stuck", TRIALS="9", LEAVER="nobody", STOP="1")
        assert one["ended"] == other["ended"] == "returned"
        assert stage.states == ["COMPLETE"] * 3

    def test_a_first_rank_without_a_study_tells_the_others(self, stage: Stage) -> None:
        one, other = stage.play("no study", (EARLY, EARLY))
        told = "UnsupportedError: the first rank must give the study, it gave None."
        assert one["ended"] == told
        assert other["ended"] == f"RunStopped: the first rank ended the study: {told}"

    @pytest.mark.parametrize("leaver", ["0", "1"])
    def test_a_rank_left_in_a_collective_is_freed_when_the_other_ends(
        self, stage: Stage, leaver: str
    ) -> None:
        reports = stage.play("stuck", (EARLY, EARLY), LEAVER=leaver, PATIENCE="1 1800")
        left, freed = reports[int(leaver)], reports[1 - int(leaver)]
        assert left["ended"].startswith(f"RunStopped: rank {1 - int(leaver)} did not come within 1")
        assert f"another rank has left (rank {leaver}: MemoryError: no room" in freed["ended"]
        assert stage.states == ["COMPLETE", "FAIL"]
        assert "MemoryError: no room for gradients" in stage.reason(1)

    def test_a_rank_left_in_a_collective_is_freed_by_its_timeout(self, stage: Stage) -> None:
        one, other = stage.play("stuck", (EARLY, EARLY), LEAVER="1", PATIENCE="60 2")
        assert one["ended"] == other["ended"]
        assert "left the ranks out of step" in one["ended"]
        assert one["seconds"] < 30
        assert stage.states == ["COMPLETE", "FAIL"]
        assert "rank 1: MemoryError: no room for gradients" in stage.reason(1)
        assert "Timed out" in stage.reason(1)

    def test_a_trial_whose_process_was_killed_is_told_to_have_failed(self, stage: Stage) -> None:
        killed, other = stage.play("stuck", (7, EARLY), LEAVER="0", HOW="exit", PATIENCE="1 1800")
        assert killed is None
        assert other["ended"].startswith("RunStopped: ")
        assert stage.states == ["COMPLETE", "RUNNING"]
        stage.play("stuck", LEAVER="nobody", TRIALS="2")
        assert stage.states == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
        assert "ended in the middle of it" in stage.reason(1)

    @pytest.mark.parametrize("leaver", ["0", "1"])
    @pytest.mark.parametrize("how", ["at work", "waiting"])
    def test_an_interrupt_of_one_rank_ends_all(self, stage: Stage, leaver: str, how: str) -> None:
        reports = stage.play("interrupted", (EARLY, EARLY), LEAVER=leaver, HOW=how)
        assert reports[int(leaver)]["ended"].startswith("KeyboardInterrupt")
        assert reports[1 - int(leaver)]["ended"].startswith("RunStopped: ")
        assert all(report["seconds"] < 30 for report in reports)
        assert stage.states == ["COMPLETE", "FAIL"]

    def test_torchrun_starts_a_broken_group_anew_and_the_study_goes_on(self, stage: Stage) -> None:
        one, other = stage.torchrun("stuck", LEAVER="1", TRIALS="3", PATIENCE="1 1800")
        assert one["ended"] == other["ended"] == "returned"
        assert stage.states == ["COMPLETE", "FAIL"] + ["COMPLETE"] * 3


class TestOneProcess:
    def test_it_is_an_ordinary_study(self) -> None:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        seen: list[Any] = []

        def objective(trial: RankTrial) -> float:
            x = trial.suggest_float("x", 0.0, 1.0, step=0.25)
            assert trial.params == {"x": x}
            trial.set_user_attr("told", 1)
            assert trial.user_attrs["told"] == 1
            assert trial.study is study
            assert trial.distributions.keys() == {"x"}  # all that the trial has
            seen.append(trial.number)
            if trial.number == 1:
                raise ValueError("no")
            return [x, math.nan, math.inf][trial.number % 3]

        lrsearch.optimize(study, objective, n_trials=4, callbacks=[lambda s, t: seen.append(t)])
        assert [s for s in seen if isinstance(s, int)] == [0, 1, 2, 3]
        assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL", "PRUNED", "COMPLETE"]
        assert study.trials[1].user_attrs[ERROR_KEY] == "ValueError: no"
        with pytest.raises(KeyError):
            lrsearch.optimize(study, lambda trial: {}[0], n_trials=4, catch=(ValueError,))
        assert len(study.trials) == 5

    def test_several_objectives(self) -> None:
        study = optuna.create_study(directions=["minimize", "maximize"])
        lrsearch.optimize(study, lambda trial: (1.0, 2.0), n_trials=1)
        assert study.trials[0].values == [1.0, 2.0]
        lrsearch.optimize(study, lambda trial: (1.0, math.nan), n_trials=1)
        assert study.trials[1].state == TrialState.PRUNED
        lrsearch.optimize(study, lambda trial: 1.0, n_trials=1)
        assert "returned 1.0 for a study of 2 objectives" in study.trials[2].user_attrs[ERROR_KEY]

    def test_an_interrupt_and_an_exit_fail_their_trial_and_end_the_study(self) -> None:
        study = optuna.create_study()

        def objective(trial: RankTrial) -> float:
            raise KeyboardInterrupt if trial.number == 0 else SystemExit(4)

        for error in (KeyboardInterrupt, SystemExit):
            with pytest.raises(error):
                lrsearch.optimize(study, objective, n_trials=3)
        assert [t.state.name for t in study.trials] == ["FAIL", "FAIL"]
        assert study.trials[0].user_attrs[ERROR_KEY] == "KeyboardInterrupt"

    def test_no_study_is_refused(self) -> None:
        with pytest.raises(UnsupportedError, match="must give the study"):
            lrsearch.optimize(None, lambda trial: 0.0)

    def test_only_trials_of_dead_processes_of_this_machine_are_failed(self) -> None:
        study = optuna.create_study()
        alive = runner()
        gone = alive | {"started": "0"}  # its number was given to another process since
        for who in (alive, gone, gone | {"machine": "elsewhere/1"}, None):
            trial = study.ask()
            if who is not None:
                trial.set_user_attr(RUNNER_KEY, who)
        assert fail_abandoned(study) == [1]
        assert [t.state.name for t in study.trials] == ["RUNNING", "FAIL", "RUNNING", "RUNNING"]
        assert fail_abandoned(study) == []
