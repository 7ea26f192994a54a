"""Measure what watching curvature costs, on this device; resumes, one file a measurement in raw/.

    python studies/curvature_cost/run.py                   # everything, half an hour on a core
    python studies/curvature_cost/run.py --device cuda --scale 8
    python studies/curvature_cost/report.py                 # tables and figure from raw/

Needs torch, numpy, scipy and lrsearch. curvlinops and hessian-eigenthings are measured where they
are installed and recorded as absent where not.
"""

import argparse
import gzip
import importlib.metadata
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy
import torch

import lrsearch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import accuracy  # noqa: E402
import prices  # noqa: E402
import signals  # noqa: E402
from models import MODELS, build  # noqa: E402

PARTS = ("price", "accuracy", "tolerance", "memory", "overhead", "signals")
OPTIMIZERS = ("sgd", "adamw")
Job = tuple[str, Callable[[], dict]]


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def environment(options: argparse.Namespace) -> dict:
    """What the numbers depend on; no name of a host and no path."""
    neighbours = {}
    for name in ("curvlinops-for-pytorch", "hessian-eigenthings"):
        try:
            neighbours[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            neighbours[name] = "absent"
    cuda = options.device.startswith("cuda")
    return {
        "lrsearch": lrsearch.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": torch.cuda.get_device_name() if cuda else processor(),
        "threads": torch.get_num_threads(),
        "scale": options.scale,
        "quick": options.quick,
        **neighbours,
    }


def jobs(part: str, options: argparse.Namespace) -> Iterator[Job]:
    """Name of a file and what measures its content."""
    device, scale, quick = options.device, options.scale, options.quick

    def run(kind: str, optimizer: str, **more: int):
        return build(kind, optimizer, device=device, scale=scale, **more)

    for kind in MODELS:
        for optimizer in OPTIMIZERS:
            name = f"{kind}-{optimizer}"
            if part == "price" and optimizer == "sgd":
                for size in (64, 128, 1024):
                    rounds = 3 if quick else 15
                    yield (
                        f"{kind}-{size}",
                        lambda k=kind, s=size, r=rounds: prices.price(run(k, "sgd"), s, r),
                    )
            elif part == "accuracy":
                steps = options.steps or (20 if quick else 300)
                for seed in range(options.seeds):
                    yield (
                        f"{name}-{seed}",
                        lambda k=kind, o=optimizer, s=seed, n=steps: accuracy.measure(
                            run(k, o, seed=s), s, n
                        ),
                    )
            elif part == "tolerance":
                steps = options.steps or (30 if quick else 100)
                yield (
                    name,
                    lambda k=kind, o=optimizer, n=steps: accuracy.tolerances(run(k, o), n),
                )
            elif part == "memory":
                for size in (64, 256):
                    yield (
                        f"{name}-{size}",
                        lambda k=kind, o=optimizer, s=size: prices.memory(k, o, s, device, scale),
                    )
            elif part == "overhead":
                for size, steps, pairs in ((64, 600, 7), (256, 600, 1), (64, 4000, 1)):
                    if quick:
                        steps, pairs = steps // 10, 1
                    yield (
                        f"{name}-{size}-{steps}",
                        lambda k=kind, o=optimizer, s=size, n=steps, p=pairs: prices.overhead(
                            k, o, s, n, p, device, scale
                        ),
                    )
            elif part == "signals":
                steps = options.steps or (20 if quick else 120)
                yield (
                    name,
                    lambda k=kind, o=optimizer, n=steps: signals.measure(run(k, o), n),
                )


def write(path: Path, document: dict) -> None:
    """In one stroke."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    with gzip.GzipFile(scratch, "wb", mtime=0) as file:
        file.write(json.dumps(document).encode())
    scratch.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure what watching curvature costs; resumes.",
        epilog="Files that exist are kept: remove raw/DEVICE to measure anew.",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--steps", type=int, help="of the runs of accuracy and signals")
    parser.add_argument("--seeds", type=int, default=1, help="runs per case in accuracy")
    parser.add_argument("--scale", type=int, default=1, help="widens the models; 8 suits a GPU")
    parser.add_argument("--quick", action="store_true", help="minutes, to see that all of it works")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="training diverged")
    warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph")
    raw = HERE / "raw" / (options.device.split(":")[0] + ("-quick" if options.quick else ""))
    raw.mkdir(parents=True, exist_ok=True)
    text = json.dumps(environment(options), indent=1) + "\n"
    (raw / "environment.json").write_text(text)
    for part in options.part:
        todo = [(raw / part / f"{name}.json.gz", measure) for name, measure in jobs(part, options)]
        for i, (path, measure) in enumerate(todo, 1):
            label = f"{part} {i}/{len(todo)} {path.name.removesuffix('.json.gz')}"
            if path.exists():
                print(f"{label}: already there", flush=True)
                continue
            begun = time.perf_counter()
            document = measure()
            write(path, document)
            print(f"{label}: {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
