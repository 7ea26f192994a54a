"""What is recorded of a run at each of its rungs: names, units, and where each is measured."""

RUNGS = 20
COOLED = (1, 2, 4, 8)  # rungs with a mini-cooldown on a copy
COOLDOWN = 0.05  # of the budget
GENEROUS = (2, 4, 8, 14)  # rungs with batch sharpness over more batches
BATCHES = 8  # of a generous reading
TOP = (2, 4, 8, 14, 20)  # rungs with the largest eigenvalue
TOP_BATCHES, TOP_HVPS = 2, 8

# Losses are in the task's own unit; sharpness in 1 / learning rate; NaN means not measured.
COLUMNS = {
    "step": "optimizer steps done",
    "learning_rate": "of the step just done",
    "train_loss": "mean over the steps since the last rung",
    "loss": "metric of the current weights, validation split",
    "averaged_loss": "the same of the averaged weights",
    "cooled_loss": "the same after a mini-cooldown of 5 % of the budget on a copy",
    "batch_loss": "training loss on the step's batch before the step, evaluation mode",
    "averaged_batch_loss": "the same of the averaged weights",
    "gradient_norm": "of the step's gradient",
    "update_norm": "of the step",
    "weight_norm": "of the weights before it",
    "displacement": "distance of the weights from where the run began",
    "decrease_ratio": "actual over predicted decrease of the batch loss",
    "forward_sharpness": "d'Hd / g'd on the step's batch from three losses, d = P^-1 g",
    "forward_slope": "g'd of it",
    "sharpness_1": "d'Hd / g'd on one fresh batch, Hessian-vector product",
    "sharpness_many": "ratio of means over eight fresh batches, Hessian-vector products",
    "sharpness_many_median": "median of the ratios over the same batches",
    "sharpness_many_error": "relative standard error of the ratio of means",
    "threshold": "the optimizer's constant for learning_rate * sharpness",
    "top": "largest eigenvalue in the optimizer's metric, two fresh batches",
    "top_residual": "its relative residual",
    "top_threshold": "the optimizer's constant for learning_rate * top",
    "cost_forward": "gradients that the forward-only reading and its losses cost",
    "cost_sharpness_1": "gradients of the reading on one batch",
    "cost_sharpness_many": "gradients of the generous reading",
    "cost_top": "gradients of the eigenvalue",
    "hvps_top": "Hessian-vector products of it, each over both batches",
}
FINAL = {
    "final_loss": "metric of the last weights, validation split",
    "final_averaged_loss": "the same of the averaged weights",
    "final_test": "metric of the last weights, test split",
    "final_averaged_test": "the same of the averaged weights",
    "initial_loss": "median training loss of the first steps, as the watch takes it",
    "initial_spread": "their robust standard deviation",
    "diverged_at": "first step whose training loss was not finite, or 0",
}
# Seconds of one thread that the parts of a run took, and what a table's prices are made of.
PARTS = ("train", "evaluate", "forward", "sharpness_1", "sharpness_many", "top", "cooldown")


def steps_of(budget: int) -> list[int]:
    """Steps after which the rungs lie; the last one is the end.

    Raises:
        SystemExit: If a budget is too short to have as many.
    """
    if budget < RUNGS:
        raise SystemExit(f"a budget of {budget} steps has no {RUNGS} rungs.")
    return [round(budget * rung / RUNGS) for rung in range(1, RUNGS + 1)]
