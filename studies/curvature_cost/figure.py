"""The figure."""

import math

import numpy as np
from outcomes import ours, states, tools, tuned_tolerance
from signal_tables import KINDS
from tables import HERE


def figure(device: str, acc: dict, price: dict, over: dict, sig: dict) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no matplotlib: no figure")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "curvature_cost"
    canvas, axes = plt.subplots(2, 2, figsize=(10.5, 7.5), layout="constrained")
    left = axes[0, 0]
    for kind in ("cold", "warm 5", "warm 20"):
        data = list(ours(acc, kind, None))
        steps = sorted({r["step"] for r in data})
        bins = [(0, 0), (1, 5), (6, 20), (21, 60), (61, 120), (121, 200), (201, 300)]
        points = []
        for a, b in bins:
            inside = [r["hvps"] for r in data if a <= r["step"] <= b]
            if inside and steps:
                points.append((max(1, (a + b) / 2), np.mean(inside)))
        left.plot(*zip(*points, strict=True), marker="o", label=f"lrsearch, {kind}")
    tuned = tuned_tolerance(acc)[0]
    for tool, style in (
        ("PyHessian power, tol 1e-3", "--"),
        ("eigsh on curvlinops, tol 1e-2", ":"),
        ("LOBPCG cold, residual 1e-2", "-."),
    ):
        stop = tools(tuned)[tool][0]
        steps = sorted({int(s) for _, s, _, _ in states(acc)})
        means = [
            np.mean([stop(n)[1] for _, s, _, n in states(acc) if int(s) == step]) for step in steps
        ]
        left.plot([max(1, s) for s in steps], means, style, color="0.4", label=tool)
    left.set(xscale="log", yscale="log", xlabel="training step", ylabel="products, own stop (mean)")
    left.set_yticks([2, 3, 5, 10, 20], ["2", "3", "5", "10", "20"])
    left.minorticks_off()
    left.set_title("Products per reading")
    left.legend(fontsize=6, loc="lower left", framealpha=0.6)
    right = axes[0, 1]
    names = ["forward-only reading", "finite-difference", "double-backward, reused",
             "gauss-newton, reused", "forward-over-reverse", "eigenthings product",
             "curvlinops product", "sharpness, warm", "sharpness, cold"]  # fmt: skip
    names = [n for n in names if all(n in d["median"] for d in price.values())]
    for i, size in enumerate(("64", "128", "1024")):
        values = [
            np.median([d["median"][n] for c, d in price.items() if c.endswith(f"-{size}")])
            for n in names
        ]
        right.barh(np.arange(len(names)) + 0.27 * (i - 1), values, 0.25, label=f"batch {size}")
    right.set_yticks(np.arange(len(names)), names, fontsize=7)
    right.set(xlabel="gradients (median over models)", title="Price")
    right.legend(fontsize=7)
    left = axes[1, 0]
    for name, d in over.items():
        kind, optimizer, size, steps = name.split("-")
        marker = {"mlp": "o", "cnn": "s", "transformer": "^"}[kind]
        x = 100 * d["rows"][0]["account"]
        y = 100 * (np.median([r["wall"] for r in d["rows"]]) - 1)
        left.plot(x, y, marker, color="C0" if size == "64" else "C1",
                  fillstyle="full" if steps == "600" else "none")  # fmt: skip
        del optimizer
    limit = max([*left.get_xlim(), 1.0])
    left.plot([0, limit], [0, limit], color="0.6", lw=1)
    left.axhline(2, color="0.8", lw=1)
    left.set(
        xlabel="own account, % of gradients", ylabel="wall time, %", title="A watch's overhead"
    )
    left.text(0.02, 0.98, "circle MLP, square CNN, triangle transformer\nblue batch 64, orange "
              "256; open: 4,000 steps", transform=left.transAxes, va="top", fontsize=7)  # fmt: skip
    right = axes[1, 1]
    name = next((n for n in ("cnn-sgd", "transformer-sgd", "mlp-sgd") if n in sig), None)
    if name is not None:
        rates = np.array([r["rate"] for r in sig[name]["rows"]])
        for kind in KINDS[:-1]:
            values = [r[kind][0] if r[kind][0] is not None else math.nan for r in sig[name]["rows"]]
            wide = {"lw": 2, "color": "k"} if kind == "full" else {"lw": 0.9}
            right.plot(rates * np.array(values), label=kind, **wide)
        right.axhspan(0.8, 1.2, color="0.9")
        right.set(yscale="log", xlabel="step", ylabel="rho", title=f"Readings along {name}")
        right.legend(fontsize=7)
    for suffix in ("png", "svg"):
        meta = {"Date": None} if suffix == "svg" else None
        stem = "figure" if device == "cpu" else f"figure-{device}"
        canvas.savefig(HERE / f"{stem}.{suffix}", dpi=110, metadata=meta)
