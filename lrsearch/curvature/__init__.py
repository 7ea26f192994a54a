"""Measuring on the device: sharpness readings, averaged weights, edge calibration, the watch."""

from lrsearch.curvature._along import Directional as Directional
from lrsearch.curvature._along import curvature_along as curvature_along
from lrsearch.curvature._average import WeightAverage as WeightAverage
from lrsearch.curvature._batch_sharpness import BatchSharpness as BatchSharpness
from lrsearch.curvature._batch_sharpness import batch_sharpness as batch_sharpness
from lrsearch.curvature._batches import hold as hold
from lrsearch.curvature._bracket import vertex as vertex
from lrsearch.curvature._calibrate import FRESH as FRESH
from lrsearch.curvature._calibrate import calibrate as calibrate
from lrsearch.curvature._calibrate import calibration_cost as calibration_cost
from lrsearch.curvature._calibrate import proxy_steps as proxy_steps
from lrsearch.curvature._capability import Capability as Capability
from lrsearch.curvature._capability import probe_methods as probe_methods
from lrsearch.curvature._cost import DOUBLE_BACKWARD as DOUBLE_BACKWARD
from lrsearch.curvature._cost import FORWARD as FORWARD
from lrsearch.curvature._critical import CriticalRate as CriticalRate
from lrsearch.curvature._critical import critical_rate as critical_rate
from lrsearch.curvature._eager import eager as eager
from lrsearch.curvature._flow import FlowProgress as FlowProgress
from lrsearch.curvature._flow import FlowSolution as FlowSolution
from lrsearch.curvature._flow import gradient_flow as gradient_flow
from lrsearch.curvature._flow_cost import FlowEstimate as FlowEstimate
from lrsearch.curvature._flow_cost import flow_cost as flow_cost
from lrsearch.curvature._generators import Generators as Generators
from lrsearch.curvature._generators import generators_now as generators_now
from lrsearch.curvature._generators import generators_rewound as generators_rewound
from lrsearch.curvature._guard import quiet as quiet
from lrsearch.curvature._guard import restored as restored
from lrsearch.curvature._hessian import Hessian as Hessian
from lrsearch.curvature._lanczos import Eigenvalues as Eigenvalues
from lrsearch.curvature._lanczos import lanczos as lanczos
from lrsearch.curvature._metric import direction as direction
from lrsearch.curvature._metric import inverse_root as inverse_root
from lrsearch.curvature._metric import threshold as threshold
from lrsearch.curvature._metric import usual_rate as usual_rate
from lrsearch.curvature._optimizers import Rule as Rule
from lrsearch.curvature._optimizers import register_optimizer as register_optimizer
from lrsearch.curvature._parallel import Ranks as Ranks
from lrsearch.curvature._secant import Secant as Secant
from lrsearch.curvature._secant import sharpness_along as sharpness_along
from lrsearch.curvature._sharpness import eigenvalues as eigenvalues
from lrsearch.curvature._sharpness import sharpness as sharpness
from lrsearch.curvature._solution import SolutionKind as SolutionKind
from lrsearch.curvature._solution import solution_kind as solution_kind
from lrsearch.curvature._verify import doubtful as doubtful
from lrsearch.curvature._watch import Watch as Watch

__all__ = [
    "DOUBLE_BACKWARD",
    "FORWARD",
    "FRESH",
    "BatchSharpness",
    "Capability",
    "CriticalRate",
    "Directional",
    "Eigenvalues",
    "FlowEstimate",
    "FlowProgress",
    "FlowSolution",
    "Generators",
    "Hessian",
    "Ranks",
    "Rule",
    "Secant",
    "SolutionKind",
    "Watch",
    "WeightAverage",
    "batch_sharpness",
    "calibrate",
    "calibration_cost",
    "critical_rate",
    "curvature_along",
    "direction",
    "doubtful",
    "eager",
    "eigenvalues",
    "flow_cost",
    "generators_now",
    "generators_rewound",
    "gradient_flow",
    "hold",
    "inverse_root",
    "lanczos",
    "probe_methods",
    "proxy_steps",
    "quiet",
    "register_optimizer",
    "restored",
    "sharpness",
    "sharpness_along",
    "solution_kind",
    "threshold",
    "usual_rate",
    "vertex",
]
