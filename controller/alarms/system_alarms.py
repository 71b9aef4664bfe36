"""The fixed alarms: what the system says about itself, its devices and its people, whatever the protection table holds.

Whoever sees the condition raises it (protection, estimation through control, control, runtime); what it is called,
whom it concerns, how bad it is and what an operator does about it stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.alarms.equipment import Axis
from controller.plant.protection_rows import Level


class SystemAlarm(StrEnum):
    """Names of the fixed alarms."""

    FIRST_DATA_MISSING = "first_data_missing"
    LINK_LOST = "link_lost"
    DEVICE_LOST = "device_lost"
    FIELD_LOST = "field_lost"
    DEVICE_IDENTITY_WRONG = "device_identity_wrong"
    DEVICE_VALUES_INVALID = "device_values_invalid"
    DEVICE_RESTARTED = "device_restarted"
    WRITE_FAILED = "write_failed"
    PROTECTION_DATA_LOST = "protection_data_lost"
    PCS_DATA_LOST = "pcs_data_lost"
    BUS_AT_ZERO = "bus_at_zero"
    RACK_LIMITS_LOST = "rack_limits_lost"
    CELLS_MISSING = "cells_missing"
    INTERLOCK_UNKNOWN = "interlock_unknown"
    RACK_DOES_NOT_CONNECT = "rack_does_not_connect"
    RACK_VOLTAGE_APART = "rack_voltage_apart"
    RACK_DOES_NOT_DISCONNECT = "rack_does_not_disconnect"
    RACK_OPEN_WITH_CURRENT = "rack_open_with_current"
    RACK_OPENED_BY_ITSELF = "rack_opened_by_itself"
    BANK_OPENED_BY_ITSELF = "bank_opened_by_itself"
    RACK_LEFT_OUT = "rack_left_out"
    RACK_CURRENT_SIGN_WRONG = "rack_current_sign_wrong"
    RACK_VOLTAGE_WRONG = "rack_voltage_wrong"
    PCS_NOT_FOLLOWING = "pcs_not_following"
    PCS_READING_WRONG = "pcs_reading_wrong"
    PCS_VOLTAGE_WRONG = "pcs_voltage_wrong"
    PCS_WATCHDOG_NOT_READ_BACK = "pcs_watchdog_not_read_back"
    PCS_DOES_NOT_STOP = "pcs_does_not_stop"
    PCS_TAKES_NO_COMMAND = "pcs_takes_no_command"
    PCS_LEFT_OUT = "pcs_left_out"
    PCS_RUNS_UNASKED = "pcs_runs_unasked"
    PCS_BREAKER_REQUESTED = "pcs_breaker_requested"
    PCS_TRIPPED = "pcs_tripped_itself"
    START_FAILED = "start_failed"
    POI_MISSED = "poi_missed"
    POI_APART = "poi_apart"
    POI_UNKNOWN = "poi_unknown"
    POI_LIMIT_BROKEN = "poi_limit_broken"
    GRID_VOLTAGE_OUTSIDE = "grid_voltage_outside"
    GRID_FREQUENCY_OUTSIDE = "grid_frequency_outside"
    SETPOINT_TIMED_OUT = "setpoint_timed_out"
    SCADA_LOST = "scada_lost"
    FAST_STOP_LATCHED = "fast_stop_latched"
    LOCK_OUT_OVERDUE = "lock_out_overdue"
    OUT_OF_SERVICE_OVERDUE = "out_of_service_overdue"
    ESTIMATION_FAILED = "estimation_failed"
    SOC_DISAGREEMENT = "soc_disagreement"
    BMS_SOC_JUMPED = "bms_soc_jumped"
    CELL_TYPE_MISFIT = "cell_type_misfit"
    CELL_INTERNAL_SHORT = "cell_internal_short"
    CELL_SELF_DISCHARGE = "cell_self_discharge"
    CELL_RESISTANCE_GROWTH = "cell_resistance_growth"
    CELL_LOW_CAPACITY = "cell_low_capacity"
    CELL_LOOSE_JOINT = "cell_loose_joint"
    CELL_THERMAL = "cell_thermal"
    CELL_IMBALANCE = "cell_imbalance"
    SENSOR_STUCK = "sensor_stuck"
    SENSOR_OFFSET = "sensor_offset"
    SCAN_OVERRUN = "scan_overrun"
    FACE_RESTARTED = "face_restarted"
    JOURNAL_FAILING = "journal_failing"
    STORAGE_FULL = "storage_full"
    RETAINED_STATE_LOST = "retained_state_lost"
    RETAINED_STATE_FAILING = "retained_state_failing"
    LEARNED_STATE_FAILING = "learned_state_failing"
    CONTROL_RESTARTED = "control_restarted"
    CLOCK_UNCERTAIN = "clock_uncertain"
    RECORDING_INCOMPLETE = "recording_incomplete"


COMMUNICATION_OFF_DELAY_S = 15.0
"""So long must it be over before an alarm of lost communication returns: a link that comes and goes is one alarm.

Source: ISA-18.2, delay-off against chattering; its starting point for fast signals (flow, pressure).
"""
OF_COMMUNICATION = frozenset(
    {
        SystemAlarm.FIRST_DATA_MISSING,
        SystemAlarm.LINK_LOST,
        SystemAlarm.DEVICE_LOST,
        SystemAlarm.FIELD_LOST,
        SystemAlarm.WRITE_FAILED,
        SystemAlarm.PROTECTION_DATA_LOST,
        SystemAlarm.PCS_DATA_LOST,
        SystemAlarm.PCS_TAKES_NO_COMMAND,
        SystemAlarm.BUS_AT_ZERO,
        SystemAlarm.RACK_LIMITS_LOST,
        SystemAlarm.CELLS_MISSING,
        SystemAlarm.INTERLOCK_UNKNOWN,
        SystemAlarm.POI_UNKNOWN,
    }
)
"""What a link that comes and goes raises."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One fixed alarm: over which axis, how bad, in which words, what to do. `unit` is that of its value."""

    axis: Axis
    level: Level
    words: str
    response: str
    unit: str = ""
    latching: bool = False


def _warning(axis: Axis, words: str, response: str, unit: str = "") -> Definition:
    return Definition(axis, Level.WARNING, words, response, unit)


def _alarm(axis: Axis, words: str, response: str, unit: str = "") -> Definition:
    return Definition(axis, Level.ALARM, words, response, unit)


_CELL_WATCH = "Watch the rack; have the cell measured at the next service."
_CELL_SERVICE = "Take the rack out of service and have the cell measured."

SYSTEM_ALARMS: dict[SystemAlarm, Definition] = {
    SystemAlarm.FIRST_DATA_MISSING: _warning(
        Axis.DEVICE, "has not answered since start", "Check power, cable, address and unit; or take it out of service."
    ),
    SystemAlarm.LINK_LOST: _alarm(Axis.LINK, "connection lost", "Check the network, the gateway and its power."),
    SystemAlarm.DEVICE_LOST: _alarm(Axis.DEVICE, "does not answer", "Check the device's power and its network port."),
    SystemAlarm.FIELD_LOST: _alarm(
        Axis.PLANT,
        "no device answers",
        "Look for what they share: the field network's switch and its power, and this machine's port and cable.",
    ),
    SystemAlarm.DEVICE_IDENTITY_WRONG: _alarm(
        Axis.DEVICE, "is not the device it should be", "Compare type and serial with the site file; it gets no command."
    ),
    SystemAlarm.DEVICE_VALUES_INVALID: _warning(
        Axis.DEVICE,
        "shows values that cannot be, or none where it had some",
        "Look which of its points are bad; check the device, and scale, word order and addresses of its file.",
    ),
    SystemAlarm.DEVICE_RESTARTED: _warning(
        Axis.DEVICE, "has restarted by itself", "Its settings are verified again before it is used; find out why."
    ),
    SystemAlarm.WRITE_FAILED: _alarm(
        Axis.DEVICE, "does not take what is written", "Check remote/local switch and write permission of the device."
    ),
    SystemAlarm.PROTECTION_DATA_LOST: _alarm(
        Axis.RACK,
        "values that protection needs are lost",
        "Its bus may not raise power: restore the communication; where it answers, compare its registers with its map.",
    ),
    SystemAlarm.PCS_DATA_LOST: _alarm(
        Axis.PCS, "values that protection needs are lost", "Its bus may not raise power; restore the communication."
    ),
    SystemAlarm.BUS_AT_ZERO: Definition(
        Axis.BUS,
        Level.ALARM,
        "goes to zero power: values of its equipment stay lost",
        "Restore the communication, or take the silent rack out of service.",
    ),
    SystemAlarm.RACK_LIMITS_LOST: _alarm(
        Axis.RACK,
        "limits or SOC are not known",
        "Nothing may flow through it, so its bus is at zero: read its BMS, or disconnect the rack.",
    ),
    SystemAlarm.CELLS_MISSING: _warning(
        Axis.RACK, "cells or sensors give no value", "Check the BMS's measuring lines; the others are still protected."
    ),
    SystemAlarm.INTERLOCK_UNKNOWN: _alarm(
        Axis.INTERLOCK,
        "state is not known",
        "Its area goes to zero power and comes back with the data: restore the I/O module, look for a broken wire.",
    ),
    SystemAlarm.RACK_DOES_NOT_CONNECT: _alarm(
        Axis.RACK,
        "does not connect",
        "Check precharge, bus voltage and the BMS's release; after a fault of its contactors reset it, then connect.",
    ),
    SystemAlarm.RACK_VOLTAGE_APART: _warning(
        Axis.RACK,
        "waits to connect: its voltage is too far from its bus's",
        "It connects by itself once they are close: lower the bus's power, or balance it. Disconnect ends the wait.",
    ),
    SystemAlarm.RACK_DOES_NOT_DISCONNECT: Definition(
        Axis.RACK,
        Level.TRIP,
        "does not open: its PCS is held at zero",
        "Suspect a welded contactor: open the rack by hand, then reset it and start again.",
    ),
    SystemAlarm.RACK_OPEN_WITH_CURRENT: _alarm(
        Axis.RACK, "reports its contactors open, but current flows", "Suspect a welded contactor; open it by hand."
    ),
    SystemAlarm.RACK_OPENED_BY_ITSELF: _alarm(
        Axis.RACK, "has opened its contactors unasked", "Read its BMS for the cause; then connect it."
    ),
    SystemAlarm.BANK_OPENED_BY_ITSELF: _alarm(
        Axis.BANK,
        "has opened the contactors of all its racks unasked",
        "Read its BMS for the cause, and for how long it missed our heartbeat; then reset and start the plant again.",
    ),
    SystemAlarm.RACK_LEFT_OUT: _warning(
        Axis.RACK, "stands open while the plant runs", "Connect it, start the plant again, or take it out of service."
    ),
    SystemAlarm.RACK_CURRENT_SIGN_WRONG: _alarm(
        Axis.RACK,
        "measures a current that runs against its bus's power",
        "Its limits and SOC are wrong with it: disconnect it, then check the sensor's direction and the map's sign.",
    ),
    SystemAlarm.RACK_VOLTAGE_WRONG: _warning(
        Axis.RACK,
        "voltage does not fit its cells' voltages",
        "One of them is wrong: compare with the neighbours, then check sensors, scale and number of cells.",
    ),
    SystemAlarm.PCS_READING_WRONG: _alarm(
        Axis.PCS,
        "shows another power than its racks give",
        "It goes on by its command: check scale and sign of its power, and the racks' currents.",
    ),
    SystemAlarm.PCS_VOLTAGE_WRONG: _warning(
        Axis.PCS,
        "DC voltage does not fit its racks' voltages",
        "One of them is wrong: compare with the racks, then check the scale of the converter's map.",
    ),
    SystemAlarm.PCS_NOT_FOLLOWING: _alarm(
        Axis.PCS, "does not follow its command", "Check local mode and limits of the converter.", "W"
    ),
    SystemAlarm.PCS_WATCHDOG_NOT_READ_BACK: _alarm(
        Axis.PCS, "watchdog is not enabled as it must be", "It is not started: enable its communication time-out.", "s"
    ),
    SystemAlarm.PCS_DOES_NOT_STOP: Definition(
        Axis.PCS,
        Level.TRIP,
        "does not stop",
        "Its heartbeat is withheld so that its own watchdog acts; stop it by hand, then open its AC breaker.",
    ),
    SystemAlarm.PCS_TAKES_NO_COMMAND: _alarm(
        Axis.PCS, "takes no command", "It gets no power until it does: check remote/local switch and connection."
    ),
    SystemAlarm.PCS_LEFT_OUT: _warning(
        Axis.PCS,
        "gives nothing though the plant runs",
        "Its limit reason says why: mend that, or its own limit; where it does not run, start the plant again.",
    ),
    SystemAlarm.PCS_RUNS_UNASKED: _alarm(
        Axis.PCS, "runs though it was not asked to", "Look who started it; stop it, or start the plant."
    ),
    SystemAlarm.PCS_BREAKER_REQUESTED: Definition(
        Axis.PCS, Level.TRIP, "gives power after its stop", "Open its AC breaker now; look for its cause only then."
    ),
    SystemAlarm.PCS_TRIPPED: Definition(
        Axis.PCS,
        Level.TRIP,
        "has stopped in fault, unasked",
        "Look at grid and DC bus first: racks that their BMS opens fault it too. Then read its fault code; reset it.",
    ),
    SystemAlarm.START_FAILED: _alarm(Axis.PCS, "did not start in time", "Read its state and fault code; then start."),
    SystemAlarm.POI_MISSED: _alarm(
        Axis.PLANT,
        "POI does not reach its set-point",
        "Read the limit reason; compare unmetered load with controls.limits.poi_trim.",
    ),
    SystemAlarm.POI_APART: _alarm(
        Axis.PLANT,
        "POI meter and converters do not fit together",
        "Set-points are followed by the converters: check the meter's scale and sign, and the load of the site.",
    ),
    SystemAlarm.POI_LIMIT_BROKEN: _alarm(
        Axis.PLANT,
        "limit at the POI is not held",
        "The batteries do what they can: lower the load or the generation of the site, or have the limit changed.",
        "W",
    ),
    SystemAlarm.POI_UNKNOWN: _alarm(
        Axis.PLANT,
        "POI power is not known: set-points are followed without the meter",
        "Compare with another meter, lower the set-point if in doubt; check the meter, its link, scale and word order.",
    ),
    SystemAlarm.GRID_VOLTAGE_OUTSIDE: _alarm(
        Axis.PLANT,
        "grid voltage is outside its window",
        "The POI loop holds: ask the grid operator; check the meter's voltage transformers.",
        "V",
    ),
    SystemAlarm.GRID_FREQUENCY_OUTSIDE: _alarm(
        Axis.PLANT, "grid frequency is outside its window", "The POI loop holds: ask the grid operator.", "Hz"
    ),
    SystemAlarm.SETPOINT_TIMED_OUT: _alarm(
        Axis.PLANT, "set-point timed out: the fall-back is in effect", "Find out why the master has fallen silent."
    ),
    SystemAlarm.SCADA_LOST: _warning(
        Axis.PLANT, "SCADA has fallen silent", "Check the link to the control centre, and the master itself."
    ),
    SystemAlarm.FAST_STOP_LATCHED: _warning(
        Axis.PLANT, "fast stop is latched", "Find out who stopped the plant and why; only then reset it, and start."
    ),
    SystemAlarm.LOCK_OUT_OVERDUE: _warning(
        Axis.RACK, "lock-out is past its date", "Ask its holder; only the holder removes it."
    ),
    SystemAlarm.OUT_OF_SERVICE_OVERDUE: _warning(
        Axis.RACK, "is out of service past its date", "Return it to service, or set a new date."
    ),
    SystemAlarm.ESTIMATION_FAILED: _alarm(
        Axis.PLANT, "estimation failed: the last estimates grow old", "Protection runs on; send a support bundle."
    ),
    SystemAlarm.SOC_DISAGREEMENT: _warning(
        Axis.RACK, "SOC of the BMS lies outside our bounds", "Plan a full charge to let the BMS find itself.", "ratio"
    ),
    SystemAlarm.CELL_INTERNAL_SHORT: _alarm(
        Axis.RACK, "internal short suspected", "Take the rack out of service at once; do not charge it.", "ohm"
    ),
    SystemAlarm.BMS_SOC_JUMPED: _warning(
        Axis.RACK,
        "the BMS has set its state of charge anew",
        "Recorded, not followed; compare with the estimate's bounds before relying on either.",
    ),
    SystemAlarm.CELL_TYPE_MISFIT: _warning(
        Axis.RACK,
        "measurements do not fit the cell type",
        "Compare cell file, capacity and the current's scale with the rack; its SOC is uncertain until they fit.",
        "V",
    ),
    SystemAlarm.CELL_SELF_DISCHARGE: _warning(Axis.RACK, "self-discharge is high", _CELL_WATCH, "ohm"),
    SystemAlarm.CELL_RESISTANCE_GROWTH: _warning(Axis.RACK, "resistance has grown", _CELL_WATCH, "ohm"),
    SystemAlarm.CELL_LOW_CAPACITY: _warning(Axis.RACK, "capacity is low", _CELL_WATCH, "Ah"),
    SystemAlarm.CELL_LOOSE_JOINT: _alarm(Axis.RACK, "a joint is loose", _CELL_SERVICE, "ohm"),
    SystemAlarm.CELL_THERMAL: _alarm(Axis.RACK, "heats more than use explains", _CELL_SERVICE, "degC"),
    SystemAlarm.CELL_IMBALANCE: _warning(Axis.RACK, "cells are out of balance", "Plan a full charge.", "ratio"),
    SystemAlarm.SENSOR_STUCK: _warning(Axis.RACK, "a sensor is stuck", "Have the sensor checked."),
    SystemAlarm.SENSOR_OFFSET: _warning(Axis.RACK, "a sensor is off", "Have the sensor checked."),
    SystemAlarm.SCAN_OVERRUN: _alarm(
        Axis.PLANT, "scan overruns its period", "Look for other load on the machine, then lengthen the scan.", "s"
    ),
    SystemAlarm.FACE_RESTARTED: _warning(Axis.FACE, "face was restarted", "If it recurs, send a support bundle."),
    SystemAlarm.JOURNAL_FAILING: _alarm(
        Axis.PLANT, "journal is not written", "Check the disk: events are shown but not kept."
    ),
    SystemAlarm.STORAGE_FULL: _warning(Axis.PLANT, "storage is nearly full", "Free disk space.", "ratio"),
    SystemAlarm.RETAINED_STATE_LOST: _alarm(
        Axis.PLANT,
        "retained state could not be used",
        "Compare trips, lock-outs and limits with the journal; set them anew, then reset the fast stop if one holds.",
    ),
    SystemAlarm.RETAINED_STATE_FAILING: _alarm(
        Axis.PLANT,
        "retained state is not written",
        "Free or mend the disk: until then nothing is reset, unlocked, raised or started; stops and limits hold.",
    ),
    SystemAlarm.LEARNED_STATE_FAILING: _warning(
        Axis.PLANT, "estimates are not kept", "Check the disk: a restart would begin from older estimates."
    ),
    SystemAlarm.CONTROL_RESTARTED: _alarm(
        Axis.PLANT,
        "the controller restarted without having been stopped",
        "The plant stands at zero as it was found: write its set-point anew; if it recurs, send a support bundle.",
    ),
    SystemAlarm.CLOCK_UNCERTAIN: _warning(Axis.PLANT, "clock is not synchronised", "Check NTP or PTP."),
    SystemAlarm.RECORDING_INCOMPLETE: _warning(
        Axis.PLANT, "recording lacks scans", "Free disk space, or record to a faster disk."
    ),
}
