"""The site's settings that are no equipment: POI, how it is run, faces, simulation, batteries."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence

from controller.plant.cell_types import CellType, scaled
from controller.plant.device_loader import DIMENSION_OF_UNIT
from controller.plant.expansion.names import Findings
from controller.plant.messages import Complaint, did_you_mean, one_of
from controller.plant.model import (
    BatteryType,
    BmsTrip,
    ControlSettings,
    Meter,
    MeterRole,
    ModbusFace,
    OpcUaFace,
    PartyMap,
    Poi,
    ScadaFaces,
    SimulationSettings,
    StaleLadder,
)
from controller.plant.schema.equipment import BatterySection, GridFunction
from controller.plant.schema.site import ControlsSection, ScadaSection, SimulationSection, SiteSection
from controller.plant.units import Dimension, parse_quantity

_LISTEN = re.compile(r"(?:opc\.)?tcp://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")

BMS_TRIPS: dict[str, Dimension] = {
    "cell_voltage_high": DIMENSION_OF_UNIT["V"],
    "cell_voltage_low": DIMENSION_OF_UNIT["V"],
    "cell_temperature_high": DIMENSION_OF_UNIT["degC"],
    "cell_temperature_low": DIMENSION_OF_UNIT["degC"],
    "charge_current_high": DIMENSION_OF_UNIT["A"],
    "discharge_current_high": DIMENSION_OF_UNIT["A"],
}
"""The BMS's own trips that a battery may state, named as the protection rows that are graded against them."""


def poi_of(site: SiteSection, meters: Sequence[Meter]) -> Poi:
    """Return the POI with its control meter, if there is one."""
    control = [meter.index for meter in meters if meter.role is MeterRole.POI_CONTROL]
    return Poi(
        voltage_v=site.poi.voltage,
        frequency_hz=site.poi.frequency,
        power_w=site.rating.power,
        apparent_va=site.rating.apparent,
        energy_wh=site.rating.energy,
        export_limit_w=site.poi.export_limit,
        import_limit_w=site.poi.import_limit,
        meter=control[0] if control else -1,
    )


def control_of(controls: ControlsSection, findings: Findings) -> ControlSettings:
    """Return how the plant is run."""
    for name in controls.grid_functions:
        if name not in list(GridFunction):
            loc = ("controls", "grid_functions", name)
            hint = did_you_mean(name, GridFunction)
            findings.complain(loc, f"no grid function named '{name}'", one_of(GridFunction), hint, key=True)
    stale = controls.stale
    return ControlSettings(
        scan_period_s=controls.scan,
        ramp_w_per_s=controls.limits.ramp,
        reactive_ramp_var_per_s=controls.limits.reactive_ramp,
        poi_trim_ratio=controls.limits.poi_trim,
        soc_min_ratio=controls.limits.soc.min,
        soc_max_ratio=controls.limits.soc.max,
        setpoint_timeout_s=controls.setpoint.timeout,
        setpoint_timeout_max_s=controls.setpoint.timeout_max,
        fallback_w=controls.setpoint.fallback.power,
        fallback_var=controls.setpoint.fallback.reactive,
        shared_owner=controls.owner.shared,
        lease_s=controls.owner.lease,
        start_timeout_s=controls.start.timeout,
        auto_start=controls.start.automatic,
        soc_source=controls.soc_source,
        grid_functions=tuple(sorted(controls.grid_functions.items())),
        stale=StaleLadder(
            stale.uncertain_periods,
            stale.bad_periods,
            stale.zero_periods,
            stale.zero_min,
            stale.zero_where_bms_stops_pcs,
        ),
    )


def faces_of(scada: ScadaSection, findings: Findings) -> ScadaFaces:
    """Return the faces towards SCADA."""
    opcua, modbus = None, None
    if scada.opcua is not None:
        host, port = _listen(scada.opcua.listen, "opcua", "opc.tcp://127.0.0.1:4840", findings)
        users = scada.opcua.users.secret if scada.opcua.users else ""
        policies = tuple(policy.value for policy in scada.opcua.security)
        opcua = OpcUaFace(host, port, policies, scada.opcua.anonymous, users)
    if scada.modbus is not None:
        host, port = _listen(scada.modbus.listen, "modbus", "tcp://127.0.0.1:5020", findings)
        maps = tuple(PartyMap(m.party, m.file, m.unit, tuple(m.writers)) for m in scada.modbus.maps)
        modbus = ModbusFace(host, port, tuple(scada.modbus.writers), scada.modbus.max_connections, maps)
    return ScadaFaces(opcua, modbus)


def _listen(text: str, face: str, example: str, findings: Findings) -> tuple[str, int]:
    matched = _LISTEN.fullmatch(text)
    scheme = example.partition(":")[0]
    if matched is None or text.partition(":")[0] != scheme or int(matched[2]) > 65_535:
        findings.complain(("scada", face, "listen"), f"'{text}' is no place to listen", f"such as {example}")
        return "127.0.0.1", 0
    return matched[1].strip("[]"), int(matched[2])


def simulation_of(simulation: SimulationSection) -> SimulationSettings:
    """Return how the simulator dresses the plant."""
    return SimulationSettings(simulation.seed, simulation.soc, simulation.grid or "", simulation.load, simulation.pv)


def batteries_of(
    sections: Mapping[str, BatterySection], cells: Mapping[str, CellType], findings: Findings
) -> dict[str, BatteryType]:
    """Return the rack types whose cell type is known."""
    return {
        name: _battery(name, section, cells[section.cell], findings)
        for name, section in sections.items()
        if section.cell in cells
    }


def _battery(name: str, section: BatterySection, cell: CellType, findings: Findings) -> BatteryType:
    cells = section.cells
    return BatteryType(
        name=name,
        cell=_sized(cell, section.capacity / cells.parallel),
        cells_in_series=cells.series,
        cells_in_parallel=cells.parallel,
        modules=cells.modules,
        temperatures=cells.modules * cells.temps_per_module,
        capacity_ah=section.capacity,
        energy_wh=section.energy,
        voltage_min_v=section.window.min * cells.series,
        voltage_max_v=section.window.max * cells.series,
        charge_current_max_a=section.current.charge,
        discharge_current_max_a=section.current.discharge,
        break_current_a=section.current.break_,
        resistance_ohm=section.resistance,
        bms_trips=_bms_trips(name, section, findings),
    )


def accepted_overdue(sections: Mapping[str, BatterySection], today: dt.date, findings: Findings) -> None:
    """Warn of every BMS trip beyond its cell that somebody accepted until a day that is past."""
    for battery, section in sections.items():
        for name, trip in section.bms_trips.items():
            if trip.accepted is not None and trip.accepted.until < today:
                loc = ("batteries", battery, "bms_trips", name, "accepted", "until")
                message = f"what {trip.accepted.by} accepted of bms_trips.{name} has expired"
                findings.warn(loc, message, "a date to come", "set the BMS, or accept it anew")


def _sized(cell: CellType, capacity_ah: float) -> CellType:
    """Return the cell type made as large as the site's cells are."""
    return cell if abs(cell.capacity_ah - capacity_ah) < 1e-9 else scaled(cell, capacity_ah)


def _bms_trips(battery: str, section: BatterySection, findings: Findings) -> tuple[BmsTrip, ...]:
    trips = []
    for name, trip in section.bms_trips.items():
        loc = ("batteries", battery, "bms_trips", name)
        if name not in BMS_TRIPS:
            hint = did_you_mean(name, BMS_TRIPS)
            findings.complain(loc, f"no BMS trip named '{name}'", one_of(BMS_TRIPS), hint, key=True)
            continue
        value = parse_quantity(trip.limit, BMS_TRIPS[name])
        if isinstance(value, Complaint):
            findings.complain((*loc, "limit"), f"bms_trips.{name} {value.message}", value.expected, value.hint)
        else:
            trips.append(BmsTrip(name, value, trip.delay))
    return tuple(trips)
