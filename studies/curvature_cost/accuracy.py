"""Products to the sharpness: ours cold and warm, and the neighbours, on the same operator."""

import torch
from models import Run, loss_fn
from solvers import (
    curvlinops_operator,
    eigenthings,
    eigenthings_operator,
    eigsh,
    lobpcg,
    power,
    random_start,
    ritz,
)
from torch import Tensor

from lrsearch.curvature import Eigenvalues, Hessian, eigenvalues, lanczos, quiet

PROBE = 128
GAPS = (1, 5, 10, 20)
NEIGHBOURS = (0, 5, 20, 60, 100, 200, 300)  # states at which they are run
LAST_OF_GAP_1 = 60
TOLERANCES = (0.02, 0.01, 0.005, 0.002)
CHECKED = (0, 60, 300)  # where the neighbours' own operators are asked as well


class Recorded(Hessian):
    """A Hessian that remembers its products."""

    vectors: list[Tensor]
    images: list[Tensor]

    def forget(self) -> None:
        self.vectors, self.images = [], []

    def __matmul__(self, vector: Tensor) -> Tensor:
        found = super().__matmul__(vector)
        self.vectors.append(vector.clone())
        self.images.append(found.clone())
        return found


def states_of_truth(steps: int) -> set[int]:
    """Dense at first, then every ten steps, and what the neighbours' warm starts need."""
    found = {0, 1, 2, *range(5, 61, 5), *range(80, steps + 1, 20)}
    for t in NEIGHBOURS:
        found |= {t - gap for gap in GAPS if t >= gap and (gap > 1 or t <= LAST_OF_GAP_1)}
    return {t for t in found | set(NEIGHBOURS) if t <= steps}


def ours(hessian: Recorded, start: Eigenvalues | None, seed: int) -> tuple[Eigenvalues, dict]:
    """One reading at the defaults, and the estimates after each product, past its stop if need."""
    hessian.forget()
    found = eigenvalues(hessian, start=start, seed=seed)
    history = ritz(hessian.vectors, hessian.images)
    return found, {
        "hvps": found.hvps,
        "value": found.value,
        "converged": found.converged,
        "estimated_error": found.errors[0] / abs(found.value) if found.value else None,
        **history.plain(),
    }


def further(
    hessian: Recorded, start: Eigenvalues | None, seed: int, row: dict, truth: float, always: bool
) -> None:
    """Estimates past the own stop: always, or where that came short of 1 %."""
    if not always and any(abs(v / truth - 1) <= 0.01 for v in row["values"]):
        return
    hessian.forget()
    eigenvalues(hessian, start=start, seed=seed, tolerance=1e-4, max_hvps=40)
    row |= ritz(hessian.vectors, hessian.images).plain()


def neighbours(hessian: Recorded, seed: int, past: dict[int, Tensor]) -> dict:
    """All of them at one state; ``past``: gap -> the exact eigenvector that many steps ago."""
    start = random_start(hessian.random(), seed)

    def matvec(v: Tensor) -> Tensor:
        return Hessian.__matmul__(hessian, v)

    found: dict = {"power": power(matvec, start).plain(), "lobpcg": lobpcg(matvec, start).plain()}
    for tolerance in (0.0, 0.01):
        value, products = eigsh(matvec, start, tolerance)
        found[f"eigsh {tolerance:g}"] = {"value": value, "hvps": products}
    history = eigenthings(matvec, start, 24, seed)
    found["eigenthings lanczos"] = history and history.plain()
    for gap, vector in past.items():
        found[f"power warm {gap}"] = power(matvec, vector, most=40).plain()
        found[f"lobpcg warm {gap}"] = lobpcg(matvec, vector).plain()
        hessian.forget()  # ours from the same exact vector
        lanczos(hessian.__matmul__, vector, tolerance=1e-4, max_products=40)
        found[f"ours warm {gap}"] = ritz(hessian.vectors, hessian.images).plain()
    return found


def cross_check(run: Run, batch: tuple[Tensor, Tensor], start: Tensor) -> dict:
    """Largest eigenvalue by scipy on the neighbours' own (unpreconditioned) operators."""
    found: dict = {}
    with quiet(run.model, graph=True):
        operator = curvlinops_operator(run.model, batch)
        if operator is not None:
            found["curvlinops"] = eigsh(lambda v: operator @ v, start, 1e-6)[0]
        operator = eigenthings_operator(run.model, batch, loss_fn)
        if operator is not None:
            found["eigenthings"] = eigsh(operator.matvec, start, 1e-6)[0]
    with Hessian(run.model, loss_fn, batch) as hessian:
        found["ours"] = lanczos(
            hessian.__matmul__, hessian.random(5), tolerance=1e-6, max_products=150
        ).value
    return found


def measure(run: Run, seed: int, steps: int) -> dict:
    """One run watched by everybody."""
    batch = run.probe(PROBE)
    truths, chains = states_of_truth(steps), dict.fromkeys(GAPS)
    vectors: dict[int, Tensor] = {}
    document: dict = {"truth": {}, "cold": {}, "neighbours": {}, "check": {}}
    document |= {f"warm {gap}": {} for gap in GAPS}
    for step in run.steps(steps):
        due = [g for g in GAPS if step % g == 0 and (g > 1 or step <= LAST_OF_GAP_1)]
        if not due and step not in truths:
            continue
        with Recorded(run.model, loss_fn, batch, optimizer=run.optimizer) as hessian:
            hessian.forget()
            truth = None
            if step in truths:
                exact = lanczos(
                    lambda v, h=hessian: Hessian.__matmul__(h, v),
                    hessian.random(10_000 + step),
                    tolerance=1e-6,
                    max_products=150,
                )
                truth = exact.value
                vectors[step] = exact.vectors[0]
                document["truth"][step] = {
                    "value": truth,
                    "error": exact.errors[0] / abs(truth),
                    "hvps": exact.hvps,
                    "lowest": exact.lowest,
                }
                _, row = ours(hessian, None, step)
                further(hessian, None, step, row, truth, always=True)
                document["cold"][step] = row
            for gap in due:
                start = chains[gap]
                chains[gap], row = ours(hessian, start, step)
                if truth is not None:
                    further(hessian, start, step, row, truth, always=gap == 10)
                row["warm"] = start is not None
                document[f"warm {gap}"][step] = row
            if step in NEIGHBOURS:
                past = {g: vectors[step - g] for g in GAPS if step - g in vectors}
                document["neighbours"][step] = neighbours(hessian, 1000 * seed + step, past)
        if step in CHECKED:
            start = random_start(torch.zeros_like(vectors[step]), seed)
            document["check"][step] = cross_check(run, batch, start)
    return document


def tolerances(run: Run, steps: int) -> dict:
    """Cold readings and warm chains of every ten steps at several tolerances, and the truth."""
    batch = run.probe(PROBE)
    last: dict[float, Eigenvalues] = {}
    rows = []
    for step in run.steps(steps):
        if step % 10 or not step:
            continue
        with Hessian(run.model, loss_fn, batch, optimizer=run.optimizer) as hessian:
            exact = lanczos(
                hessian.__matmul__,
                hessian.random(10_000 + step),
                tolerance=1e-6,
                max_products=150,
            )
            row: dict = {"step": step, "truth": exact.value, "cold": {}, "warm": {}}
            for tolerance in TOLERANCES:
                found = eigenvalues(hessian, tolerance=tolerance, seed=step)
                row["cold"][tolerance] = [found.hvps, found.value]
                if tolerance in last:
                    found = eigenvalues(
                        hessian, start=last[tolerance], tolerance=tolerance, seed=step
                    )
                    row["warm"][tolerance] = [found.hvps, found.value]
                last[tolerance] = found
        rows.append(row)
    return {"rows": rows}
