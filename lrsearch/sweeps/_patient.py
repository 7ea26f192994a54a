"""A storage that waits while its server cannot be reached, instead of ending the work."""

from __future__ import annotations

import copy
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from uuid import uuid4

from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

logger = logging.getLogger("lrsearch")

PATIENCE = 300.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between tries
CREATION_KEY = "lrsearch:creation"  # system attribute: which call has made the trial
GRPC_OUTAGES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}  # we cancel nothing

Method = TypeVar("Method", bound=Callable[..., Any])
T = TypeVar("T")


def unreachable(error: BaseException) -> bool:
    """Whether an error says that a storage cannot be reached, not that a call was wrong."""
    if isinstance(error, StorageInternalError):  # Optuna's cover for all that databases raise
        return error.__cause__ is None or unreachable(error.__cause__)
    if isinstance(error, DBAPIError):
        lost = bool(error.connection_invalidated)
        return lost or isinstance(error, OperationalError | InterfaceError)
    grpc = sys.modules.get("grpc")
    if grpc is not None and isinstance(error, grpc.RpcError) and hasattr(error, "code"):
        return error.code().name in GRPC_OUTAGES
    # The rollback that is pending is of a transaction whose connection was lost: Optuna has tried
    # another query in it.
    return isinstance(error, OSError | PoolTimeout | PendingRollbackError)


def _patient(method: Method) -> Method:
    """The method of the storage within, tried again while its server cannot be reached."""

    @functools.wraps(method)
    def call(self: PatientStorage, *arguments: Any, **options: Any) -> Any:
        return self._call(method.__name__, *arguments, **options)

    call.__isabstractmethod__ = False  # type: ignore[attr-defined]  # wraps copies it
    return cast(Method, call)


class PatientStorage(BaseStorage, BaseHeartbeat):
    """Any Optuna storage, waited for while it cannot be reached.

    A call that fails for that reason is tried again until it succeeds or the patience is spent. The
    first try may have reached the server although its answer was lost, so a repeated call takes its
    own earlier effect for success: one call makes one trial, and a trial that has ended as was
    asked has ended. One doubt remains: a WAITING trial that an unanswered call set RUNNING counts
    as another worker's, and stays RUNNING until whoever looks for dead workers' trials finds it.

    Args:
        inner: The storage. Give an ``RDBStorage`` as ``optuna.storages.get_storage(...)`` returns
            it, with Optuna's cache.
        patience: Seconds to try for.
    """

    def __init__(self, inner: BaseStorage, patience: float = PATIENCE) -> None:
        self.inner, self.patience = inner, patience
        self._since: float | None = None  # when the outage began, if there is one
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"inner": self.inner, "patience": self.patience}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def create_new_study(self, directions: Sequence[Any], study_name: str | None = None) -> int:
        """As the storage within; a study that a lost answer told of is found again."""
        name = study_name or f"no-name-{uuid4()}"

        def again() -> int:
            try:
                return self.inner.create_new_study(directions, name)
            except DuplicatedStudyError:
                if study_name is not None:  # it may be another worker's
                    raise
                return self.inner.get_study_id_from_name(name)

        return self._until_answered(lambda: self.inner.create_new_study(directions, name), again)

    def delete_study(self, study_id: int) -> None:
        """As the storage within."""

        def again() -> None:
            try:
                self.inner.delete_study(study_id)
            except KeyError:
                return

        self._until_answered(lambda: self.inner.delete_study(study_id), again)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As the storage within, and one trial only, however often it is tried."""
        token = uuid4().hex
        template = copy.copy(template_trial or create_trial(state=TrialState.RUNNING))
        template.system_attrs = {**template.system_attrs, CREATION_KEY: token}

        def again() -> int:
            for trial in self.inner.get_all_trials(study_id, deepcopy=False):
                if trial.system_attrs.get(CREATION_KEY) == token:
                    return trial._trial_id
            return self.inner.create_new_trial(study_id, template)

        return self._until_answered(lambda: self.inner.create_new_trial(study_id, template), again)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """As the storage within; having ended as asked is success."""

        def again() -> bool:
            try:
                return self.inner.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                found = self.inner.get_trial(trial_id)
                told = None if values is None else list(values)
                if found.state != state or found.values != told:
                    raise
                return True

        return self._until_answered(
            lambda: self.inner.set_trial_state_values(trial_id, state, values), again
        )

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """As the storage within, for a trial too that its server has not listed since it began.

        Optuna's cache over a database knows a trial for this one call only if it has made or listed
        it: a proxy begun again in between answers that there is none.
        """
        arguments = (trial_id, param_name, param_value_internal, distribution)
        try:
            self._call("set_trial_param", *arguments)
        except KeyError:
            for study in self.get_all_studies():
                self.get_all_trials(study._study_id, deepcopy=False)
            self._call("set_trial_param", *arguments)

    set_study_user_attr = _patient(BaseStorage.set_study_user_attr)
    set_study_system_attr = _patient(BaseStorage.set_study_system_attr)
    get_study_id_from_name = _patient(BaseStorage.get_study_id_from_name)
    get_study_name_from_id = _patient(BaseStorage.get_study_name_from_id)
    get_study_directions = _patient(BaseStorage.get_study_directions)
    get_study_user_attrs = _patient(BaseStorage.get_study_user_attrs)
    get_study_system_attrs = _patient(BaseStorage.get_study_system_attrs)
    get_all_studies = _patient(BaseStorage.get_all_studies)
    get_trial_id_from_study_id_trial_number = _patient(
        BaseStorage.get_trial_id_from_study_id_trial_number
    )
    get_trial_number_from_id = _patient(BaseStorage.get_trial_number_from_id)
    get_trial_param = _patient(BaseStorage.get_trial_param)
    set_trial_intermediate_value = _patient(BaseStorage.set_trial_intermediate_value)
    set_trial_user_attr = _patient(BaseStorage.set_trial_user_attr)
    set_trial_system_attr = _patient(BaseStorage.set_trial_system_attr)
    get_trial = _patient(BaseStorage.get_trial)
    get_all_trials = _patient(BaseStorage.get_all_trials)
    get_n_trials = _patient(BaseStorage.get_n_trials)
    get_best_trial = _patient(BaseStorage.get_best_trial)
    get_trial_params = _patient(BaseStorage.get_trial_params)
    get_trial_user_attrs = _patient(BaseStorage.get_trial_user_attrs)
    get_trial_system_attrs = _patient(BaseStorage.get_trial_system_attrs)
    remove_session = _patient(BaseStorage.remove_session)
    record_heartbeat = _patient(BaseHeartbeat.record_heartbeat)
    _get_stale_trial_ids = _patient(BaseHeartbeat._get_stale_trial_ids)

    def get_heartbeat_interval(self) -> int | None:
        """That of the storage within, if it has heartbeats."""
        inner = self.inner
        return inner.get_heartbeat_interval() if isinstance(inner, BaseHeartbeat) else None

    def get_heartbeat_stale_trial_callback(self) -> Callable[[Study, FrozenTrial], None] | None:
        """That of the storage within, if it has heartbeats."""
        inner = self.inner
        if not isinstance(inner, BaseHeartbeat):
            return None
        return inner.get_heartbeat_stale_trial_callback()

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        call = functools.partial(getattr(self.inner, name), *arguments, **options)
        return self._until_answered(call, call)

    def _until_answered(self, call: Callable[[], T], again: Callable[[], T]) -> T:
        """What ``call``, or ``again`` after it failed, returns in the end."""
        give_up, pause = None, FIRST_PAUSE
        while True:
            try:
                answer = call()
            except Exception as error:
                if not unreachable(error):
                    raise
                self._missing(error)
                give_up = give_up or time.monotonic() + self.patience
                if time.monotonic() + pause > give_up:
                    if isinstance(error, StorageInternalError):
                        raise
                    raise StorageInternalError(first_line(error)) from error
            else:
                self._answered()
                return answer
            time.sleep(pause)
            call, pause = again, min(2 * pause, LONGEST_PAUSE)

    def _missing(self, error: BaseException) -> None:
        with self._lock:
            first, self._since = self._since is None, self._since or time.monotonic()
        if first:
            logger.warning(
                "the storage cannot be reached (%s): trying again for %g s",
                first_line(error),
                self.patience,
            )

    def _answered(self) -> None:
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            logger.warning("the storage answers again, after %.0f s", time.monotonic() - since)


def first_line(error: BaseException) -> str:
    """What an error says, in one line; where it covers another one, what that one says."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        return first_line(error.__cause__)
    details = getattr(error, "details", None)  # of gRPC, whose str() begins with its class
    text = str(details() if callable(details) else error).strip()
    return text.splitlines()[0] if text else repr(error)
