"""Training one configuration: tasks, their batches, the loop, checkpoints."""

from lrsearch.training._averaged import averaged_model as averaged_model
from lrsearch.training._averaged import batches_shown as batches_shown
from lrsearch.training._averaged import update_batchnorm as update_batchnorm
from lrsearch.training._checkpoint import load_checkpoint as load_checkpoint
from lrsearch.training._checkpoint import save_checkpoint as save_checkpoint
from lrsearch.training._find import find_task as find_task
from lrsearch.training._fixed_rate import check_fixed_rate as check_fixed_rate
from lrsearch.training._fixed_rate import fixed_rate as fixed_rate
from lrsearch.training._fixed_rate import forget_fixed_rate as forget_fixed_rate
from lrsearch.training._loop import TrainResult as TrainResult
from lrsearch.training._loop import train as train
from lrsearch.training._rng import rng_state as rng_state
from lrsearch.training._rng import set_rng_state as set_rng_state
from lrsearch.training._streams import TensorEpoch as TensorEpoch
from lrsearch.training._streams import TensorStream as TensorStream
from lrsearch.training._streams import tensor_stream as tensor_stream
from lrsearch.training._task import Task as Task
from lrsearch.training._task import batches as batches

__all__ = [
    "Task",
    "TensorEpoch",
    "TensorStream",
    "TrainResult",
    "averaged_model",
    "batches",
    "batches_shown",
    "check_fixed_rate",
    "find_task",
    "fixed_rate",
    "forget_fixed_rate",
    "load_checkpoint",
    "rng_state",
    "save_checkpoint",
    "set_rng_state",
    "tensor_stream",
    "train",
    "update_batchnorm",
]
