"""All arms at once on a cluster of four raylets, each with a slot of its own on every node.

    python studies/ray_scale/run.py                                  # 1,000 trials, two rounds
    python studies/ray_scale/run.py --trials 300 --arms "random cut" "ours cut"

Side by side, because the machine has other users: whatever slows it down slows all arms down. A
round whose files are in raw/ is not run again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import common

os.environ.update(common.QUIET)
from ray.cluster_utils import Cluster
from scale import ARMS

NODES, STORE = 4, 100 * 2**20
WHOLE = [arm for arm in ARMS if not arm.endswith("cut")]


def name_of(arm: str, turn: int, trials: int, loggers: bool) -> str:
    return f"{'loggers' if loggers else 'scale'}-{trials}-{arm.replace(' ', '-')}-{turn}"


def one_round(todo: list[tuple[str, str]], trials: int, environment: dict[str, str]) -> None:
    """These arms, until the last one has ended."""
    ready = Path(os.environ["RAY_TMPDIR"]) / f"ready{time.time_ns()}" / "go"
    ready.parent.mkdir()
    slots = {f"slot{i}": 1 for i in range(len(todo))}
    node = {"num_cpus": len(todo), "resources": slots, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    begun = []
    try:
        for _ in range(NODES - 1):
            cluster.add_node(**node)
        cluster.wait_for_nodes()
        script = str(Path(__file__).parent / "scale.py")
        for slot, (arm, name) in zip(slots, todo, strict=True):
            order = [sys.executable, script, arm, cluster.address, str(trials), name, slot]
            begun.append(subprocess.Popen([*order, str(ready)], env=environment))
        while not all(ready.with_name(slot).exists() for slot in slots):
            if any(process.poll() is not None for process in begun):
                raise RuntimeError("an arm ended before it began")
            time.sleep(0.1)
        ready.touch()
        for process, (_, name) in zip(begun, todo, strict=True):
            print(f"{name}: {'done' if process.wait() == 0 else 'FAILED'}", flush=True)
    finally:
        for process in begun:
            process.terminate()
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--arms", nargs="*", default=WHOLE)
    parser.add_argument(
        "--loggers", action="store_true", help="with Tune's CSV, JSON and TensorBoard loggers"
    )
    options = parser.parse_args()
    # A place of its own, or everybody else's ray.init on this machine would join this cluster.
    with tempfile.TemporaryDirectory(prefix="rs-") as place:
        os.environ["RAY_TMPDIR"] = place
        environment = os.environ | {
            "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0" if options.loggers else "1",
        }
        for turn in range(options.first, options.first + options.rounds):
            named = [
                (arm, name_of(arm, turn, options.trials, options.loggers)) for arm in options.arms
            ]
            if any(common.read(name) is None for _, name in named):
                one_round(named, options.trials, environment)


if __name__ == "__main__":
    main()
