"""The plant: a frozen graph of equipment and the devices that serve it.

Equipment: grid > POI > transformer > PCS > DC bus > rack > module > cell, with meters, auxiliaries and hard-wired
interlocks where they stand. A *device* is an endpoint: one may serve many equipments (a bank BMS shows a container's
racks), one equipment may need several. Relations are indices into the tuples of `Plant`, so that the same numbers
index the arrays of the process image. Base units inside; sign: + = discharge/export.

Built once by the site loader and never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.plant.cell_types import CellType
from controller.plant.device_types import ContactorControl, DeviceType
from controller.plant.protection_rows import ProtectionRow
from controller.plant.schedule import ScheduleEntry
from controller.plant.signals import Owner


class UnloadsContactors(StrEnum):
    """Who takes the current away when the BMS trips: decides how long lost rack data may keep a PCS running."""

    HARDWIRED = "hardwired"
    CAN = "can"
    CONTROLLER_ONLY = "controller_only"


class GridFunctionPlace(StrEnum):
    """Where a grid function acts; armed in two places is an error of the site file."""

    POI = "poi"
    PCS = "pcs"
    OFF = "off"


class MeterRole(StrEnum):
    """What a meter measures."""

    POI_CONTROL = "poi"
    POI_REVENUE = "revenue"
    AUXILIARY = "auxiliary"
    FEEDER = "feeder"


class InterlockKind(StrEnum):
    """A hard-wired chain that we read and obey, and never reset at its source."""

    ESTOP = "estop"
    FIRE = "fire"
    TRANSFER_TRIP = "transfer_trip"
    GAS = "gas"
    DOOR = "door"


@dataclass(frozen=True, slots=True)
class BmsTrip:
    """One of the BMS's own trips: the protection row it corresponds to, its limit in base units, its delay."""

    row: str
    limit: float
    delay_s: float


@dataclass(frozen=True, slots=True)
class BatteryType:
    """What a rack is made of. Voltage window and currents are the rack maker's, per rack."""

    name: str
    cell: CellType
    cells_in_series: int
    cells_in_parallel: int
    modules: int
    temperatures: int  # sensors per rack
    capacity_ah: float
    energy_wh: float
    voltage_min_v: float
    voltage_max_v: float
    charge_current_max_a: float
    discharge_current_max_a: float
    break_current_a: float  # what the contactors may open under
    resistance_ohm: float  # of the whole rack, busbars included; for the simulator and current sharing before data
    bms_trips: tuple[BmsTrip, ...] = ()


@dataclass(frozen=True, slots=True)
class OutOfService:
    """An exception of the site file: who took it out, why, until when (ISO date, "" = until removed)."""

    reason: str
    by: str
    until: str
    lock_out: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A container or group: the tag level between plant and rack."""

    index: int
    name: str
    tag: str


@dataclass(frozen=True, slots=True)
class Rack:
    """A rack: a string of modules with its own contactors."""

    index: int
    name: str
    tag: str
    block: int
    bus: int
    bank: int  # index of its bank BMS, -1: the rack has its own device
    battery: BatteryType
    contactor_control: ContactorControl
    out_of_service: OutOfService | None = None


@dataclass(frozen=True, slots=True)
class Bank:
    """The BMS above a group of racks, where there is one."""

    index: int
    name: str
    tag: str
    block: int
    racks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DcBus:
    """What racks and converters share. Racks on a passive bus have no power of their own."""

    index: int
    name: str
    tag: str
    block: int
    racks: tuple[int, ...]
    pcs: tuple[int, ...]
    unloads_contactors: UnloadsContactors
    current_max_a: float | None = None


@dataclass(frozen=True, slots=True)
class Pcs:
    """A converter. Its DC window bounds what bus voltages it can work at."""

    index: int
    name: str
    tag: str
    block: int
    bus: int
    transformer: int  # -1: directly at the POI
    power_w: float
    apparent_va: float
    dc_voltage_min_v: float
    dc_voltage_max_v: float
    dc_current_max_a: float
    ac_voltage_v: float
    ramp_w_per_s: float
    efficiency_ratio: float
    out_of_service: OutOfService | None = None


@dataclass(frozen=True, slots=True)
class Transformer:
    """A transformer between converters and the POI."""

    index: int
    name: str
    tag: str
    apparent_va: float
    primary_v: float
    secondary_v: float
    no_load_loss_w: float
    load_loss_w: float  # at rated apparent power


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter or a protection relay's measuring part."""

    index: int
    name: str
    tag: str
    block: int  # -1: the plant's
    role: MeterRole
    voltage_v: float
    ct_ratio: float = 1.0
    vt_ratio: float = 1.0

    @property
    def is_at_poi(self) -> bool:
        """Whether all power of the plant goes through it."""
        return self.role in (MeterRole.POI_CONTROL, MeterRole.POI_REVENUE)


@dataclass(frozen=True, slots=True)
class Interlock:
    """A hard-wired chain, read as `interlock.healthy`. `block` -1: it stops the whole plant."""

    index: int
    name: str
    tag: str
    block: int
    kind: InterlockKind


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """An auxiliary load or supply (HVAC, chiller, UPS): power at rest, for energy accounting and simulation."""

    index: int
    name: str
    tag: str
    block: int
    power_w: float
    meter: int = -1


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Modbus TCP endpoint."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return host:port, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SerialAddress:
    """Modbus RTU line."""

    path: str
    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        """Return the line's path."""
        return self.path


@dataclass(frozen=True, slots=True)
class Link:
    """One transport connection, shared by all units behind it; its limits are the gateway's."""

    index: int
    address: TcpAddress | SerialAddress
    in_flight: int
    gap_s: float
    timeout_s: float
    connect_timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Binding:
    """Which equipment an instance of a device's block belongs to (instance 0 unless the device repeats)."""

    owner: Owner
    equipment: int
    instance: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A unit behind a link. `periods_s`: poll period per block name, where the site overrides the device file."""

    index: int
    name: str
    type: DeviceType
    link: int
    unit: int
    bindings: tuple[Binding, ...]
    periods_s: tuple[tuple[str, float], ...] = ()

    def period_s(self, block_name: str) -> float:
        """Return the period of a poll block on this device."""
        return dict(self.periods_s).get(block_name) or self.type.block(block_name).period_s

    def poll_period_s(self, signal_name: str) -> float:
        """Return how often a signal is read from this device; 0 where it is not polled."""
        point = self.type.point(signal_name)
        return self.period_s(point.poll_block) if point is not None and point.poll_block else 0.0


@dataclass(frozen=True, slots=True)
class Poi:
    """The point of interconnection: ratings of the contract and what the grid nominally is."""

    voltage_v: float
    frequency_hz: float
    power_w: float
    apparent_va: float
    energy_wh: float
    export_limit_w: float
    import_limit_w: float
    meter: int  # the control meter's index, -1: none (sum of PCS is used, and said so)


@dataclass(frozen=True, slots=True)
class StaleLadder:
    """What silence means, in multiples of the declared data period D (see `docs/architecture.md`).

    After `bad_periods` * D a value is bad and that bus's power may not rise; after max(`zero_periods` * D,
    `zero_min_s`) its PCS ramps to zero, or after `zero_bms_stops_pcs_s` where the BMS itself can stop the PCS.
    """

    uncertain_periods: float = 1.5
    bad_periods: float = 3.0
    zero_periods: float = 5.0
    zero_min_s: float = 5.0
    zero_bms_stops_pcs_s: float = 30.0


class SocSource(StrEnum):
    """Whose SOC the plant runs on; `lower` takes the lower of the two."""

    BMS = "bms"
    ESTIMATOR = "estimator"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """How the plant is run: scan, ramps, SOC window, set-point life, who may command."""

    scan_period_s: float
    ramp_w_per_s: float
    reactive_ramp_var_per_s: float
    soc_min_ratio: float
    soc_max_ratio: float
    setpoint_timeout_s: float
    setpoint_timeout_max_s: float
    fallback_w: float
    fallback_var: float
    shared_owner: bool  # true: all clients are one owner, last accepted write counts (demo)
    lease_s: float
    start_timeout_s: float
    auto_start: bool
    grid_functions: tuple[tuple[str, GridFunctionPlace], ...] = ()
    stale: StaleLadder = StaleLadder()
    soc_source: SocSource = SocSource.BMS
    poi_trim_ratio: float = 0.5  # of the rating: what the POI loop makes up for


@dataclass(frozen=True, slots=True)
class OpcUaFace:
    """The OPC UA server's settings; policy names as in the standard, `None` allowed on loopback only."""

    host: str
    port: int
    policies: tuple[str, ...]
    anonymous: bool
    users_secret: str = ""


@dataclass(frozen=True, slots=True)
class PartyMap:
    """A register list that a party brought itself: its file, the unit that serves it, and who may write there."""

    party: str
    file: str  # name within the site's folder
    unit: int
    writers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModbusFace:
    """The Modbus server's settings. `writers`: addresses that may write, empty = nobody but loopback in the demo."""

    host: str
    port: int
    writers: tuple[str, ...]
    max_connections: int = 32
    maps: tuple[PartyMap, ...] = ()


@dataclass(frozen=True, slots=True)
class ScadaFaces:
    """The north side; None = that face is off."""

    opcua: OpcUaFace | None
    modbus: ModbusFace | None


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """How the simulator dresses this plant: never read by the controller."""

    seed: int = 1
    initial_soc_ratio: float = 0.5
    grid_profile: str = ""  # name of a packaged profile
    load_w: float = 0.0
    pv_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Plant:
    """Everything that is installed, and how it is run."""

    site_id: str
    name: str
    timezone: str
    poi: Poi
    blocks: tuple[Block, ...]
    racks: tuple[Rack, ...]
    banks: tuple[Bank, ...]
    buses: tuple[DcBus, ...]
    pcs: tuple[Pcs, ...]
    transformers: tuple[Transformer, ...]
    meters: tuple[Meter, ...]
    interlocks: tuple[Interlock, ...]
    auxiliaries: tuple[Auxiliary, ...]
    links: tuple[Link, ...]
    devices: tuple[Device, ...]
    protection: tuple[ProtectionRow, ...]
    control: ControlSettings
    faces: ScadaFaces
    simulation: SimulationSettings
    schedule: tuple[ScheduleEntry, ...]
    files: tuple[str, ...]  # absolute paths of every file parsed, to be sealed
    digest: str  # hash of the expanded site, independent of order and comments

    @property
    def battery_types(self) -> tuple[BatteryType, ...]:
        """What racks are of, each once, in the order of the racks."""
        return tuple({rack.battery.name: rack.battery for rack in self.racks}.values())

    @property
    def device_types(self) -> tuple[DeviceType, ...]:
        """What devices are of, each once, in the order of the devices."""
        return tuple({id(device.type): device.type for device in self.devices}.values())
