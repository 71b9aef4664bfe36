"""What control remembers from scan to scan, and which part of it survives a restart.

Retained: limits and their sources, the fast stop's latch, lock-outs with holders and reasons, and that a person stopped
the plant. Not retained: set-points, ownership, sequences. So a restart never resumes power: the plant is adopted as
found and stands at zero.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.control.accounting import EnergyAccount
from controller.control.bus_balance import BusBalance
from controller.control.limits.pcs import HeldPcsLimits, StandingLimits, no_held_pcs_limits
from controller.control.limits.poi import Limit, Limits
from controller.control.limits.racks import HeldLimits, no_held_limits
from controller.control.measurements import Reader
from controller.control.mismatch import Mismatch
from controller.control.open_racks import OpenRacks
from controller.control.poi import LossModel, PoiLoop, loss_model
from controller.control.poi_guard import LimitGuard
from controller.control.poi_witness import MeterWitness
from controller.control.qualities import Qualities
from controller.control.relations import Relations, relations_of
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.sequences.plant import PlantState
from controller.control.sequences.rack import RackSequenceState, Wanted
from controller.control.setpoints import Lease, Setpoint
from controller.control.status import PcsStatus, RackStatus, Shown
from controller.control.voltages import Voltages
from controller.image.outputs import OutputImage
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant
from controller.plant.signals import ContactorState

FORMAT = 1
SITE_HOLDER = "site file"


@dataclass(frozen=True, slots=True)
class LockOut:
    """One holder's lock-out of a rack. It never expires; each holder removes only his own."""

    holder: str
    reason: str


@dataclass(slots=True)
class RackMemory:
    """Sequences of the racks [R]."""

    sequence: NDArray[np.int8]
    entered_ns: NDArray[np.int64]
    wanted: NDArray[np.int8]  # `Wanted`
    contactor: NDArray[np.int32]  # last known
    seen: NDArray[np.int64]  # what the sequence saw last, as one number: it is looked at again when that changes
    retried: NDArray[np.bool_]
    connect_failed: NDArray[np.bool_]
    disconnect_failed: NDArray[np.bool_]  # also while it is tried again
    opened_by_itself: NDArray[np.bool_]
    left_by_request: NDArray[np.bool_]  # it was disconnected on purpose
    opened: OpenRacks
    held: HeldLimits
    balance: BusBalance
    voltages: Voltages
    facts: tuple[object, ...] = ()
    status: RackStatus | None = None
    settled: RackStatus | None = None  # with this status nothing moved


@dataclass(slots=True)
class PcsMemory:
    """Sequences and commands of the converters [P]."""

    sequence: list[PcsSequenceState]
    entered_ns: list[int]
    wanted: NDArray[np.bool_]  # they shall run
    seen_ns: NDArray[np.int64]  # when its state was last read
    power_known_ns: NDArray[np.int64]  # when its power was last known, or could not be because it was not heard
    power_w: NDArray[np.float64]  # last known, NaN: never yet
    fed_ns: NDArray[np.int64]  # when its heartbeat was last not withheld for its silence
    assumed_w: NDArray[np.float64]  # [(lowest, highest), P] what unheard ones may be giving, NaN: heard
    command_w: NDArray[np.float64]
    command_var: NDArray[np.float64]
    start_failed: NDArray[np.bool_]
    stop_failed: NDArray[np.bool_]
    stopped_by_itself: NDArray[np.bool_]
    retries: NDArray[np.int64]
    retried_ns: NDArray[np.int64]
    repeated_ns: NDArray[np.int64]
    held: HeldPcsLimits
    mismatch: Mismatch
    facts: tuple[object, ...] = ()
    status: PcsStatus | None = None
    settled: PcsStatus | None = None  # with this status nothing moved
    standing: StandingLimits | None = None


@dataclass(slots=True)
class PlantMemory:
    """Sequence, requests of this scan and latches of the plant."""

    sequence: PlantState = PlantState.ADOPTING
    entered_ns: int = -1  # the first scan sets it
    start_requested: bool = False
    stop_requested: bool = False
    auto_start_done: bool = False
    stopped: bool = False  # by a person, who has not started it since: no start of the controller starts it
    fast_stop: str = ""  # who latched it, "" = not latched
    fast_stop_sequence: int = -1  # the scan that last heard one
    in_effect_w: float = 0.0
    in_effect_var: float = 0.0
    scada_heartbeat: int = 0
    scada_heartbeat_ns: int | None = None  # when it last advanced; None: nobody sends one, or its sender was relieved
    start_incomplete: bool = False
    settled: tuple[RackStatus, PcsStatus] | None = None  # with these nothing moved


@dataclass(slots=True)
class ControlState:
    """Everything that control owns. Made once per plant; changed by `control` alone."""

    relations: Relations
    losses: LossModel
    outputs: OutputImage
    racks: RackMemory
    pcs: PcsMemory
    active: Setpoint
    reactive: Setpoint
    lease: Lease
    scada_timeout_s: float
    export_limits: Limits
    import_limits: Limits
    witness: MeterWitness
    plant: PlantMemory = field(default_factory=PlantMemory)
    active_loop: PoiLoop = field(default_factory=PoiLoop)
    reactive_loop: PoiLoop = field(default_factory=PoiLoop)
    grid_s: tuple[float, float] = (0.0, 0.0)  # for so long voltage and frequency of the grid have been outside
    guard: LimitGuard = field(default_factory=LimitGuard)
    told: dict[tuple[str, ...], object] = field(default_factory=dict)  # last refusal by (face, user, action)
    lock_outs: dict[int, tuple[LockOut, ...]] = field(default_factory=dict)
    sequence: int = 0  # number of this scan; replies carry it
    now_ns: int = 0  # of the last scan
    reader: Reader | None = None  # of the image that was read last
    account: EnergyAccount | None = None
    account_ns: int = 0
    shown: Shown | None = None
    qualities: Qualities | None = None
    qualities_key: tuple[object, ...] = ()
    conditions: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    conditions_key: tuple[object, ...] = ()

    @property
    def scada_is_silent(self) -> bool:
        """Whether a master that sent a heartbeat has stopped; a set-point that nobody renews has its own condition.

        The time is the site's for set-points. A new set-point and a take-over are signs of life too.
        """
        since_ns = self.plant.scada_heartbeat_ns
        return since_ns is not None and self.now_ns - since_ns > round(self.scada_timeout_s * 1e9)

    def locked_out(self) -> NDArray[np.bool_]:
        """Return which racks are locked out [R]."""
        locked = np.zeros(len(self.racks.sequence), np.bool_)
        locked[list(self.lock_outs)] = True
        return locked


def control_state(plant: Plant, arrays: PlantArrays) -> ControlState:
    """Return the state before the first scan: nothing asked, nothing known, lock-outs of the site file in force."""
    settings = plant.control
    relations = relations_of(plant, arrays)
    return ControlState(
        relations=relations,
        losses=loss_model(plant),
        outputs=OutputImage(plant),
        racks=_rack_memory(arrays, BusBalance(relations, arrays)),
        pcs=_pcs_memory(arrays),
        active=Setpoint(settings.fallback_w, settings.setpoint_timeout_s),
        reactive=Setpoint(settings.fallback_var, settings.setpoint_timeout_s),
        lease=Lease(settings.shared_owner, settings.lease_s),
        scada_timeout_s=settings.setpoint_timeout_s,
        export_limits=Limits(plant.poi.export_limit_w),
        import_limits=Limits(plant.poi.import_limit_w),
        witness=MeterWitness(plant, relations.poi_period_s),
        lock_outs={
            r.index: (LockOut(SITE_HOLDER, r.out_of_service.reason),)
            for r in plant.racks
            if r.out_of_service is not None and r.out_of_service.lock_out
        },
    )


def _rack_memory(arrays: PlantArrays, balance: BusBalance) -> RackMemory:
    racks = len(arrays.rack_bus)
    return RackMemory(
        sequence=np.full(racks, RackSequenceState.UNKNOWN, np.int8),
        entered_ns=np.zeros(racks, np.int64),
        wanted=np.full(racks, Wanted.LEAVE, np.int8),
        contactor=np.full(racks, ContactorState.UNKNOWN, np.int32),
        seen=np.full(racks, -1, np.int64),
        retried=np.zeros(racks, np.bool_),
        connect_failed=np.zeros(racks, np.bool_),
        disconnect_failed=np.zeros(racks, np.bool_),
        opened_by_itself=np.zeros(racks, np.bool_),
        left_by_request=np.zeros(racks, np.bool_),
        opened=OpenRacks(arrays.rack_bus),
        held=no_held_limits(racks),
        balance=balance,
        voltages=Voltages(arrays.rack_cells_in_series, arrays.pcs_bus),
    )


def _pcs_memory(arrays: PlantArrays) -> PcsMemory:
    converters = len(arrays.pcs_power_w)
    return PcsMemory(
        sequence=[PcsSequenceState.UNKNOWN] * converters,
        entered_ns=[0] * converters,
        wanted=np.zeros(converters, np.bool_),
        seen_ns=np.full(converters, -(2**62), np.int64),
        power_known_ns=np.zeros(converters, np.int64),
        power_w=np.full(converters, np.nan),
        fed_ns=np.zeros(converters, np.int64),
        assumed_w=np.full((2, converters), np.nan),
        command_w=np.zeros(converters),
        command_var=np.zeros(converters),
        start_failed=np.zeros(converters, np.bool_),
        stop_failed=np.zeros(converters, np.bool_),
        stopped_by_itself=np.zeros(converters, np.bool_),
        retries=np.zeros(converters, np.int64),
        retried_ns=np.zeros(converters, np.int64),
        repeated_ns=np.zeros(converters, np.int64),
        held=no_held_pcs_limits(converters),
        mismatch=Mismatch(arrays.pcs_power_w, arrays.pcs_ramp_w_per_s),
    )


def to_bytes(state: ControlState, plant: Plant) -> bytes:
    """Return the retained part. Racks by name, so that a changed site still finds its own."""
    parts = {
        "format": FORMAT,
        "fast_stop": state.plant.fast_stop,
        "stopped": state.plant.stopped,
        "poi_meter_doubted": state.witness.doubted,
        "export_limits": _limits_out(state.export_limits, state.now_ns),
        "import_limits": _limits_out(state.import_limits, state.now_ns),
        "lock_outs": {
            plant.racks[rack].name: [[lock.holder, lock.reason] for lock in locks if lock.holder != SITE_HOLDER]
            for rack, locks in state.lock_outs.items()
        },
    }
    return json.dumps(parts, ensure_ascii=False).encode()


def from_bytes(state: ControlState, plant: Plant, data: bytes, now_ns: int) -> tuple[str, ...]:
    """Put the retained part into a fresh state; return the racks that the site no longer has.

    Raises:
        ValueError: the bytes are not what `to_bytes` writes.
    """
    try:
        parts = json.loads(data)
        if parts["format"] != FORMAT:
            raise ValueError(f"retained control state has format {parts['format']}, expected {FORMAT}")
        _limits_in(state.export_limits, parts["export_limits"], now_ns)
        _limits_in(state.import_limits, parts["import_limits"], now_ns)
        state.plant.fast_stop, state.plant.stopped = str(parts["fast_stop"]), bool(parts.get("stopped"))
        state.plant.auto_start_done = state.plant.stopped or bool(state.plant.fast_stop)
        if parts.get("poi_meter_doubted"):
            state.witness.distrust()
        return _lock_outs_in(state, plant, parts["lock_outs"])
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"retained control state is not readable: {error}") from error


def _limits_out(limits: Limits, now_ns: int) -> dict[str, list[float | None]]:
    """By source: value, the seconds left (monotonic times mean nothing after a reboot), and what it falls back to."""
    return {
        source: [limit.value_w, None if limit.expires_ns is None else limit.left_s(now_ns), limit.fallback_w]
        for source, limit in limits.by_source.items()
    }


def _limits_in(limits: Limits, stored: dict[str, list[float | None]], now_ns: int) -> None:
    for source, (value_w, left_s, *rest) in stored.items():
        expires_ns = None if left_s is None else now_ns + round(float(left_s) * 1e9)
        fallback_w = next((float(w) for w in rest if w is not None), None)  # older states have none
        limits.by_source[source] = Limit(float(value_w or 0.0), expires_ns, fallback_w)
    limits.refresh()


def _lock_outs_in(state: ControlState, plant: Plant, stored: dict[str, list[list[str]]]) -> tuple[str, ...]:
    index = {rack.name: rack.index for rack in plant.racks}
    for name, locks in stored.items():
        if name in index and locks:
            held = state.lock_outs.get(index[name], ())
            state.lock_outs[index[name]] = (*held, *(LockOut(holder, reason) for holder, reason in locks))
    return tuple(name for name in stored if name not in index)
