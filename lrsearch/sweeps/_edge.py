"""Kept while the sweeps still import from here."""

from lrsearch.integrations._task_edge import optimizer_kind as optimizer_kind
from lrsearch.integrations._task_edge import task_edge as task_edge
