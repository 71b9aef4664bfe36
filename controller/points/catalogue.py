"""What is shown of each kind of equipment: point names, the quantity behind each, and the unit people see it in.

One line a point. The quantity decides the stored type; the face unit decides scaling (base units inside, kW or MW at
the faces). A name that ends in `Text` is the rendered form of a code. `action` is the command that a write or a call
becomes (`controller.control.commands.Action`).
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.plant.signals import Owner

FACE_FACTORS = {
    "": 1.0,
    "MW": 1e-6,
    "MVAr": 1e-6,
    "MVA": 1e-6,
    "MWh": 1e-6,
    "kV": 1e-3,
    "Hz": 1.0,
    "%": 100.0,
    "kW": 1e-3,
    "kvar": 1e-3,
    "kWh": 1e-3,
    "A": 1.0,
    "V": 1.0,
    "degC": 1.0,
    "s": 1.0,
    "ohm": 1.0,
    "Ah": 1.0,
    "d": 1.0,
}
"""Face value = base value * factor."""


@dataclass(frozen=True, slots=True)
class PointTemplate:
    """One point of a kind of equipment. `action` empty: read only."""

    name: str
    quantity: str
    unit: str
    description: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class MethodTemplate:
    """One method of a kind of equipment. `argument` names its single text argument, empty: none."""

    name: str
    action: str
    description: str
    argument: str = ""


def _point(name: str, quantity: str, unit: str, description: str, action: str = "") -> PointTemplate:
    return PointTemplate(name, quantity, unit, description, action)


_PLANT = (
    _point("ActivePower", "plant.active_power", "MW", "active power at the POI, + = export"),
    _point("ReactivePower", "plant.reactive_power", "MVAr", "reactive power at the POI, + = injected"),
    _point("ApparentPower", "plant.apparent_power", "MVA", "apparent power at the POI"),
    _point("PowerFactor", "plant.power_factor", "", "power factor at the POI, P/S with the sign of P"),
    _point("Frequency", "plant.frequency", "Hz", "frequency at the POI"),
    _point("Voltage", "plant.voltage", "kV", "line-to-line voltage at the POI"),
    _point("PcsPower", "plant.pcs_power", "MW", "sum of the converters' active power"),
    _point("AuxPower", "plant.auxiliary_power", "MW", "power of the auxiliaries"),
    _point("EnergyOut", "plant.energy_out", "MWh", "energy exported, the meter's register"),
    _point("EnergyIn", "plant.energy_in", "MWh", "energy imported, the meter's register"),
    _point("AvailableDischargePower", "plant.discharge_power_available", "MW", "discharge power available now"),
    _point("AvailableChargePower", "plant.charge_power_available", "MW", "charge power available now"),
    _point("SustainedDischargePower15", "plant.discharge_power_sustained_15min", "MW", "discharge power for 15 min"),
    _point("SustainedChargePower15", "plant.charge_power_sustained_15min", "MW", "charge power for 15 min"),
    _point("SustainedDischargePower60", "plant.discharge_power_sustained_60min", "MW", "discharge power for 60 min"),
    _point("SustainedChargePower60", "plant.charge_power_sustained_60min", "MW", "charge power for 60 min"),
    _point("EnergyToDischarge", "plant.energy_to_discharge", "MWh", "energy to discharge, at the POI"),
    _point("EnergyToCharge", "plant.energy_to_charge", "MWh", "energy to charge, at the POI"),
    _point("SoC", "plant.soc", "%", "state of charge of the connected energy"),
    _point("SoCInstalled", "plant.soc_installed", "%", "state of charge of the installed energy"),
    _point("SoH", "plant.soh", "%", "state of health of the installed energy"),
    _point("RacksInstalled", "plant.racks_installed", "", "racks installed"),
    _point("RacksConnected", "plant.racks_connected", "", "racks with closed contactors"),
    _point("RacksAvailable", "plant.racks_available", "", "racks that could carry current"),
    _point("State", "plant.operating_state", "", "operating state of the plant"),
    _point("Mode", "plant.mode", "", "operating mode"),
    _point("ControlOwner", "plant.control_owner", "", "who owns the set-points"),
    _point("Tripped", "plant.tripped", "", "a trip of the plant, a block or a converter is latched"),
    _point("LimitReason", "plant.limit_reason", "", "what binds the set-point now"),
    _point("LimitReasonText", "plant.limit_cause", "", "what binds the set-point now, in words"),
    _point("ActiveAlarms", "plant.active_alarms", "", "alarms active"),
    _point("UnacknowledgedAlarms", "plant.unacknowledged_alarms", "", "alarms not acknowledged"),
    _point("AlarmPriority", "plant.alarm_priority", "", "highest priority of an active alarm: 0 none, 1 high"),
    _point("ActiveAlarmText", "plant.alarm_changes", "", "the alarm to look at first, in words"),
    _point("AlarmList", "plant.alarm_changes", "", "alarms active or not acknowledged, the first to look at first"),
    _point("Heartbeat", "plant.heartbeat", "", "advances with each complete scan"),
    _point("MapVersion", "plant.map_version", "", "changes when the point map changes"),
    _point("TimeQuality", "plant.time_quality", "", "UTC clock: 0 unknown, 1 synchronised, 2 not synchronised"),
    _point("ActivePowerSetpoint", "plant.active_power_setpoint", "MW", "active power asked for", "set_active_power"),
    _point(
        "ReactivePowerSetpoint",
        "plant.reactive_power_setpoint",
        "MVAr",
        "reactive power asked for",
        "set_reactive_power",
    ),
    _point(
        "ScadaHeartbeat",
        "plant.scada_heartbeat",
        "",
        "written by the master that owns the set-points",
        "scada_heartbeat",
    ),
    _point("ExportLimit", "plant.export_limit", "MW", "most power that may be exported", "set_export_limit"),
    _point("ImportLimit", "plant.import_limit", "MW", "most power that may be imported", "set_import_limit"),
    _point("ActivePowerAccepted", "plant.active_power_accepted", "MW", "active power set-point accepted"),
    _point("ActivePowerInEffect", "plant.active_power_in_effect", "MW", "active power set-point after ramp and limits"),
    _point("ReactivePowerAccepted", "plant.reactive_power_accepted", "MVAr", "reactive power set-point accepted"),
    _point(
        "ReactivePowerInEffect", "plant.reactive_power_in_effect", "MVAr", "reactive set-point after ramp and limits"
    ),
    _point("SetpointSource", "plant.setpoint_source", "", "where the set-point in effect comes from"),
    _point("SetpointRemaining", "plant.setpoint_remaining", "s", "time until the set-point runs out"),
)

_BLOCK = (
    _point("ActivePower", "block.active_power", "MW", "sum of the block's converters, + = discharge"),
    _point("SoC", "block.soc", "%", "state of charge of the block's connected energy"),
    _point("State", "block.operating_state", "", "operating state of the block"),
    _point("RacksConnected", "block.racks_connected", "", "racks with closed contactors"),
)

_PCS = (
    _point("ActivePower", "pcs.active_power", "kW", "AC active power, + = discharge"),
    _point("ReactivePower", "pcs.reactive_power", "kvar", "AC reactive power, + = injected"),
    _point("DcVoltage", "pcs.dc_voltage", "V", "DC-link voltage"),
    _point("DcCurrent", "pcs.dc_current", "A", "DC current, + = discharge"),
    _point("State", "pcs.operating_state", "", "operating state of the converter"),
    _point("ActivePowerCommand", "pcs.active_power_command", "kW", "active power commanded"),
    _point("Available", "pcs.available", "", "the converter can be run"),
    _point("LimitReasonText", "pcs.limit_cause", "", "what bounds the power of this converter now, in words"),
    _point("AlarmPriority", "pcs.alarm_priority", "", "highest priority of an active alarm: 0 none, 1 high"),
)

_SOC_BINS = ("to 10 %", "10 to 25 %", "25 to 50 %", "50 to 75 %", "75 to 90 %", "from 90 %")
_TEMPERATURE_BINS = ("below 0", "0 to 10", "10 to 25", "25 to 35", "35 to 45", "from 45")

_WARRANTY = (
    _point("ChargeOut", "rack.charge_out", "Ah", "charge discharged since the counters began"),
    _point("ChargeIn", "rack.charge_in", "Ah", "charge taken since the counters began"),
    _point("EnergyOut", "rack.energy_out", "kWh", "energy discharged at the rack's terminals"),
    _point("EnergyIn", "rack.energy_in", "kWh", "energy taken at the rack's terminals"),
    _point("FullCycles", "rack.full_cycles", "", "equivalent full cycles of the nameplate, from charge in and out"),
    _point("FullCyclesBms", "rack.full_cycles_bms", "", "equivalent full cycles, from the BMS's state of charge"),
    _point("UncountedTime", "rack.uncounted_time", "s", "time in which charge and energy were not counted"),
    *(_point(f"TimeAtSoC{k}", f"rack.time_at_soc_{k}", "s", f"time at our SOC {b}") for k, b in enumerate(_SOC_BINS)),
    *(
        _point(f"TimeAtSoCBms{k}", f"rack.time_at_soc_bms_{k}", "s", f"time at the BMS's SOC {b}")
        for k, b in enumerate(_SOC_BINS)
    ),
    *(
        _point(f"TimeAtTemperature{k}", f"rack.time_at_temperature_{k}", "s", f"time with the mean cell {b} degC")
        for k, b in enumerate(_TEMPERATURE_BINS)
    ),
)

_POWERS = tuple(
    _point(f"{way}Power{shown}", f"rack.{way.lower()}_power_{shown.lower()}", "kW", f"{way.lower()} power for {words}")
    for shown, words in (("2s", "2 s"), ("10s", "10 s"), ("30s", "30 s"), ("15min", "15 min"))
    for way in ("Discharge", "Charge")
)

_RACK = (
    _point("State", "rack.operating_state", "", "operating state of the rack"),
    _point("SoC", "rack.soc_estimate", "%", "state of charge in use"),
    _point("SoCLow", "rack.soc_low", "%", "lower 95 % bound of the state of charge"),
    _point("SoCHigh", "rack.soc_high", "%", "upper 95 % bound of the state of charge"),
    _point("SoCEstimator", "rack.soc_estimator", "%", "state of charge that the estimator states, whichever is in use"),
    _point("SoCBms", "rack.soc", "%", "state of charge that the BMS states"),
    _point("AnchorAge", "rack.anchor_age", "s", "time since the state of charge was last anchored"),
    _point("SoH", "rack.soh_estimate", "%", "state of health in use"),
    _point("SoHLow", "rack.soh_low", "%", "lower 95 % bound of the state of health"),
    _point("SoHHigh", "rack.soh_high", "%", "upper 95 % bound of the state of health"),
    _point("SoHResistance", "rack.soh_resistance", "%", "resistance of a new cell over the mean cell's, at 25 degC"),
    _point("SoHResistanceLow", "rack.soh_resistance_low", "%", "lower 95 % bound of the resistance's health"),
    _point("SoHResistanceHigh", "rack.soh_resistance_high", "%", "upper 95 % bound of the resistance's health"),
    _point("EnergyToEmpty", "rack.energy_to_empty", "kWh", "energy until the first cell is empty, at the rack, at C/5"),
    _point("EnergyToFull", "rack.energy_to_full", "kWh", "energy until the first cell is full, at the rack, at C/5"),
    *_POWERS,
    _point("RemainingLifeLow", "rack.remaining_life_low", "d", "lower 95 % bound of the days to the end of life"),
    _point("RemainingLifeHigh", "rack.remaining_life_high", "d", "upper 95 % bound of the days to the end of life"),
    _point(
        "CurrentGainError", "rack.current_gain_error", "%", "gain error of the current sensor against the converters"
    ),
    _point("CurrentGainErrorLow", "rack.current_gain_error_low", "%", "lower 95 % bound of the current's gain error"),
    _point("CurrentGainErrorHigh", "rack.current_gain_error_high", "%", "upper 95 % bound of the current's gain error"),
    _point("Voltage", "rack.voltage", "V", "rack voltage"),
    _point("Current", "rack.current", "A", "rack current, + = discharge"),
    _point("Power", "rack.power", "kW", "rack power, + = discharge"),
    _point("CellVoltageMin", "rack.cell_voltage_min", "V", "lowest cell voltage"),
    _point("CellVoltageMax", "rack.cell_voltage_max", "V", "highest cell voltage"),
    _point("CellTemperatureMin", "rack.cell_temperature_min", "degC", "lowest cell temperature"),
    _point("CellTemperatureMax", "rack.cell_temperature_max", "degC", "highest cell temperature"),
    _point("CoreTemperatureMax", "rack.core_temperature", "degC", "hottest core of a cell, estimated"),
    _point("ChargeCurrentLimit", "rack.charge_current_limit", "A", "charge current that the BMS allows"),
    _point("DischargeCurrentLimit", "rack.discharge_current_limit", "A", "discharge current that the BMS allows"),
    _point("ContactorClosed", "rack.contactor_closed", "", "the rack's contactors are closed"),
    _point("Tripped", "rack.any_trip", "", "the BMS or the controller has tripped the rack"),
    _point("TripCause", "rack.trip_cause", "", "the protection row that tripped it, 0 = none"),
    _point("CellVoltages", "cell.voltage", "V", "cell voltages, one array"),
    _point("CellTemperatures", "cell.temperature", "degC", "cell temperatures, one array"),
    _point("DataAge", "rack.data_age", "s", "age of the oldest fast value of the rack"),
    _point("AlarmPriority", "rack.alarm_priority", "", "highest priority of an active alarm: 0 none, 1 high"),
    *_WARRANTY,
)

POINTS: dict[Owner, tuple[PointTemplate, ...]] = {
    Owner.PLANT: _PLANT,
    Owner.BLOCK: _BLOCK,
    Owner.PCS: _PCS,
    Owner.RACK: _RACK,
    Owner.METER: (
        _point("ActivePower", "meter.active_power", "MW", "active power, + = export"),
        _point("ReactivePower", "meter.reactive_power", "MVAr", "reactive power, + = injected"),
        _point("Frequency", "meter.frequency", "Hz", "frequency"),
        _point("Voltage", "meter.voltage", "kV", "line-to-line voltage"),
        _point("EnergyOut", "meter.energy_out", "MWh", "energy exported"),
        _point("EnergyIn", "meter.energy_in", "MWh", "energy imported"),
    ),
    Owner.INTERLOCK: (_point("Healthy", "interlock.healthy", "", "the hard-wired chain is closed"),),
}

METHODS: dict[Owner, tuple[MethodTemplate, ...]] = {
    Owner.PLANT: (
        MethodTemplate("Start", "start", "connect racks, start converters, stand ready at 0 MW"),
        MethodTemplate("Stop", "stop", "ramp to zero, stop converters; contactors stay as they are"),
        MethodTemplate("FastStop", "fast_stop", "zero power at once, stop converters, latch"),
        MethodTemplate("ResetTrips", "reset_trips", "reset every latched trip whose cause is gone"),
        MethodTemplate("AcknowledgeAlarms", "acknowledge_alarms", "acknowledge all alarms"),
        MethodTemplate("TakeControl", "take_control", "take the ownership of the set-points"),
    ),
    Owner.RACK: (
        MethodTemplate("Connect", "connect", "ask the BMS to connect the rack"),
        MethodTemplate("Disconnect", "disconnect", "unload the rack and ask the BMS to disconnect it"),
        MethodTemplate("ResetTrip", "reset_trip", "reset this rack's trip if its cause is gone"),
        MethodTemplate("LockOut", "lock_out", "keep the rack disconnected until the holder removes it", "reason"),
        MethodTemplate("RemoveLockOut", "remove_lock_out", "remove the caller's own lock-out"),
    ),
}
