"""lrsearch inside other frameworks, one host each; `edge` and `watch` for a user's own loop."""

from lrsearch.integrations._face import edge as edge
from lrsearch.integrations._face import watch as watch

__all__ = ["edge", "watch"]
