"""lrsearch inside other frameworks, one host each; `edge` and `watch` for a user's own loop."""

from lrsearch.integrations._face import edge as edge
from lrsearch.integrations._face import watch as watch
from lrsearch.integrations._task_edge import blamed as blamed
from lrsearch.integrations._task_edge import optimizer_kind as optimizer_kind
from lrsearch.integrations._task_edge import task_edge as task_edge

__all__ = ["blamed", "edge", "optimizer_kind", "task_edge", "watch"]
