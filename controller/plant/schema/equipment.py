"""The site file's keys that describe equipment: batteries, racks, banks, buses, converters, meters and the rest."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controller.plant.model import InterlockKind, UnloadsContactors
from controller.plant.schema.types import (
    ApparentPower,
    Charge,
    Count,
    Current,
    Date,
    Energy,
    Identifier,
    ListOfWords,
    Power,
    PowerRamp,
    Ratio,
    Resistance,
    Section,
    Time,
    Voltage,
    Words,
    choice,
    shorthand,
    within,
)


class MeterPlace(StrEnum):
    """What a meter measures, as the site file says it."""

    POI = "poi"
    REVENUE = "revenue"
    AUXILIARY = "auxiliary"
    FEEDER = "feeder"


class PositiveDirection(StrEnum):
    """Which way a current transformer or a meter counts as positive."""

    EXPORT = "export"
    IMPORT = "import"


class GridFunction(StrEnum):
    """Functions that answer to the grid; each acts at one place only."""

    FREQUENCY_DROOP = "frequency_droop"
    FAST_FREQUENCY = "fast_frequency"
    VOLT_VAR = "volt_var"
    VOLT_WATT = "volt_watt"
    WATT_VAR = "watt_var"
    POWER_FACTOR = "power_factor"
    ENTER_SERVICE = "enter_service"


class CellsSection(Section):
    """How a rack is built up."""

    series: Annotated[Count, within("1", "2000")]
    """Cells in series in a rack."""
    parallel: Annotated[Count, within("1", "1000")] = 1
    """Cells side by side at each place of the series."""
    modules: Annotated[Count, within("1", "500")]
    """Modules that the series is divided into evenly."""
    temps_per_module: Annotated[Count, within("1", "100")]
    """Temperature sensors in a module."""


class WindowSection(Section):
    """The cell voltages between which the rack maker lets a rack work."""

    min: Annotated[Voltage, within("0.5 V", "5 V")]
    """Lowest voltage of a cell."""
    max: Annotated[Voltage, within("0.5 V", "5 V")]
    """Highest voltage of a cell."""


class RackCurrentSection(Section):
    """The rack maker's currents: continuous, and what the contactors may open under."""

    charge: Annotated[Current, within("1 A", "10 kA")]
    """Continuous charging current."""
    discharge: Annotated[Current, within("1 A", "10 kA")]
    """Continuous discharging current."""
    break_: Annotated[Current, within("1 A", "100 kA")] = Field(alias="break")
    """The most that the contactors may open under."""


class AcceptedSection(Section):
    """That something is as it is, and who answers for it until when."""

    reason: Words
    """For people: why it is borne."""
    by: Words
    """Who says so."""
    until: Date
    """Last day; after it the warning is back."""


class BmsTripSection(Section):
    """One of the BMS's own trips: ours are graded against it."""

    limit: Words
    """In the unit of the row that it is compared with: V, degC or A."""
    delay: Annotated[Time, within("0 s", "10 min")] = 0.0
    """How long it is exceeded before the BMS acts."""
    accepted: AcceptedSection | None = None
    """Said where the BMS really trips only beyond what its cell bears, and nobody can set it otherwise."""


class BatterySection(Section):
    """A rack type: cells, capacity, window, currents, and what its BMS itself does."""

    cell: Identifier
    """A cell type of the library, or a file such as cells/mine.yaml."""
    cells: CellsSection
    """How a rack is built up."""
    capacity: Annotated[Charge, within("100 mAh", "10 kAh")]
    """Of a rack, new; the cell type is scaled to it."""
    energy: Annotated[Energy, within("10 Wh", "10 MWh")]
    """Of a rack, new."""
    window: WindowSection
    """Per cell, between which the rack maker lets a rack work."""
    current: RackCurrentSection
    """The rack maker's currents."""
    resistance: Annotated[Resistance, within("10 uohm", "10 ohm")]
    """Of a whole rack, busbars included."""
    bms_trips: dict[str, Annotated[BmsTripSection, shorthand("limit", BmsTripSection, Words)]] = Field(default={})
    """The BMS's own trips, by the name of the protection row that is graded against each."""


class GatewaySection(Section):
    """What a connection bears: requests in flight, silence between requests, time-out."""

    in_flight: Annotated[Count, within("1", "64")] | None = None
    """Requests at a time."""
    gap: Annotated[Time, within("0 s", "1 s")] | None = None
    """Silence between requests."""
    timeout: Annotated[Time, within("1 ms", "60 s")] | None = None
    """How long an answer may take."""


_Period = Annotated[Time, within("10 ms", "1 h")]
PollPeriods = Annotated[dict[str, _Period], shorthand("fast", dict[str, _Period], _Period)]


class ServedGroup(Section):
    """Equipment that is a device itself, or is served by one of its own."""

    name: Words
    """Name with axes."""
    type: Identifier
    """Device type: a library file or a file under use."""
    connect: Words
    """"tcp://HOST:PORT?unit=N" or "serial:///dev/ttyS0?baud=19200&parity=even&stop=1&unit=N"."""
    gateway: GatewaySection | None = None
    """What the connection bears, where it differs from the device file."""
    poll: PollPeriods = Field(default={})
    """Periods that differ from the device file's: by block, or one for the block fast."""


class RackGroup(Section):
    """Racks of one kind; `type` and `connect` are left out where a bank BMS serves them."""

    name: Words
    """Name with axes."""
    battery: Identifier
    """Which of the batteries."""
    type: Identifier | None = None
    """Device type, unless a bank serves the rack."""
    connect: Words | None = None
    """Connection, unless a bank serves the rack."""
    gateway: GatewaySection | None = None
    """What the connection bears, where it differs from the device file."""
    poll: PollPeriods = Field(default={})
    """Periods that differ from the device file's: by block, or one for the block fast."""


class BankGroup(ServedGroup):
    """Bank BMSs: one device that shows many racks."""

    racks: ListOfWords
    """The racks that it shows, in the order of the device's blocks."""


class BusGroup(Section):
    """DC buses: which racks and converters share one, and who unloads the contactors when a BMS trips."""

    name: Words
    """Name with axes."""
    racks: ListOfWords
    """Racks on this bus; every rack is on one."""
    pcs: ListOfWords
    """Converters on this bus; every converter is on one."""
    bms_stops_pcs: Annotated[UnloadsContactors, choice(UnloadsContactors)]
    """Who takes the current away when a BMS trips."""
    current_max: Annotated[Current, within("1 A", "100 kA")] | None = None
    """The most that the bus bears."""


class PcsRatingSection(Section):
    """A converter's AC rating."""

    power: Annotated[Power, within("100 W", "100 MW")]
    """Active power."""
    apparent: Annotated[ApparentPower, within("100 VA", "100 MVA")]
    """Apparent power."""


class PcsDcSection(Section):
    """A converter's DC window and current."""

    min: Annotated[Voltage, within("12 V", "5 kV")]
    """Lowest DC voltage that it works at."""
    max: Annotated[Voltage, within("12 V", "5 kV")]
    """Highest DC voltage that it works at."""
    current: Annotated[Current, within("1 A", "20 kA")]
    """The most it carries on the DC side."""


class PcsGroup(ServedGroup):
    """Converters."""

    rating: PcsRatingSection
    """AC rating."""
    dc: PcsDcSection
    """DC window and current."""
    ac_voltage: Annotated[Voltage, within("100 V", "50 kV")]
    """Nominal voltage between lines."""
    ramp: Annotated[PowerRamp, within("100 W/s", "10 GW/s")]
    """How fast its power changes."""
    efficiency: Annotated[Ratio, within("80 %", "100 %")]
    """At rated power, one way."""
    watchdog: Annotated[Time, within("100 ms", "1 h")] | None = None
    """Its communication time-out, where it differs from the device file's."""
    transformer: Words | None = None
    """The transformer that it feeds; without one it is directly at the POI."""
    grid_functions: list[Annotated[GridFunction, choice(GridFunction)]] = Field(default=[])
    """Functions that are armed in the converter itself."""


class TransformerGroup(Section):
    """Transformers between converters and the POI."""

    name: Words
    """Name with axes."""
    apparent: Annotated[ApparentPower, within("1 kVA", "1000 MVA")]
    """Rating."""
    primary: Annotated[Voltage, within("100 V", "1000 kV")]
    """Voltage towards the POI."""
    secondary: Annotated[Voltage, within("100 V", "1000 kV")]
    """Voltage towards the converters."""
    no_load_loss: Annotated[Power, within("0 W", "10 MW")] = 0.0
    """Whenever it is energised."""
    load_loss: Annotated[Power, within("0 W", "10 MW")] = 0.0
    """At rated apparent power, without the no-load loss."""


class VoltageTransformerSection(Section):
    """A voltage transformer: `ratio: 33000/110`."""

    ratio: Words
    """Primary/secondary as on its plate; the meter is set to it and shows primary values."""


class CurrentTransformerSection(VoltageTransformerSection):
    """A current transformer: `ratio: 600/5`, and which way the meter then counts as positive."""

    positive: Annotated[PositiveDirection, choice(PositiveDirection)] = PositiveDirection.EXPORT
    """Which way the meter counts as positive; import turns its powers and energies round."""


class MeterGroup(ServedGroup):
    """Meters."""

    role: Annotated[MeterPlace, choice(MeterPlace)]
    """What it measures."""
    voltage: Annotated[Voltage, within("50 V", "1000 kV")]
    """Nominal voltage where it measures."""
    ct: CurrentTransformerSection | None = None
    """Current transformer."""
    vt: VoltageTransformerSection | None = None
    """Voltage transformer."""


class InterlockGroup(Section):
    """Hard-wired chains, each wired to a numbered input of a digital I/O device: `input: IO01.3`."""

    name: Words
    """Name with axes."""
    kind: Annotated[InterlockKind, choice(InterlockKind)]
    """What opens the chain."""
    input: Words
    """Device and number of the input, such as IO01.3."""


class AuxiliaryGroup(Section):
    """Auxiliary loads and supplies."""

    name: Words
    """Name with axes."""
    power: Annotated[Power, within("0 W", "100 MW")]
    """At rest."""
    meter: Words | None = None
    """The meter that counts it."""
