"""A study whose trials span several processes (DDP under ``torchrun``): the first rank decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lrsearch.exceptions import RunStopped, UnsupportedError
from lrsearch.integrations.optuna._attributes import ERROR_KEY, VERDICT_KEY, logger, plan_of
from lrsearch.integrations.optuna._meeting import Meeting, Word
from lrsearch.integrations.optuna._rank_trial import PATIENCE, Facts, Outcome, RankTrial
from lrsearch.integrations.optuna._runner import RUNNER_KEY, fail_abandoned, runner
from lrsearch.stability import Verdict

Objective = Callable[[Any], float | Sequence[float]]


def optimize(
    study: optuna.Study | None,
    objective: Objective,
    *,
    n_trials: int | None = None,
    timeout: float | None = None,
    catch: tuple[type[Exception], ...] = (Exception,),
    callbacks: Iterable[Callable[[optuna.Study, FrozenTrial], None]] | None = None,
    patience: float = PATIENCE,
) -> None:
    """Optimize a study with all ranks of the default process group in every trial.

    Call it on every rank after ``init_process_group``; without a process group it is
    ``study.optimize`` that goes on after a failed trial. The objective runs on every rank, with a
    `RankTrial`: the first rank samples and prunes, the others hear of it. The first rank's value
    counts; if it is not finite the trial is pruned as diverged.

    **What fails.** An exception on any rank fails the trial, with all ranks' reasons in its
    attribute ``lrsearch:error``, and the study goes on, if the ranks can meet: at the next
    suggestion, in `lrsearch.edge`, or at the objective's end. If they cannot, because one has left
    the trial while another waits for it in a collective of its own (the gradients of a backward
    pass, say), nobody can free that one:

    - The failed rank waits for ``patience`` seconds, then leaves with `RunStopped`. As its process
      ends, gloo frees the others with an error and ``torchrun`` ends them all, whichever is first;
      under NCCL it is ``torchrun``, or the process group's own timeout.
    - If the process group's timeout is shorter than the patience, the waiting rank is freed by it.
      The trial fails with its reason. The group is broken then, so all ranks leave.
    - A first rank that had no time to tell the study leaves the trial RUNNING. When the script is
      started again, this function first tells FAIL of every running trial whose process is gone
      from the same machine. After the loss of a machine, only the heartbeat of Optuna's storages
      tells. ``torchrun --max-restarts`` starts it again; under gloo set the environment variable
      ``TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1``, or torch 2.13 looks for the ranks that died.

    An interrupt (Ctrl-C) on any rank ends all: each that comes to a meeting leaves at once, the
    others as above.

    Args:
        study: The study, on the first rank; what the others give is not looked at.
        objective: ``objective(trial) -> value``, to be run alike on all ranks.
        n_trials: As in ``study.optimize``, counted by the first rank.
        timeout: Seconds, as there.
        catch: Exceptions after which the study goes on. After others it ends, with that exception
            on the rank where it was raised and `RunStopped` elsewhere.
        callbacks: As there, on the first rank; one may call ``study.stop()``.
        patience: Seconds that a rank waits for the others where it failed or was pruned: more than
            the longest stretch (validation on one rank, say) that they may be busy.

    Raises:
        RunStopped: If ranks have left, or another rank ended the study.
        UnsupportedError: If the first rank has no study, or torch has no gloo.
    """
    meeting = Meeting()
    if meeting.ranks.rank == 0:
        leader = _Leader(meeting, objective, catch, patience)
        try:
            if study is None:
                raise UnsupportedError("the first rank must give the study, it gave None.")
            fail_abandoned(study)
            study.optimize(
                leader.run,
                n_trials=n_trials,
                timeout=timeout,
                catch=(TrialFailedError,),
                callbacks=None if callbacks is None else list(callbacks),
            )
        except BaseException as error:
            _finish(meeting, f"the first rank ended the study: {_told(error)}", patience)
            raise
        _finish(meeting, "", patience)
    else:
        _follow(meeting, objective, catch, patience)


class TrialFailedError(Exception):
    """A trial failed on some rank, and the study goes on."""


class _Leader:
    """Runs a study's trials on the first rank."""

    def __init__(
        self,
        meeting: Meeting,
        objective: Objective,
        catch: tuple[type[Exception], ...],
        patience: float,
    ) -> None:
        self.meeting, self.objective, self.catch = meeting, objective, catch
        self.patience = patience

    def run(self, real: optuna.Trial) -> float | Sequence[float]:
        """One trial, as an objective for ``study.optimize``."""
        real.set_user_attr(RUNNER_KEY, runner())
        facts = Facts.of(real)
        trial = RankTrial(self.meeting, facts, real, patience=self.patience)
        values: list[float] = []

        def objective(trial: RankTrial) -> None:
            values.extend(_numbers(self.objective(trial), len(facts.directions)))

        error: BaseException | None = None
        try:
            self.meeting.exchange(Word("begin", answer=facts))
            outcome, error = _outcome(objective, trial, self.catch)
            failed = _failure(self.meeting, trial, outcome, error)
        except BaseException as lost:  # the ranks do not meet any more
            first = None if error is None or _told(error) in str(lost) else error
            real.set_user_attr(ERROR_KEY, _told(first, lost))
            if not isinstance(lost, Exception | KeyboardInterrupt):  # Optuna leaves it running
                real.study.tell(real, state=TrialState.FAIL)
            raise
        if failed:
            real.set_user_attr(ERROR_KEY, failed.reason)
            if failed.caught:
                raise TrialFailedError(failed.reason) from error
            raise (error if outcome.state == "failed" else None) or RunStopped(failed.reason)
        if error is not None:
            raise optuna.TrialPruned(str(error)) from error
        if not all(map(math.isfinite, values)):
            _prune_diverged(real)
        return values if len(values) > 1 else values[0]


def _follow(
    meeting: Meeting, objective: Objective, catch: tuple[type[Exception], ...], patience: float
) -> None:
    """Run what the first rank begins, until it has finished."""
    uncaught: BaseException | None = None
    while (word := meeting.exchange(Word("ready"))[0]).kind == "begin":
        trial = RankTrial(meeting, word.answer, patience=patience)
        outcome, error = _outcome(objective, trial, catch)
        failed = _failure(meeting, trial, outcome, error)
        if failed:
            logger.info("trial %d failed: %s", trial.number, failed.reason)
            ours = outcome.state == "failed" and not failed.caught
            uncaught = error if ours else None
    if word.answer:
        raise uncaught or RunStopped(word.answer)


def _finish(meeting: Meeting, why: str, patience: float) -> None:
    """Tell the others that there are no more trials, if they are still there."""
    if not meeting.lost:
        try:
            meeting.exchange(Word("finish", answer=why), patience=patience, because=why)
        except RunStopped as error:
            logger.warning("the study is finished, but %s.", error)


def _outcome(
    objective: Callable[[RankTrial], Any], trial: RankTrial, catch: tuple[type[Exception], ...]
) -> tuple[Outcome, BaseException | None]:
    """How the objective ends on this rank, and with which exception."""
    try:
        objective(trial)
        return Outcome("complete"), None
    except (optuna.TrialPruned, RunStopped) as error:
        return Outcome("pruned", str(error)), error
    except Exception as error:  # a user's objective may raise anything
        return Outcome("failed", _told(error, error.__cause__), isinstance(error, catch)), error
    except BaseException as error:
        return Outcome("left", _told(error)), error


def _failure(
    meeting: Meeting, trial: RankTrial, outcome: Outcome, error: BaseException | None
) -> Outcome | None:
    """Why the trial failed, if it did: the same on all ranks.

    Raises:
        RunStopped: If the ranks cannot go on together.
        BaseException: This rank's own, if it was interrupted.
    """
    try:
        words = trial.end(outcome)
        failed = _joint(words)
        if failed is None:
            return None
        if failed.state == "left":
            meeting.leave(failed.reason)
            raise RunStopped(failed.reason)
        if not meeting.in_step():
            meeting.leave(
                f"trial {trial.number} failed ({failed.reason}) and left the ranks out of step: "
                "their process group cannot be used any more. Start the script again: the study "
                "goes on"
            )
            raise RunStopped(meeting.lost)
        return failed
    except RunStopped as lost:
        if outcome.state == "left" and error is not None:
            raise error from lost
        raise lost from error


def _joint(words: Sequence[Word]) -> Outcome | None:
    """The failure that follows from what each rank has said at a trial's end, if it is one."""
    said: dict[str, list[int]] = {}
    states, caught = [], True
    for rank, word in enumerate(words):
        if word.kind != "end":
            continue
        states.append(word.answer.state)
        if word.answer.state in ("failed", "left"):
            said.setdefault(word.answer.reason, []).append(rank)
            caught = caught and word.answer.caught
    if said:
        reason = "; ".join(
            text if len(words) == 1 else f"rank {', '.join(map(str, ranks))}: {text}"
            for text, ranks in said.items()
        )
        return Outcome("left" if "left" in states else "failed", reason, caught)
    asking = [f"rank {rank} went on to {w.what}" for rank, w in enumerate(words) if w.kind == "ask"]
    if not asking:
        return None
    ended = "; ".join(asking)
    return Outcome(
        "failed", f"{ended} where others had ended the trial: run the objective alike on all ranks"
    )


def _numbers(value: Any, count: int) -> list[float]:
    """The objective's value or values."""
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        numbers = [float(v) for v in values]
    except (TypeError, ValueError):
        raise TypeError(
            f"the objective returned {value!r} on the first rank: return a number"
        ) from None
    if len(numbers) != count:
        raise ValueError(f"the objective returned {value!r} for a study of {count} objectives")
    return numbers


def _prune_diverged(trial: optuna.Trial) -> None:
    plan, reason = plan_of(trial.user_attrs), "diverged: the objective's value is not finite"
    step = plan.budget if plan else 0
    verdict = Verdict(stop=True, regime="diverged", side="hot", step=step, reason=reason)
    trial.set_user_attr(VERDICT_KEY, verdict.to_dict())
    raise optuna.TrialPruned(reason)


def _told(*errors: BaseException | None) -> str:
    """Errors in one line, each once; our own speaks for itself."""
    parts = [
        str(e) if isinstance(e, RunStopped) else f"{type(e).__name__}: {e}".removesuffix(": ")
        for e in errors
        if e is not None
    ]
    return "; ".join(dict.fromkeys(parts))
