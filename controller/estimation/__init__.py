"""Estimation: SOC, SOH, energy, power, resistance and anomalies of every rack and cell, each with bounds that hold.

Protection does not know this room; it may fail without consequence for a trip.
"""

from controller.estimation.config import EstimatorConfig, RackSpec, estimator_config
from controller.estimation.estimate import estimate
from controller.estimation.findings import Finding, FindingKind, Severity
from controller.estimation.power import HORIZONS_S
from controller.estimation.present import Estimate
from controller.estimation.remaining_life import LifeHistory
from controller.estimation.remaining_life import from_bytes as life_from_bytes
from controller.estimation.remaining_life import to_bytes as life_to_bytes
from controller.estimation.samples import RackSample
from controller.estimation.saved_state import StateError, from_bytes, to_bytes
from controller.estimation.state import EstimatorState, initial
from controller.estimation.warranty import SOC_EDGES, TEMPERATURE_EDGES_DEGC, Warranty
from controller.estimation.warranty import from_bytes as warranty_from_bytes
from controller.estimation.warranty import to_bytes as warranty_to_bytes
from controller.plant.model import SocSource

__all__ = [
    "HORIZONS_S",
    "SOC_EDGES",
    "TEMPERATURE_EDGES_DEGC",
    "Estimate",
    "EstimatorConfig",
    "EstimatorState",
    "Finding",
    "FindingKind",
    "LifeHistory",
    "RackSample",
    "RackSpec",
    "Severity",
    "SocSource",
    "StateError",
    "Warranty",
    "estimate",
    "estimator_config",
    "from_bytes",
    "initial",
    "life_from_bytes",
    "life_to_bytes",
    "to_bytes",
    "warranty_from_bytes",
    "warranty_to_bytes",
]
