"""The site file's keys (`schema: site/v1`). What each means stands in `docs/site-language.md`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from controller.plant.model import GridFunctionPlace, InterlockKind, UnloadsContactors
from controller.plant.schema_types import (
    ApparentPower,
    Charge,
    Count,
    Current,
    Date,
    Energy,
    Flag,
    Frequency,
    Identifier,
    ListOfWords,
    Number,
    Power,
    PowerRamp,
    Ratio,
    ReactivePower,
    ReactiveRamp,
    Resistance,
    Section,
    Time,
    TimeZone,
    Voltage,
    Whole,
    Words,
    as_list,
    choice,
    schema_is,
    shorthand,
    within,
)


class SignRule(StrEnum):
    """The plant's one sign rule."""

    DISCHARGE_POSITIVE = "discharge_positive"


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


class ServiceState(StrEnum):
    """What an exception says about equipment."""

    OUT_OF_SERVICE = "out_of_service"
    LOCKED_OUT = "locked_out"


class SecurityPolicy(StrEnum):
    """OPC UA security policies by their standard names; `None` is for loopback only."""

    NONE = "None"
    BASIC256SHA256 = "Basic256Sha256"
    AES128 = "Aes128_Sha256_RsaOaep"
    AES256 = "Aes256_Sha256_RsaPss"


class RatingSection(Section):
    """What the plant is sold as, at the POI."""

    power: Annotated[Power, within("1 kW", "10 GW")]
    apparent: Annotated[ApparentPower, within("1 kVA", "10000 MVA")]
    energy: Annotated[Energy, within("1 kWh", "100 GWh")]


class PoiSection(Section):
    """The point of interconnection."""

    voltage: Annotated[Voltage, within("100 V", "1000 kV")]
    frequency: Annotated[Frequency, within("45 Hz", "65 Hz")]
    export_limit: Annotated[Power, within("0 W", "10 GW")]
    import_limit: Annotated[Power, within("0 W", "10 GW")]


class SiteSection(Section):
    """Who the site is, and its ratings."""

    id: Identifier
    name: Words
    timezone: TimeZone
    sign: Annotated[SignRule, choice(SignRule)] = SignRule.DISCHARGE_POSITIVE
    rating: RatingSection
    poi: PoiSection


class CellsSection(Section):
    """How a rack is built up."""

    series: Annotated[Count, within("1", "2000")]
    parallel: Annotated[Count, within("1", "1000")] = 1
    modules: Annotated[Count, within("1", "500")]
    temps_per_module: Annotated[Count, within("1", "100")]


class WindowSection(Section):
    """The cell voltages between which the rack maker lets a rack work."""

    min: Annotated[Voltage, within("0.5 V", "5 V")]
    max: Annotated[Voltage, within("0.5 V", "5 V")]


class RackCurrentSection(Section):
    """The rack maker's currents: continuous, and what the contactors may open under."""

    charge: Annotated[Current, within("1 A", "10 kA")]
    discharge: Annotated[Current, within("1 A", "10 kA")]
    break_: Annotated[Current, within("1 A", "100 kA")] = Field(alias="break")


class BmsTripSection(Section):
    """One of the BMS's own trips: ours are graded against it."""

    limit: Words
    delay: Annotated[Time, within("0 s", "10 min")] = 0.0


class BatterySection(Section):
    """A rack type: cells, capacity, window, currents, and what its BMS itself does."""

    cell: Identifier
    cells: CellsSection
    capacity: Annotated[Charge, within("100 mAh", "10 kAh")]
    energy: Annotated[Energy, within("10 Wh", "10 MWh")]
    window: WindowSection
    current: RackCurrentSection
    resistance: Annotated[Resistance, within("10 uohm", "10 ohm")]
    bms_trips: dict[str, Annotated[BmsTripSection, BeforeValidator(shorthand("limit"))]] = Field(default={})


class GatewaySection(Section):
    """What a connection bears: requests in flight, silence between requests, time-out."""

    in_flight: Count | None = None
    gap: Annotated[Time, within("0 s", "1 s")] | None = None
    timeout: Annotated[Time, within("1 ms", "60 s")] | None = None


PollPeriods = Annotated[dict[str, Annotated[Time, within("10 ms", "1 h")]], BeforeValidator(shorthand("fast"))]


class ServedGroup(Section):
    """Equipment that is a device itself, or is served by one of its own."""

    name: Words
    type: Identifier
    connect: Words
    gateway: GatewaySection | None = None
    poll: PollPeriods = Field(default={})


class RackGroup(Section):
    """Racks of one kind; `type` and `connect` are left out where a bank BMS serves them."""

    name: Words
    battery: Identifier
    type: Identifier | None = None
    connect: Words | None = None
    gateway: GatewaySection | None = None
    poll: PollPeriods = Field(default={})


class BankGroup(ServedGroup):
    """Bank BMSs: one device that shows many racks."""

    racks: ListOfWords


class BusGroup(Section):
    """DC buses: which racks and converters share one, and who unloads the contactors when a BMS trips."""

    name: Words
    racks: ListOfWords
    pcs: ListOfWords
    bms_stops_pcs: Annotated[UnloadsContactors, choice(UnloadsContactors)]
    current_max: Annotated[Current, within("1 A", "100 kA")] | None = None


class PcsRatingSection(Section):
    """A converter's AC rating."""

    power: Annotated[Power, within("100 W", "100 MW")]
    apparent: Annotated[ApparentPower, within("100 VA", "100 MVA")]


class PcsDcSection(Section):
    """A converter's DC window and current."""

    min: Annotated[Voltage, within("12 V", "5 kV")]
    max: Annotated[Voltage, within("12 V", "5 kV")]
    current: Annotated[Current, within("1 A", "20 kA")]


class PcsGroup(ServedGroup):
    """Converters."""

    rating: PcsRatingSection
    dc: PcsDcSection
    ac_voltage: Annotated[Voltage, within("100 V", "50 kV")]
    ramp: Annotated[PowerRamp, within("100 W/s", "10 GW/s")]
    efficiency: Annotated[Ratio, within("50 %", "100 %")]
    watchdog: Annotated[Time, within("100 ms", "1 h")] | None = None
    transformer: Words | None = None
    grid_functions: list[Annotated[GridFunction, choice(GridFunction)]] = Field(default=[])


class TransformerGroup(Section):
    """Transformers between converters and the POI."""

    name: Words
    apparent: Annotated[ApparentPower, within("1 kVA", "1000 MVA")]
    primary: Annotated[Voltage, within("100 V", "1000 kV")]
    secondary: Annotated[Voltage, within("100 V", "1000 kV")]
    no_load_loss: Annotated[Power, within("0 W", "10 MW")] = 0.0
    load_loss: Annotated[Power, within("0 W", "10 MW")] = 0.0


class InstrumentSection(Section):
    """An instrument transformer: `ratio: 600/5`, and for currents which way is positive."""

    ratio: Words
    positive: Annotated[PositiveDirection, choice(PositiveDirection)] = PositiveDirection.EXPORT


class MeterGroup(ServedGroup):
    """Meters."""

    role: Annotated[MeterPlace, choice(MeterPlace)]
    voltage: Annotated[Voltage, within("50 V", "1000 kV")]
    ct: InstrumentSection | None = None
    vt: InstrumentSection | None = None


class InterlockGroup(Section):
    """Hard-wired chains, each wired to a numbered input of a digital I/O device: `input: IO01.3`."""

    name: Words
    kind: Annotated[InterlockKind, choice(InterlockKind)]
    input: Words


class AuxiliaryGroup(Section):
    """Auxiliary loads and supplies."""

    name: Words
    power: Annotated[Power, within("0 W", "100 MW")]
    meter: Words | None = None


class ExceptionSection(Section):
    """What is different about equipment that a name or pattern picks out."""

    state: Annotated[ServiceState, choice(ServiceState)] | None = None
    reason: Words | None = None
    by: Words | None = None
    until: Date | None = None
    poll: PollPeriods = Field(default={})


class SocWindowSection(Section):
    """Between which states of charge the plant is operated."""

    min: Annotated[Ratio, within("0 %", "100 %")]
    max: Annotated[Ratio, within("0 %", "100 %")]


class LimitsSection(Section):
    """Operating limits of the plant as a whole."""

    ramp: Annotated[PowerRamp, within("100 W/s", "10 GW/s")]
    reactive_ramp: Annotated[ReactiveRamp, within("100 var/s", "10000 Mvar/s")]
    soc: SocWindowSection


class FallbackSection(Section):
    """What the plant does when its set-point has run out."""

    power: Annotated[Power, within("-10 GW", "10 GW")] = 0.0
    reactive: Annotated[ReactivePower, within("-10000 Mvar", "10000 Mvar")] = 0.0


class SetpointSection(Section):
    """How long a set-point lives, and what follows."""

    timeout: Annotated[Time, within("100 ms", "1 d")]
    timeout_max: Annotated[Time, within("100 ms", "7 d")]
    fallback: FallbackSection = FallbackSection()


class OwnerSection(Section):
    """Who may hold the set-points: all clients as one (`shared: yes`), or one at a time for a lease."""

    shared: Flag = False
    lease: Annotated[Time, within("1 s", "1 d")] = 60.0


class StartSection(Section):
    """Starting: how long a sequence may take; `automatic` lets the plant start by itself after a black-out."""

    timeout: Annotated[Time, within("1 s", "1 d")] = 120.0
    automatic: Flag = False


class StaleSection(Section):
    """What silence means, in multiples of a value's own data period."""

    uncertain_periods: Annotated[Number, within("1", "100")] = 1.5
    bad_periods: Annotated[Number, within("1", "100")] = 3.0
    zero_periods: Annotated[Number, within("1", "100")] = 5.0
    zero_min: Annotated[Time, within("1 s", "1 h")] = 5.0
    zero_where_bms_stops_pcs: Annotated[Time, within("1 s", "1 h")] = 30.0


class ControlsSection(Section):
    """How the plant is run."""

    scan: Annotated[Time, within("10 ms", "10 s")]
    limits: LimitsSection
    setpoint: SetpointSection
    owner: OwnerSection = OwnerSection()
    start: StartSection = StartSection()
    stale: StaleSection = StaleSection()
    grid_functions: dict[str, Annotated[GridFunctionPlace, choice(GridFunctionPlace)]] = Field(default={})


class SecretSection(Section):
    """A secret by its name; its value never stands in a file."""

    secret: Identifier


class OpcUaSection(Section):
    """The OPC UA server."""

    listen: Words
    security: Annotated[list[Annotated[SecurityPolicy, choice(SecurityPolicy)]], BeforeValidator(as_list)]
    anonymous: Flag = False
    users: SecretSection | None = None


class ModbusSection(Section):
    """The Modbus server."""

    listen: Words
    writers: ListOfWords = Field(default=[])
    max_connections: Count = 32


class ScadaSection(Section):
    """The north side; a face that is left out is off."""

    opcua: OpcUaSection | None = None
    modbus: ModbusSection | None = None


class SimulationSection(Section):
    """How the simulator dresses this plant; the controller never reads it."""

    seed: Whole = 1
    soc: Annotated[Ratio, within("0 %", "100 %")] = 0.5
    grid: Identifier | None = None
    load: Annotated[Power, within("0 W", "10 GW")] = 0.0
    pv: Annotated[Power, within("0 W", "10 GW")] = 0.0


class SiteFile(Section):
    """A whole site file."""

    schema_: Annotated[str, schema_is("site/v1")] = Field(alias="schema")
    site: SiteSection
    use: ListOfWords = Field(default=[])
    batteries: dict[str, BatterySection]
    racks: list[RackGroup]
    banks: list[BankGroup] = Field(default=[])
    buses: list[BusGroup]
    pcs: list[PcsGroup]
    transformers: list[TransformerGroup] = Field(default=[])
    meters: list[MeterGroup] = Field(default=[])
    interlocks: list[InterlockGroup] = Field(default=[])
    digital_io: list[ServedGroup] = Field(default=[])
    auxiliaries: list[AuxiliaryGroup] = Field(default=[])
    exceptions: dict[str, ExceptionSection] = Field(default={})
    controls: ControlsSection
    scada: ScadaSection = ScadaSection()
    simulation: SimulationSection = SimulationSection()
