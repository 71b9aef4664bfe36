"""A rig for control: the demo plant, an image that a small obedient field fills, and steps in fake time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.control.commands import Action, Command, Reply
from controller.control.control import control
from controller.control.inputs import ControlInputs
from controller.control.relations import relations_of
from controller.control.report.result import ControlResult
from controller.control.sequences.plant import PlantState
from controller.control.state import ControlState, control_state, from_bytes, to_bytes
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.outputs import WriteState
from controller.image.plant_arrays import plant_arrays
from controller.image.quality import Quality
from controller.image.quantities import QUANTITIES
from controller.plant.model import Device, OutOfService, Plant
from controller.plant.signals import BreakerState, ConnectRequest, ContactorState, PcsOperation, PcsState

BoolArray = NDArray[np.bool_]
SECOND_NS = 1_000_000_000


@dataclass
class Protection:
    """Protection's orders, all quiet."""

    rack_trip: BoolArray
    rack_disconnect: BoolArray
    inhibit_charge: BoolArray
    inhibit_discharge: BoolArray
    bus_zero: BoolArray
    bus_zero_data: BoolArray
    bus_zero_chain: BoolArray
    bus_no_increase: BoolArray
    pcs_stop: BoolArray
    pcs_stop_stays: BoolArray
    block_stop: BoolArray
    rack_connect_missing: NDArray[np.int64]
    pcs_start_missing: NDArray[np.int64]
    plant_stop: bool = False


@dataclass
class Estimate:
    """An estimate that follows the field's SOC."""

    soc_used_ratio: NDArray[np.float64]
    soh_ratio: NDArray[np.float64]
    energy_to_empty_wh: NDArray[np.float64]
    energy_to_full_wh: NDArray[np.float64]
    quality: NDArray[np.uint8]
    power_discharge_w: NDArray[np.float64]
    power_charge_w: NDArray[np.float64]


_CONTACTOR = {ConnectRequest.CONNECT: ContactorState.CLOSED, ConnectRequest.DISCONNECT: ContactorState.OPEN}


class Field:
    """Racks and converters that do what they are asked, one scan later; everything may be disturbed by hand.

    `silent`: equipment of these (owner, index) is not read any more. `values` are what is measured.
    """

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.image = Image(plant_layout(plant))
        racks, converters = len(plant.racks), len(plant.pcs)
        batteries = [rack.battery for rack in plant.racks]
        self.is_poi = np.arange(len(plant.meters)) == plant.poi.meter
        self.contactor = np.full(racks, ContactorState.OPEN)
        self.pcs_state = np.full(converters, PcsState.OFF)
        self.pcs_w, self.pcs_var = np.zeros(converters), np.zeros(converters)
        self.watchdog_s = relations_of(plant, plant_arrays(plant)).pcs_watchdog_s.copy()
        self.soc = np.full(racks, 0.5)
        self.tripped = np.zeros(racks, np.bool_)
        self.soc_known = True
        self.possible_w = np.inf  # what the estimator says that a rack bears
        self.limit_a = np.stack([np.full(racks, 140.0), np.full(racks, 200.0)])
        self.resting_v = np.array(
            [round(1.02 * (b.voltage_min_v + b.voltage_max_v) / 2) for b in batteries], np.float64
        )
        of_cells = {"voltage": 3.3, "temperature": 25.0}
        self.cells = {f"rack.cell_{n}_{end}": np.full(racks, v) for n, v in of_cells.items() for end in ("max", "min")}
        self.pcs_limit_w = np.array([p.power_w for p in plant.pcs])
        self.ceiling_w = np.full(converters, np.inf)  # what a converter delivers at most
        self.stuck_w: dict[int, float] = {}  # converters that ignore their set-point
        self.breaker, self.frequency_hz = BreakerState.CLOSED, plant.poi.frequency_hz
        self.auxiliary_w, self.loss_ratio = 24e3, 0.01
        self.obeys_requests, self.banks_obey = True, False
        self.healthy = np.ones(len(plant.interlocks))
        self.refuses_start: set[int] = set()
        self.deaf: set[int] = set()  # racks whose contactors do not move
        self.welded: set[int] = set()  # racks that carry current whatever they say
        self.silent: set[tuple[str, int]] = set()
        self.refuses: set[str] = set()  # command signals whose writes fail
        self.refused_by: set[tuple[str, int]] = set()  # the same of one equipment
        self._seen: dict[tuple[str, int], int] = {}

    def read(self, now_ns: int) -> None:
        """Put the field's values into the image."""
        current_a = self._currents_a()
        self._set("rack.voltage", now_ns, self.resting_v - 0.06 * current_a)
        self._set("rack.current", now_ns, current_a)
        self._set("rack.soc", now_ns, self.soc if self.soc_known else np.nan)
        self._set("rack.soh", now_ns, 1.0)
        self._set("rack.charge_current_limit", now_ns, self.limit_a[0])
        self._set("rack.discharge_current_limit", now_ns, self.limit_a[1])
        self._set("rack.contactor", now_ns, self.contactor)
        self._set("rack.tripped", now_ns, self.tripped)
        for name, value in self.cells.items():
            self._set(name, now_ns, value)
        self._set("pcs.active_power", now_ns, self.pcs_w)
        self._set("pcs.reactive_power", now_ns, self.pcs_var)
        self._set("pcs.state", now_ns, self.pcs_state)
        self._set("pcs.watchdog_timeout", now_ns, self.watchdog_s)
        self._set("pcs.discharge_power_limit", now_ns, self.pcs_limit_w)
        self._set("pcs.charge_power_limit", now_ns, self.pcs_limit_w)
        self._set("interlock.healthy", now_ns, self.healthy)
        self._set("meter.active_power", now_ns, np.where(self.is_poi, self.poi_w, -self.auxiliary_w))
        self._set("meter.reactive_power", now_ns, np.where(self.is_poi, self.pcs_var.sum(), 0.0))
        self._set("meter.frequency", now_ns, self.frequency_hz)
        self._set("meter.voltage", now_ns, self.plant.poi.voltage_v)
        self._set("meter.breaker", now_ns, self.breaker)
        self._set("meter.energy_out", now_ns, 1e9)
        self._set("meter.energy_in", now_ns, 2e9)

    @property
    def poi_w(self) -> float:
        """Power at the POI."""
        pcs_w = float(self.pcs_w.sum())
        return pcs_w - self.auxiliary_w - self.loss_ratio * abs(pcs_w)

    def _currents_a(self) -> NDArray[np.float64]:
        """Racks of a bus share its current evenly."""
        current_a = np.zeros(len(self.plant.racks))
        for bus in self.plant.buses:
            closed = [r for r in bus.racks if self.contactor[r] == ContactorState.CLOSED or r in self.welded]
            if closed:
                current_a[closed] = sum(self.pcs_w[p] for p in bus.pcs) / float(self.resting_v[closed[0]]) / len(closed)
        return current_a

    def _set(self, name: str, now_ns: int, value: object) -> None:
        values, owner = self.image[name], QUANTITIES[name].owner.value
        new = np.broadcast_to(np.asarray(value, np.float64), values.value.shape)
        silent = np.zeros(len(new), np.bool_)
        silent[[index for kind, index in self.silent if kind == owner]] = True
        broken = np.isnan(new) & ~silent
        good = ~silent & ~broken
        values.value[good], values.time_ns[good], values.quality[good] = new[good], now_ns, Quality.GOOD
        values.quality[silent], values.quality[broken] = Quality.NO_COMMUNICATION, Quality.DEVICE_FAILURE

    def obey(self, state: ControlState) -> None:
        """Do what has been asked anew, and confirm it; converters follow their set-points."""
        for name, line in state.outputs.requests.items():
            for index, issue in enumerate(line.issue.tolist()):
                if issue == self._seen.get((name, index), 0):
                    continue
                self._seen[name, index] = issue
                refused = name in self.refuses or (name, index) in self.refused_by
                line.state[index] = WriteState.FAILED if refused else WriteState.CONFIRMED
                if not refused and self.obeys_requests:
                    self._do(name, index, float(line.value[index]))
        for index in range(len(self.pcs_w)):
            self._follow(state, index)

    def forget_requests(self) -> None:
        """The controller that asked is gone."""
        self._seen.clear()

    def _do(self, name: str, index: int, value: float) -> None:
        if name == "rack.connect_request" and index not in self.deaf:
            self.contactor[index] = _CONTACTOR[ConnectRequest(int(value))]
        elif name == "bank.connect_request" and self.banks_obey:
            self.contactor[list(self.plant.banks[index].racks)] = _CONTACTOR[ConnectRequest(int(value))]
        elif name == "pcs.operation":
            started = value == PcsOperation.START and index not in self.refuses_start
            self.pcs_state[index] = PcsState.RUNNING if started else PcsState.OFF
        elif name == "pcs.watchdog_timeout_setting":
            self.watchdog_s[index] = value
        elif name == "rack.reset_request" and value:
            self.tripped[index] = False
        elif name == "pcs.reset_request" and value:
            self.pcs_state[index] = PcsState.OFF

    def _follow(self, state: ControlState, index: int) -> None:
        wanted_w = float(state.outputs["pcs.active_power_setpoint"].value[index])
        runs = self.pcs_state[index] == PcsState.RUNNING
        ceiling_w = self.ceiling_w[index]
        followed_w = min(max(wanted_w, -ceiling_w), ceiling_w) if runs else 0.0
        self.pcs_w[index] = self.stuck_w.get(index, followed_w)
        wanted_var = float(state.outputs["pcs.reactive_power_setpoint"].value[index])
        self.pcs_var[index] = wanted_var if runs else 0.0


class Rig:
    """Plant, field and control in fake time."""

    def __init__(self, plant: Plant) -> None:
        self.plant, self.arrays, self.field = plant, plant_arrays(plant), Field(plant)
        self.state = control_state(plant, self.arrays)
        self.protection = _quiet(plant)
        self.estimate_quality = Quality.GOOD
        self.retains = True
        self.now_ns = 1000 * SECOND_NS
        self.results: list[ControlResult] = []
        self._commands: list[Command] = []
        self._count = 0

    @property
    def result(self) -> ControlResult:
        """The last scan's result."""
        return self.results[-1]

    def estimate(self) -> Estimate:
        soc = self.field.soc if self.field.soc_known else np.full(len(self.field.soc), np.nan)
        energy_wh = self.arrays.rack_energy_wh
        quality = np.full(len(soc), self.estimate_quality, np.uint8)
        unbounded_w = np.full((len(soc), 4), self.field.possible_w)
        return Estimate(
            soc, np.ones(len(soc)), soc * energy_wh, (1.0 - soc) * energy_wh, quality, unbounded_w, unbounded_w
        )

    def command(self, action: Action, value: Any = None, target: str = "Plant", **more: Any) -> Command:
        """Return a command of the default operator; keywords replace its fields."""
        self._count += 1
        fields = {"face": "opcua", "user": "anne", "role": "operator", "issued_mono_ns": self.now_ns, **more}
        return Command(id=str(self._count), action=action, target=target, value=value, **fields)

    def scan(self, *commands: Command, dt_s: float = 1.0) -> ControlResult:
        """One scan and the field's answer."""
        self.now_ns += round(dt_s * SECOND_NS)
        self.field.read(self.now_ns)
        inputs = ControlInputs(
            self.field.image, self.protection, self.estimate(), self.now_ns, dt_s, retains=self.retains
        )
        result = control(self.plant, self.arrays, self.state, inputs, commands)
        self.results.append(result)
        self.field.obey(self.state)
        return result

    def restart(self) -> None:
        """Start the controller anew with its retained state; the field goes on as it is."""
        saved = to_bytes(self.state, self.plant)
        self.state = control_state(self.plant, self.arrays)
        assert from_bytes(self.state, self.plant, saved, self.now_ns) == ()
        self.field.forget_requests()

    def ask(self, action: Action, value: object = None, target: str = "Plant", **more: Any) -> Reply:
        """Scan with one command and return its reply."""
        return self.scan(self.command(action, value, target, **more)).replies[0]

    def run(self, seconds: float, dt_s: float = 1.0) -> ControlResult:
        """Scan for a while."""
        for _ in range(max(1, round(seconds / dt_s))):
            self.scan(dt_s=dt_s)
        return self.result

    def until(self, wanted: Callable[[], bool], seconds: float = 60.0) -> None:
        """Scan until something holds; fail if it does not come."""
        for _ in range(round(seconds)):
            self.scan()
            if wanted():
                return
        raise AssertionError(f"not within {seconds} s; plant is {self.state.plant.sequence.name}")

    def start(self) -> Rig:
        """Start the plant and wait until it is ready."""
        self.until(lambda: self.state.plant.sequence is PlantState.RUNNING)
        return self

    def setpoint(self, power_w: float, **more: Any) -> Reply:
        """Ask for active power."""
        return self.ask(Action.SET_ACTIVE_POWER, power_w, **more)


def _quiet(plant: Plant) -> Protection:
    racks, buses = len(plant.racks), len(plant.buses)

    def none(count: int) -> BoolArray:
        return np.zeros(count, np.bool_)

    return Protection(
        rack_trip=none(racks),
        rack_disconnect=none(racks),
        inhibit_charge=none(racks),
        inhibit_discharge=none(racks),
        bus_zero=none(buses),
        bus_zero_data=none(buses),
        bus_zero_chain=none(buses),
        bus_no_increase=none(buses),
        pcs_stop=none(len(plant.pcs)),
        pcs_stop_stays=none(len(plant.pcs)),
        block_stop=none(len(plant.blocks)),
        rack_connect_missing=np.zeros(racks, np.int64),
        pcs_start_missing=np.zeros(len(plant.pcs), np.int64),
    )


@pytest.fixture
def rig(demo_plant: Plant) -> Rig:
    """Return a rig on the demo plant, which starts by itself."""
    return Rig(demo_plant)


@pytest.fixture(scope="session")
def make_any_rig(demo_plant: Plant) -> Callable[[], Rig]:
    """Return a maker of rigs, for tests that need many."""
    return lambda: Rig(demo_plant)


@pytest.fixture
def running(rig: Rig) -> Rig:
    """Return a rig whose plant stands ready at zero."""
    return rig.start()


@pytest.fixture
def make_rig(demo_plant: Plant) -> Callable[..., Rig]:
    """Return a maker of rigs with other control settings."""

    def make(**settings: object) -> Rig:
        control_settings = replace(demo_plant.control, **settings)  # type: ignore[arg-type] # any setting
        return Rig(replace(demo_plant, control=control_settings))

    return make


@pytest.fixture
def make_rig_on(demo_plant: Plant) -> Callable[..., Rig]:
    """Return a maker of rigs on a changed demo plant."""

    def make(
        rack_out_of_service: int | None = None, without: tuple[str, str] | None = None, meter: int | None = None
    ) -> Rig:
        plant = demo_plant
        if rack_out_of_service is not None:
            out = OutOfService("module exchanged", "anne", "")
            racks = [replace(r, out_of_service=out if r.index == rack_out_of_service else None) for r in plant.racks]
            plant = replace(plant, racks=tuple(racks))
        if without is not None:
            plant = replace(plant, devices=tuple(_without(d, *without) for d in plant.devices))
        if meter is not None:
            plant = replace(plant, poi=replace(plant.poi, meter=meter))
        return Rig(plant)

    return make


def _without(device: Device, kind: str, signal: str) -> Device:
    """Return the device without a signal, if it is of that kind."""
    if device.type.kind != kind:
        return device
    points = tuple(p for p in device.type.points if p.signal.name != signal)
    return replace(device, type=replace(device.type, points=points))
