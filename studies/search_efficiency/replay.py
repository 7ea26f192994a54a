"""Replay methods on one recorded table, which may be of a task that is not in this repository.

    python replay.py mine.parquet                                         # ours and a few peers
    python replay.py mine.parquet --method "tpe [wide]" --workers 4
    python replay.py mine.parquet --sampler optuna.samplers:CmaEsSampler --pruner my.py:pruner
    python replay.py mine.parquet --searcher my.py:Searcher               # asked and told

A sampler, pruner or searcher is made anew for every sweep by what is named, called with ``seed=``
where it takes one. They search 1e-5 to 10 and all recorded shapes, or what ``--stream`` says.
"""

import argparse
import inspect
import math
import os
import runpy
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import measures
import numpy as np
import optuna
from asktell import AskTell
from freeze import frozen
from methods import Sweep, asked, methods, streams
from peers import Peer
from table import Table

USUAL = ("ours", "random [wide]", "tpe [wide]", "tpe + hyperband [wide]", "1 rung, then 3 [wide]")


def named(spec: str) -> Any:
    """What ``module:name`` or ``file.py:name`` names.

    Raises:
        SystemExit: If there is no such thing.
    """
    where, _, name = spec.rpartition(":")
    try:
        if where.endswith(".py"):
            return runpy.run_path(where)[name]
        return getattr(import_module(where), name)
    except (ImportError, OSError, KeyError, AttributeError, ValueError) as error:
        raise SystemExit(f"{spec!r} is no 'module:name' or 'file.py:name' here: {error}") from error


def made(maker: Callable[..., Any], seed: int) -> Any:
    """What a maker makes, with a seed if it takes one."""
    takes = "seed" in inspect.signature(maker).parameters
    return maker(seed=seed) if takes else maker()


def own(options: argparse.Namespace, kind: str) -> dict[str, Sweep]:
    """The method that the command line puts together, if any."""
    if not (options.sampler or options.searcher or options.pruner):
        return {}
    source = options.searcher or options.sampler or "optuna.samplers:TPESampler"
    maker, wrap = named(source), AskTell if options.searcher else (lambda s: s)
    pruner = named(options.pruner) if options.pruner else None
    name = " + ".join(s for s in (source, options.pruner) if s)
    make_stream = streams(frozen(), kind)[options.stream]
    return {
        f"{name} [{options.stream}]": asked(
            lambda: Peer(
                name,
                make_stream(),
                sampler=lambda seed: wrap(made(maker, seed)),
                pruner=(lambda rungs: made(pruner, 0)) if pruner else None,
                signal=options.signal if pruner else None,
            )
        )
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="made by convert.py")
    parser.add_argument("--method", action="append", help="of methods.py; may be repeated")
    parser.add_argument("--list", action="store_true", help="name all methods and end")
    parser.add_argument("--sampler", help="module:maker of an Optuna sampler")
    parser.add_argument("--searcher", help="module:maker of an ask/tell searcher (asktell.py)")
    parser.add_argument("--pruner", help="module:maker of an Optuna pruner")
    parser.add_argument("--signal", default="loss", help="what the pruner is told at every rung")
    parser.add_argument("--stream", default="wide", choices=["wide", "prior", "edge"])
    parser.add_argument("--kind", default="all", help="optimizer class of the priors: sgd, adam ..")
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cost", type=float, default=40.0, help="full runs that a sweep spends")
    options = parser.parse_args()
    known = methods(frozen(), options.kind)
    if options.list:
        print("\n".join(known))
        return
    chosen = own(options, options.kind)
    for name in options.method or (() if chosen else USUAL):
        if name not in known:
            parser.error(f"no method {name!r}; --list names them")
        chosen[name] = known[name]
    table = Table.read(options.table)
    tolerance = table.tolerance()
    print(f"{table.name}: best {math.exp(table.best):.4g}, tolerance {100 * tolerance:.1f} %")
    width = max(len(name) for name in chosen)
    print(f"{'method':<{width}}   T50   T90  never  trials")
    for name, sweep in chosen.items():
        traces = [
            sweep(table, seed=seed, cost=options.cost, workers=options.workers)
            for seed in range(options.sweeps)
        ]
        costs = {table.name: [trace.settled(tolerance) for trace in traces]}
        t50, t90 = (f"{measures.quantile(costs, q):5.1f}" for q in (0.5, 0.9))
        never = f"{100 * np.mean(np.isinf(costs[table.name])):4.0f} %"
        trials = f"{np.mean([trace.trials for trace in traces]):7.0f}"
        print(f"{name:<{width}} {t50} {t90} {never} {trials}", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    main()
