"""results.md from raw/.

python studies/ray_scale/report.py [TRIALS]
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import common  # noqa: E402
import limits  # noqa: E402
import quality_tables as quality  # noqa: E402
import scale_tables as scale  # noqa: E402


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    pages = [
        (f"{trials:,} trials on four raylets", scale.throughput("scale", trials)),
        ("Calls: mean processor ms (wall)", scale.calls("scale", trials)),
        ("Suggestions in Ray: median ms of processor (wall)", scale.latency("scale", trials)),
        ("Driver memory and snapshots", scale.memory_and_snapshots("scale", trials)),
        ("The searcher without Ray: medians", scale.direct()),
        ("What limits 10,000 trials on 100 nodes", limits.limits(trials)),
        ("Sweeps on digits", quality.quality()),
        ("Where wall time went, in seconds", quality.wall()),
    ]
    if scale.runs("scale", 300):
        pages.insert(1, ("300 trials", scale.throughput("scale", 300)))
    lines = ["# Results of studies/ray_scale", "", "Made by report.py from raw/.", ""]
    for title, table in pages:
        lines += [f"## {title}", "", *table, ""]
    paths = sorted(common.RAW.glob("*.json"))
    environment = common.read(paths[0].stem)["environment"]
    lines.append("Environment: " + ", ".join(f"{k} {v}" for k, v in environment.items()) + ".")
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
