"""Tables and figure from raw/: `python studies/curvature_cost/report.py [DEVICE]` (cpu)."""

import json
import sys

from accuracy_tables import accuracy, tolerance_table
from figure import figure
from neighbour_tables import goals
from outcomes import Prices
from price_tables import memory_table, overhead_table, price_table
from signal_tables import signals_table
from tables import HERE, load


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    setting = json.loads((HERE / "raw" / device / "environment.json").read_text())
    acc, price = load(device, "accuracy"), load(device, "price")
    memory, over, sig = (load(device, part) for part in ("memory", "overhead", "signals"))
    for name, d in sig.items():
        d["model"] = name.split("-")[0]
    lines = [f"# Results on {device}", "", "Made by report.py from raw/.", ""]
    lines += [", ".join(f"{k} {v}" for k, v in setting.items()), ""]
    prices = Prices(price)
    if price:
        lines += goals(acc, prices) + accuracy(acc, prices)
    lines += tolerance_table(load(device, "tolerance"))
    lines += price_table(price) + memory_table(memory) + overhead_table(over)
    lines += signals_table(sig, price)
    name = "results.md" if device == "cpu" else f"results-{device}.md"
    (HERE / name).write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))
    if acc and price:
        figure(device, acc, price, over, sig)


if __name__ == "__main__":
    main()
