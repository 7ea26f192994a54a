"""What has to travel to other nodes with a task or a training function."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

from ray import cloudpickle

FILE_MODULES = "_lrsearch_task_"  # modules that `find_task` makes of a file


def by_value(task: Any) -> None:
    """Let a task's functions travel by value where only this node has the file they are from."""
    for field in fields(task):
        name = getattr(getattr(task, field.name), "__module__", None)
        if isinstance(name, str) and name.startswith(FILE_MODULES):
            cloudpickle.register_pickle_by_value(sys.modules[name])
