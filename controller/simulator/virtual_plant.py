"""The virtual plant: racks on their buses, BMSs, converters, meters and the grid, stepped together.

Rule: pure and seeded. The same plant, seed, requests and steps give the same values, bit for bit.
One step: grid -> converters (what they want of the bus) -> buses (who carries it) -> cells -> BMSs -> meters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from controller.plant.device_types import CommunicationTimeout
from controller.plant.model import MeterRole, Plant, UnloadsContactors
from controller.plant.signals import Owner
from controller.simulator.converter import PRODUCING, Converter, Fault, Surroundings
from controller.simulator.dc_bus import solve_buses
from controller.simulator.grid import Grid, packaged_profile
from controller.simulator.metering import MeterState, auxiliary_power_w, line_loss_w, transformer_loss_w
from controller.simulator.rack_bms import RackBms, silence_rule
from controller.simulator.racks import RackCells

FloatArray = NDArray[np.float64]

CELL_PERIOD_S, RACKS_PER_CELL_SECOND = 0.25, 2400
"""How often cells are computed: four times a second, less often where there are very many."""


class VirtualPlant:
    """Everything that is simulated of one plant. Its parts are public: readings, requests and faults go to them."""

    def __init__(self, plant: Plant, seed: int | None = None) -> None:
        """Build the plant as its site file's `simulation` dresses it; `seed` replaces the site's."""
        settings = plant.simulation
        self.rng = np.random.default_rng(settings.seed if seed is None else seed)
        self.plant, self.time_s = plant, 0.0
        nominal_hz = plant.poi.frequency_hz
        profiles = (packaged_profile(settings.grid_profile, nominal_hz),) if settings.grid_profile else ()
        self.grid = Grid(nominal_hz, settings.load_w, settings.pv_w, profiles)
        period_s = max(CELL_PERIOD_S, len(plant.racks) / RACKS_PER_CELL_SECOND)
        self.cells = RackCells(plant.racks, self.rng, settings.initial_soc_ratio, period_s)
        timeouts = _timeouts(plant)
        silence = silence_rule([timeouts.get((Owner.RACK, r.index)) for r in plant.racks])
        self.bms = RackBms(plant.racks, silence, self.rng)
        self.converters = [Converter(p, timeouts.get((Owner.PCS, p.index))) for p in plant.pcs]
        self.meters = [MeterState(m) for m in plant.meters]
        self.interlock_healthy = np.ones(len(plant.interlocks), np.bool_)
        self.bank_heartbeat = np.zeros(len(plant.banks))
        self.rack_current_a = np.zeros(len(plant.racks))
        self.bus_voltage_v = np.zeros(len(plant.buses))
        self._rack_bus = np.array([r.bus for r in plant.racks], np.int64)
        self._hardwired = [b.unloads_contactors is not UnloadsContactors.CONTROLLER_ONLY for b in plant.buses]
        self._balanced = 0
        self.grid.look(0.0)
        self._meter(0.0)

    def step(self, dt_s: float) -> None:
        """Move everything on by `dt_s` (0.05 to 10 s)."""
        self.time_s += dt_s
        self.grid.look(self.time_s)
        wanted_w = self._convert(dt_s)
        cells = self.cells
        flow = solve_buses(cells.emf_v, cells.resistance_ohm, self.bms.conducting, self._rack_bus, wanted_w)
        self.rack_current_a, self.bus_voltage_v = flow.current_a, flow.voltage_v
        for converter in self.converters:
            bus = converter.rating.bus
            wanted = float(wanted_w[bus])
            given_ratio = float(flow.power_w[bus]) / wanted if wanted > 0.0 else 1.0
            converter.settle(given_ratio, float(flow.voltage_v[bus]))
        cells.advance(flow.current_a, dt_s)
        if cells.slow_steps != self._balanced:
            self._balanced = cells.slow_steps
            self.bms.balance(cells, flow.current_a)
        self.bms.step(cells, flow.current_a, flow.voltage_v[self._rack_bus], dt_s)
        self.bank_heartbeat += dt_s
        self._meter(dt_s)

    def _convert(self, dt_s: float) -> FloatArray:
        """Step the converters; return the power they want of each bus."""
        wanted_w = np.zeros(len(self.bus_voltage_v))
        for converter in self.converters:
            bus = converter.rating.bus
            if self._hardwired[bus] and converter.state in PRODUCING and self._all_tripped(bus):
                converter.trip(Fault.EXTERNAL)
            bus_v = float(self.bus_voltage_v[bus])
            around = Surroundings(bus_v, self.grid.frequency_hz, self.grid.nominal_hz, self.grid.voltage_pu)
            wanted_w[bus] += converter.step(around, dt_s)
        return wanted_w

    def _all_tripped(self, bus: int) -> bool:
        """Whether every rack that still feeds a bus has been tripped by its BMS."""
        feeding = self.bms.conducting & (self._rack_bus == bus)
        return bool(feeding.any() and self.bms.state.tripped[feeding].all())

    def _meter(self, dt_s: float) -> None:
        plant = self.plant
        loading = [[0.0, 0.0] for _ in plant.transformers]
        active_w = reactive_var = 0.0
        for converter in self.converters:
            active_w += converter.active_power_w
            reactive_var += converter.reactive_power_var
            if converter.rating.transformer >= 0:
                loading[converter.rating.transformer][0] += converter.active_power_w
                loading[converter.rating.transformer][1] += converter.reactive_power_var
        lost_w = sum(transformer_loss_w(t, *loading[t.index]) for t in plant.transformers)
        warmest_degc = float(self.cells.hottest_degc.max(initial=0.0))
        self.poi_w = active_w - lost_w - line_loss_w(plant, active_w) + self.grid.neighbours_w
        self.poi_w -= auxiliary_power_w(plant.auxiliaries, warmest_degc)
        self.poi_var = reactive_var
        for meter in self.meters:
            meter.sample(*self._flow_at(meter, warmest_degc), self.grid.frequency_hz, self.grid.voltage_pu, dt_s)

    def _flow_at(self, meter: MeterState, warmest_degc: float) -> tuple[float, float]:
        """Return active and reactive power through a meter, + = towards the grid."""
        match meter.rating.role:
            case MeterRole.AUXILIARY:
                served = [a for a in self.plant.auxiliaries if a.meter == meter.rating.index]
                return -auxiliary_power_w(served, warmest_degc), 0.0
            case MeterRole.FEEDER:
                feeding = [c for c in self.converters if c.rating.block == meter.rating.block]
                return sum(c.active_power_w for c in feeding), sum(c.reactive_power_var for c in feeding)
            case _:
                return self.poi_w, self.poi_var


def _timeouts(plant: Plant) -> Mapping[tuple[Owner, int], CommunicationTimeout]:
    """Return what each equipment's device does when we fall silent."""
    return {
        (binding.owner, binding.equipment): device.type.communication_timeout
        for device in plant.devices
        if device.type.communication_timeout
        for binding in device.bindings
    }
