"""The conditions that control raises for the alarm room, in one place: name, whose it is, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.plant.signals import Owner


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: a yes/no per equipment of its owner."""

    name: str
    owner: Owner
    description: str


_ALL = (
    Condition("rack.connect_failed", Owner.RACK, "the BMS did not connect the rack in time"),
    Condition("rack.disconnect_failed", Owner.RACK, "the rack does not open; its converters are stopped"),
    Condition("rack.voltage_apart", Owner.RACK, "rack and bus are too far apart to connect"),
    Condition("rack.opened_by_itself", Owner.RACK, "the contactors opened without our request"),
    Condition(
        "bank.opened_by_itself", Owner.BANK, "the contactors of all racks of the bank opened without our request"
    ),
    Condition("rack.left_out", Owner.RACK, "the plant runs, the rack stands open, and nobody asked for that"),
    Condition("rack.limits_lost", Owner.RACK, "limits or SOC unknown beyond the grace time: nothing allowed"),
    Condition("rack.open_with_current", Owner.RACK, "contactors reported open, but current flows"),
    Condition("rack.current_sign_wrong", Owner.RACK, "its current runs against its bus's power"),
    Condition("rack.voltage_wrong", Owner.RACK, "its voltage does not fit its cells' voltages"),
    Condition("bus.circulating_current", Owner.BUS, "racks of the bus drive current through one another"),
    Condition("pcs.power_excess", Owner.PCS, "more power than commanded, wrong sign, or power at zero"),
    Condition("pcs.breaker_request", Owner.PCS, "power goes on after the stop: open the AC breaker"),
    Condition("pcs.limits_itself", Owner.PCS, "the converter delivers less than commanded"),
    Condition("pcs.reading_wrong", Owner.PCS, "it shows another power than it was commanded, its racks give that"),
    Condition("pcs.not_armed", Owner.PCS, "its own watchdog is not read back as enabled"),
    Condition("pcs.start_failed", Owner.PCS, "the converter did not start in time"),
    Condition("pcs.stop_failed", Owner.PCS, "the converter does not stop; its heartbeat is withheld"),
    Condition("pcs.stopped_by_itself", Owner.PCS, "the converter stopped without our request"),
    Condition("pcs.voltage_wrong", Owner.PCS, "its DC voltage does not fit its racks' voltages"),
    Condition("pcs.left_out", Owner.PCS, "the plant runs, and this converter does not or allows no power itself"),
    Condition("pcs.runs_unasked", Owner.PCS, "the converter runs though it was not asked to"),
    Condition("pcs.write_failed", Owner.PCS, "the converter did not take a command, twice"),
    Condition("plant.setpoint_ran_out", Owner.PLANT, "the set-point was not renewed; fall-back in effect"),
    Condition("plant.scada_silent", Owner.PLANT, "a master's heartbeat came, and stands still"),
    Condition("plant.fast_stop", Owner.PLANT, "fast stop is latched"),
    Condition("plant.poi_loop_frozen", Owner.PLANT, "the POI loop holds: stale meter, open breaker or disturbed grid"),
    Condition("plant.poi_missed", Owner.PLANT, "the POI meter does not show what is in effect"),
    Condition("plant.poi_apart", Owner.PLANT, "the POI meter does not fit what the converters do"),
    Condition("plant.poi_limit_broken", Owner.PLANT, "the POI meter shows more than the export or import limit"),
    Condition("plant.poi_unknown", Owner.PLANT, "the POI meter tells no power: set-points are followed without it"),
    Condition("plant.grid_voltage", Owner.PLANT, "the grid's voltage lies outside its window"),
    Condition("plant.grid_frequency", Owner.PLANT, "the grid's frequency lies outside its window"),
    Condition("plant.start_incomplete", Owner.PLANT, "not every rack and converter that was asked has started"),
)

CONDITIONS: Mapping[str, Condition] = {c.name: c for c in _ALL}
