"""The site file's keys (`schema: site/v1`). What each means stands in `docs/site-language.md`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controller.plant.model import GridFunctionPlace, SocSource
from controller.plant.schema.equipment import (
    AuxiliaryGroup,
    BankGroup,
    BatterySection,
    BusGroup,
    InterlockGroup,
    MeterGroup,
    PcsGroup,
    PollPeriods,
    RackGroup,
    ServedGroup,
    TransformerGroup,
)
from controller.plant.schema.schedule import ScheduleSection
from controller.plant.schema.types import (
    ApparentPower,
    Count,
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
    Section,
    Time,
    TimeZone,
    Voltage,
    Whole,
    Words,
    choice,
    one_or_list,
    schema_is,
    within,
)


class SignRule(StrEnum):
    """The plant's one sign rule."""

    DISCHARGE_POSITIVE = "discharge_positive"


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
    """Active power at the POI."""
    apparent: Annotated[ApparentPower, within("1 kVA", "10000 MVA")]
    """Apparent power at the POI."""
    energy: Annotated[Energy, within("1 kWh", "100 GWh")]
    """Energy at the POI, within the SOC window and after losses."""


class PoiSection(Section):
    """The point of interconnection."""

    voltage: Annotated[Voltage, within("100 V", "1000 kV")]
    """Nominal voltage between lines."""
    frequency: Annotated[Frequency, within("45 Hz", "65 Hz")]
    """Nominal frequency."""
    export_limit: Annotated[Power, within("0 W", "10 GW")]
    """The most that may be exported, whatever is commanded."""
    import_limit: Annotated[Power, within("0 W", "10 GW")]
    """The most that may be imported, stated positive."""


class SiteSection(Section):
    """Who the site is, and its ratings."""

    id: Identifier
    """Used in paths and names of services; never change it."""
    name: Words
    """For people."""
    timezone: TimeZone
    """Of schedules and of dates, such as Europe/Helsinki."""
    sign: Annotated[SignRule, choice(SignRule)] = SignRule.DISCHARGE_POSITIVE
    """Which way is positive; there is one answer."""
    rating: RatingSection
    """What the plant is sold as, at the POI."""
    poi: PoiSection
    """The point of interconnection."""


class ExceptionSection(Section):
    """What is different about equipment that a name or pattern picks out."""

    state: Annotated[ServiceState, choice(ServiceState)] | None = None
    """Why it takes no part; needs reason and by."""
    reason: Words | None = None
    """For people, shown with the equipment."""
    by: Words | None = None
    """Who says so."""
    until: Date | None = None
    """Last day; after it an exception has expired and a lock-out is overdue."""
    poll: PollPeriods = Field(default={})
    """Poll periods of a device of its own, as in its group."""


class SocWindowSection(Section):
    """Between which states of charge the plant is operated."""

    min: Annotated[Ratio, within("0 %", "100 %")]
    """The plant stops discharging here."""
    max: Annotated[Ratio, within("0 %", "100 %")]
    """The plant stops charging here."""


class LimitsSection(Section):
    """Operating limits of the plant as a whole."""

    ramp: Annotated[PowerRamp, within("100 W/s", "10 GW/s")]
    """Of set-points and rising limits; never of stops and falling limits."""
    reactive_ramp: Annotated[ReactiveRamp, within("100 var/s", "10000 Mvar/s")]
    """The same of reactive power."""
    poi_trim: Annotated[Ratio, within("1 %", "100 %")] = 0.5
    """Of the rating: how much unmetered load or generation the POI loop makes up for."""
    soc: SocWindowSection
    """Operating window."""


class FallbackSection(Section):
    """What the plant does when its set-point has run out."""

    power: Annotated[Power, within("-10 GW", "10 GW")] = 0.0
    """Active power, + = export."""
    reactive: Annotated[ReactivePower, within("-10000 Mvar", "10000 Mvar")] = 0.0
    """Reactive power, + = injected."""


class SetpointSection(Section):
    """How long a set-point lives, and what follows."""

    timeout: Annotated[Time, within("100 ms", "1 d")]
    """How long a set-point lives without being renewed."""
    timeout_max: Annotated[Time, within("100 ms", "7 d")]
    """The longest life that a master may ask for."""
    fallback: FallbackSection = FallbackSection()
    """What follows when it has run out."""


class OwnerSection(Section):
    """Who may hold the set-points: all clients as one (`shared: yes`), or one at a time for a lease."""

    shared: Flag = False
    """All clients count as one owner, the last accepted write counts."""
    lease: Annotated[Time, within("1 s", "1 d")] = 60.0
    """How long one owner keeps the set-points without writing."""


class StartSection(Section):
    """Starting: how long a sequence may take; `automatic` lets the plant start by itself after a black-out."""

    timeout: Annotated[Time, within("1 s", "1 d")] = 120.0
    """How long a start may take."""
    automatic: Flag = False
    """Start by itself after a black-out."""


class StaleSection(Section):
    """What silence means, in multiples of a value's own data period."""

    uncertain_periods: Annotated[Number, within("1", "100")] = 1.5
    """Periods after which a value is uncertain."""
    bad_periods: Annotated[Number, within("1", "100")] = 3.0
    """Periods after which a value is bad, and no power may rise on its bus."""
    zero_periods: Annotated[Number, within("1", "100")] = 5.0
    """Periods after which its converter goes to zero."""
    zero_min: Annotated[Time, within("1 s", "1 h")] = 5.0
    """But never sooner than this."""
    zero_where_bms_stops_pcs: Annotated[Time, within("1 s", "1 h")] = 30.0
    """And not sooner than this where the BMS itself can stop the converter."""


class ControlsSection(Section):
    """How the plant is run."""

    scan: Annotated[Time, within("10 ms", "10 s")]
    """Period of the control loop."""
    limits: LimitsSection
    """Operating limits of the plant as a whole."""
    setpoint: SetpointSection
    """How long a set-point lives, and what follows."""
    owner: OwnerSection = OwnerSection()
    """Who may hold the set-points."""
    start: StartSection = StartSection()
    """Starting."""
    soc_source: Annotated[SocSource, choice(SocSource)] = SocSource.BMS
    """Whose SOC the plant runs on: the BMS's, the estimator's, or the lower of the two; both are always shown."""
    stale: StaleSection = StaleSection()
    """What silence means, in multiples of a value's own period."""
    grid_functions: dict[str, Annotated[GridFunctionPlace, choice(GridFunctionPlace)]] = Field(default={})
    """Function: where it acts; a function that is not named is off."""


class SecretSection(Section):
    """A secret by its name; its value never stands in a file."""

    secret: Identifier
    """Its name; stored with bess secret set NAME."""


class OpcUaSection(Section):
    """The OPC UA server."""

    listen: Words
    """Such as opc.tcp://0.0.0.0:4840."""
    security: Annotated[list[Annotated[SecurityPolicy, choice(SecurityPolicy)]], one_or_list(SecurityPolicy)]
    """Policies that clients may use; None on loopback only."""
    anonymous: Flag = False
    """Let clients in without a name; on loopback only."""
    users: SecretSection | None = None
    """File of users, by its name."""


class PartyMapSection(Section):
    """A register list that a party (a utility, an integrator) brought itself."""

    party: Identifier
    """Whose list it is."""
    file: Words
    """The list, such as maps/utility.csv."""
    unit: Annotated[Count, within("100", "247")]
    """The unit number that serves it."""
    writers: ListOfWords = Field(default=[])
    """Addresses that may write to it."""


class ModbusSection(Section):
    """The Modbus server."""

    listen: Words
    """Such as tcp://0.0.0.0:502."""
    writers: ListOfWords = Field(default=[])
    """Addresses or networks that may write."""
    max_connections: Count = 32
    """Connections at a time."""
    maps: list[PartyMapSection] = Field(default=[])
    """Register lists that parties brought themselves."""


class ScadaSection(Section):
    """The north side; a face that is left out is off."""

    opcua: OpcUaSection | None = None
    """OPC UA server; left out: off."""
    modbus: ModbusSection | None = None
    """Modbus server; left out: off."""


class SimulationSection(Section):
    """How the simulator dresses this plant; the controller never reads it."""

    seed: Whole = 1
    """Of all noise."""
    soc: Annotated[Ratio, within("0 %", "100 %")] = 0.5
    """At the start."""
    grid: Identifier | None = None
    """A packaged day of grid frequency and voltage."""
    load: Annotated[Power, within("0 W", "10 GW")] = 0.0
    """Behind the POI, constant."""
    pv: Annotated[Power, within("0 W", "10 GW")] = 0.0
    """Behind the POI, constant."""


class SiteFile(Section):
    """A whole site file."""

    schema_: Annotated[str, schema_is("site/v1")] = Field(alias="schema")
    """What kind of file this is, and in which version."""
    extends: Words | None = None
    """A site file in the same folder that this one lays itself over."""
    without: ListOfWords = Field(default=[])
    """Inherited keys that this site does without."""
    site: SiteSection
    """Who the site is, and its ratings."""
    use: ListOfWords = Field(default=[])
    """The folder's other files: protections, devices, a schedule."""
    batteries: dict[str, BatterySection]
    """Rack types by name."""
    racks: list[RackGroup]
    """Racks."""
    banks: list[BankGroup] = Field(default=[])
    """Bank BMSs: one device that shows many racks."""
    buses: list[BusGroup]
    """DC buses."""
    pcs: list[PcsGroup]
    """Converters."""
    transformers: list[TransformerGroup] = Field(default=[])
    """Between converters and the POI."""
    meters: list[MeterGroup] = Field(default=[])
    """Meters."""
    interlocks: list[InterlockGroup] = Field(default=[])
    """Hard-wired chains."""
    digital_io: list[ServedGroup] = Field(default=[])
    """Devices that read hard-wired chains."""
    auxiliaries: list[AuxiliaryGroup] = Field(default=[])
    """Auxiliary loads."""
    exceptions: dict[str, ExceptionSection] = Field(default={})
    """What differs for single equipment, by name or pattern."""
    controls: ControlsSection
    """How the plant is run."""
    schedule: list[ScheduleSection] = Field(default=[])
    """What the plant does at which hour; or a file of its own under use."""
    scada: ScadaSection = ScadaSection()
    """The faces towards SCADA."""
    simulation: SimulationSection = SimulationSection()
    """Read by the simulator only."""
