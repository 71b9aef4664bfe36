"""`bess points import`: a maker's point list, or our own table of a device, into a device file; `points export`: back.

Nothing is dropped in silence: what can't be read is an error at its cell and no file is written; what has no signal of
ours stays in the file as a comment, ready to be bound, and is listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from controller.commissioning.device_table import comments_of, device_rows, device_tree, is_device_table
from controller.commissioning.device_yaml import device_yaml, flow
from controller.commissioning.tables import Cell, Complaints, Sheet, TableError, as_csv, read_sheets, told, write_sheets
from controller.commissioning.vendor_columns import likeliest_header, vendor_tables
from controller.commissioning.vendor_entries import Entry, Options, entries_of
from controller.commissioning.vendor_meters import meter_signal
from controller.commissioning.vendor_racks import HOW_TO_SAY_IT, with_racks
from controller.commissioning.vendor_signals import meaning_of, signal_of, words_of_name
from controller.commissioning.vendor_signs import sign_of
from controller.plant.checks.devices import check_device
from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceKind
from controller.plant.figures import counted
from controller.plant.messages import Message, Severity, did_you_mean, nearest, one_of
from controller.plant.signals import SIGNALS, Signal, SignalForm
from controller.plant.site_files import LIBRARY, library_names
from controller.plant.yaml_tree import Plain, plain, read_document

PERIODS = {
    DeviceKind.BANK_BMS: ("1 s", "5 s"),
    DeviceKind.RACK_BMS: ("1 s", "5 s"),
    DeviceKind.PCS: ("500 ms", "10 s"),
    DeviceKind.METER: ("200 ms", "5 s"),
    DeviceKind.DIGITAL_IO: ("200 ms", "1 s"),
}
SLOW = ("cell.", "meter.energy", "pcs.watchdog")
_WITHOUT_UNIT = "meter.power_factor"
"""A ratio that lists give no unit: 0.98 is 0.98."""
CYCLIC = ("setpoint", "heartbeat")
_REFRESH = "refresh: 200 ms   # how old its registers may be when they are read"
_BMS_TO_DECIDE = (
    _REFRESH,
    "communication_timeout: {after: 30 s, then: open}   # what it does when we fall silent",
    "heartbeat: 1 s",
)
TO_DECIDE = {
    DeviceKind.PCS: ("communication_timeout: {after: 5 s, then: zero}   # what it does when we fall silent",
                     "heartbeat: 500 ms", _REFRESH),
    DeviceKind.BANK_BMS: ("control: bank_managed", *_BMS_TO_DECIDE),
    DeviceKind.RACK_BMS: ("control: rack_managed", *_BMS_TO_DECIDE),
    DeviceKind.METER: (_REFRESH,),
    DeviceKind.DIGITAL_IO: (_REFRESH,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import gave: the file's text ("" if there are errors), what was done, what is wrong, what is odd."""

    text: str
    summary: str
    errors: str
    warnings: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What to import, as what."""

    file: Path
    device: str
    kind: str = ""
    maker: str = ""
    options: Options = field(default_factory=Options)


def import_points(request: Request) -> Imported:
    """Return the device file of a point list."""
    try:
        sheets = read_sheets(request.file)
    except TableError as error:
        return Imported("", "", f"error: {error}")
    complaints = Complaints()
    if is_device_table(sheets):
        tree, comments = device_tree(sheets, complaints)
        tree["device"] = request.device or tree.get("device", "")
        draft = _Draft(tree, comments, {}, [], [])
    else:
        drafted = _from_vendor(request, sheets, complaints)
        if drafted is None:
            return Imported("", "", told(complaints))
        draft = drafted
    if complaints.lines:
        return Imported("", "", told(complaints))
    return _checked(request, draft)


def export_device(device: str, out: Path | None) -> str:
    """Return (or write) a device file, or a library device by its name, as a table; TableError if there is none."""
    path = Path(device) if device.endswith((".yaml", ".yml")) else LIBRARY / "devices" / f"{device}.yaml"
    if not path.is_file():
        hint = did_you_mean(device, library_names("devices"))
        raise TableError(f"there is no device '{device}'; {hint or 'expected a device file or a name of the library'}")
    document, messages = read_document(str(path), path.read_bytes())
    tree = plain(document.root)
    if messages or not isinstance(tree, dict) or not isinstance(tree.get("points"), dict):
        first = messages[0] if messages else None
        raise TableError(f"{first.place}: {first.message}" if first else f"{path}: this is no device file")
    rows = list(device_rows(tree, comments_of(document)))
    if out is None:
        return as_csv(rows)
    write_sheets(out, {"device": rows})
    return f"wrote {len(tree['points'])} points of {tree.get('device', device)} to {out}"


# --------------------------------------------------------------------------------------------------------- vendor lists


@dataclass(slots=True)
class _Draft:
    tree: dict[str, Plain]
    comments: dict[str, str]
    cells: dict[str, Cell]  # signal -> where its row stands
    unbound: list[str]
    without: list[str]  # sheets that hold no list
    said: list[str] = field(default_factory=list)  # what the list says besides, what was assumed
    taken: tuple[str, ...] = ()  # what was taken from its notes, told at once


def _from_vendor(request: Request, sheets: Sequence[Sheet], complaints: Complaints) -> _Draft | None:
    kind = _kind(request, complaints)
    tables, without = vendor_tables(sheets)
    if not tables:
        expected = "a row with headings such as Name, Address, Type, Scale, Unit"
        hint = likeliest_header(sheets)
        complaints.add(str(request.file), "no sheet has a header that can be read", expected, hint)
    if kind is None or not tables:
        return None
    entries = [e for table in tables for e in entries_of(table, request.options, complaints)]
    _said_once(entries, complaints)
    taken: tuple[str, ...] = ()
    if kind is DeviceKind.BANK_BMS:
        notes = [text for table in tables for text in table.asides]
        entries, taken = with_racks(entries, list(dict.fromkeys(notes)), complaints)
    binder = _Binder(kind, entries, complaints)
    binder.bind()
    if not complaints.lines and not binder.points:
        every = f"rows of racks have their number: 'Rack 1 voltage', 'Rack 2 voltage'; or {HOW_TO_SAY_IT}"
        half = next((text for text in taken if "not how many" in text), "")
        hint = half or every if kind is DeviceKind.BANK_BMS else ""
        message = f"none of {counted(len(entries), 'row')} is a signal of a {kind} that is known by its name"
        complaints.add(str(request.file), message, "another --kind, or a column 'signal' that binds them", hint)
    if complaints.lines:
        return None
    tree = _head(request, kind, entries, binder) | {"points": binder.points}
    unsaid = [e for e in entries if e.width in {2, 4} and not e.words and not e.type.startswith("string")]
    order = tree.get("words", "high_first")
    said = [f"The list also says: {text}" for table in tables for text in table.asides]
    if unsaid:
        said.append(f"The list does not state the word order of {len(unsaid)} values; assumed: {order}.")
    return _Draft(tree, binder.comments, binder.cells, binder.unbound, without, [*said, *taken], taken)


def _said_once(entries: Sequence[Entry], complaints: Complaints) -> None:
    """Complain about rows that stand twice: one of them was meant to be something else."""
    first: dict[tuple[str, str, int], Entry] = {}
    for entry in entries:
        same = first.setdefault((entry.name.casefold(), entry.table, entry.address), entry)
        if same is not entry:
            message = f"{entry.name} at {entry.table} {entry.address} stands in {same.cell.ref} already"
            complaints.add(entry.cell, message, "each register once", "take one of the rows out, or mend its address")


def _kind(request: Request, complaints: Complaints) -> DeviceKind | None:
    if request.kind in list(DeviceKind):
        return DeviceKind(request.kind)
    hint = did_you_mean(request.kind, DeviceKind) if request.kind else ""
    complaints.add(str(request.file), "a point list does not say what kind of device it is of",
                   f"--kind {one_of(DeviceKind).removeprefix('one of ')}", hint)  # fmt: skip
    return None


def _head(request: Request, kind: DeviceKind, entries: list[Entry], binder: _Binder) -> dict[str, Plain]:
    fast, slow = PERIODS[kind]
    orders = Counter(e.words for e in entries if e.words)
    head: dict[str, Plain] = {
        "schema": "device/v1",
        "device": request.device,
        "kind": kind.value,
        "maker": request.maker or "unknown",
        "source": {"document": request.file.name, "pages": ", ".join(dict.fromkeys(_sheet(e.cell) for e in entries)),
                   "checked_by": "imported, never on hardware"},
        "address": "zero_based",
    }  # fmt: skip
    if orders:
        head["words"] = orders.most_common(1)[0][0]
    if binder.repeat:
        count, stride = binder.repeat
        head["repeat"] = {"rack": {"count": str(count), "stride": str(stride)}}
    used = {p["block"] for p in binder.points.values() if isinstance(p, dict) and "block" in p}
    head["blocks"] = {name: {"every": every} for name, every in (("fast", fast), ("slow", slow)) if name in used}
    for point in binder.points.values():  # what the head says need not be said again
        if isinstance(point, dict) and "words" in point and point["words"] == head["words"]:
            del point["words"]
    return head


def _sheet(cell: Cell) -> str:
    return cell.ref.rpartition("!")[0]


class _Binder:
    """Gives each entry its signal, and makes a point of it in the words of a device file."""

    def __init__(self, kind: DeviceKind, entries: list[Entry], complaints: Complaints) -> None:
        self.kind, self.entries, self.complaints = kind, entries, complaints
        self.points: dict[str, Plain] = {}
        self.comments: dict[str, str] = {}
        self.cells: dict[str, Cell] = {}
        self.unbound: list[str] = []
        self.repeat: tuple[int, int] | None = None

    def bind(self) -> None:
        """Bind all entries; what fits no signal is kept aside."""
        for entry in sorted(self.entries, key=self._rank):
            signal = self._signal(entry)
            if signal is None:
                continue
            if signal.name in self.points:
                other = self.cells[signal.name].ref
                self._complain(
                    entry, f"{signal.name} is bound already, by {other}", "a column 'signal' that tells which"
                )
                continue
            self._repeat(entry)
            self.points[signal.name] = self._point(entry, signal)
            self.comments[signal.name] = self._comment(entry, signal)
            self.cells[signal.name] = entry.cell

    def _rank(self, entry: Entry) -> int:
        """Return which entries of a meter go first: the plant's whole before one pair of lines; else their order."""
        found = meter_signal(words_of_name(entry.name)) if self.kind is DeviceKind.METER and not entry.signal else None
        return found[1] if found is not None else 0

    def _complain(self, entry: Entry, message: str, expected: str = "", hint: str = "") -> None:
        self.complaints.add(entry.cell, message, expected, hint)

    def _signal(self, entry: Entry) -> Signal | None:
        if entry.signal and entry.signal != "-":
            found = SIGNALS.get(entry.signal)
            if found is None:
                self._complain(entry, f"no signal named '{entry.signal}'", "", did_you_mean(entry.signal, SIGNALS))
            return found
        bank = self.kind is DeviceKind.BANK_BMS and not entry.of_rack
        found = (
            None
            if entry.signal == "-"
            else signal_of(entry.name, self.kind, repeated=entry.count > 1, bank=bank, writable=entry.writable)
        )
        known = not entry.of_rack or entry.racks > 1  # of racks, it must be known how many
        fits = known and found is not None and (entry.writable or not found.command) and self._suits(entry, found)
        if found is None or not fits or (found.name in self.points and not entry.signal):
            self._leave(entry, found)
            return None
        return found

    def _suits(self, entry: Entry, signal: Signal) -> bool:
        """Whether type and unit can be this signal's."""
        if entry.type.startswith("string"):
            return False
        if signal.form is SignalForm.QUANTITY:
            return (bool(entry.unit) or signal.name == _WITHOUT_UNIT) and not entry.type.startswith(("bits", "bool"))
        return not entry.unit

    def _leave(self, entry: Entry, near: Signal | None) -> None:
        place = {"at": f"{entry.table} {entry.address}", "as": entry.type, **_coded(entry)}
        hint = f" (not bound as {near.name})" if near is not None and near.name not in self.points else ""
        self.unbound.append(f"{entry.cell.ref}: {flow(place)}  {entry.comment}{hint}")

    def _repeat(self, entry: Entry) -> None:
        if entry.racks == 1:
            return
        self.repeat = self.repeat or (entry.racks, entry.rack_stride)
        if self.repeat[0] != entry.racks:
            message = f"{entry.racks} racks every {entry.rack_stride} registers;"
            message += f" others have {counted(self.repeat[0], 'rack')}"
            self._complain(entry, message, "each row for the same number of racks")

    def _point(self, entry: Entry, signal: Signal) -> dict[str, Plain]:
        point: dict[str, Plain] = {"at": f"{entry.table} {entry.address}"}
        if entry.count > 1:
            point["count"] = str(entry.count)
        if entry.stride:
            point["stride"] = str(entry.stride)
        if entry.racks > 1 and self.repeat is not None and self.repeat[1] != entry.rack_stride:
            point["repeat_stride"] = str(entry.rack_stride)
        point |= {"as": entry.type, **_coded(entry)}
        if signal.name == _WITHOUT_UNIT and not entry.unit:
            point["unit"] = "pu"
        if signal.command:
            point["writable"] = "persistent" if entry.worn else "volatile"
            if any(word in signal.name for word in CYCLIC) and not entry.worn:
                point["every"] = "1 s"
        else:
            point["block"] = "slow" if signal.name.startswith(SLOW) else "fast"
        if signal.form is SignalForm.QUANTITY:
            stated = entry.sign or sign_of(entry.comment, signal)
            point |= {"sign": str(stated)} if stated else {}
            point |= self._range(entry)
        if signal.form in {SignalForm.CODE, SignalForm.BOOL, SignalForm.BITS} and entry.pairs:
            point |= self._values(entry, signal)
        return point

    def _range(self, entry: Entry) -> dict[str, Plain]:
        if not (entry.low and entry.high):
            return {}
        low, high = entry.low.replace(",", "."), entry.high.replace(",", ".")
        return {"range": [f"{low} {entry.unit}", f"{high} {entry.unit}"]} if entry.unit else {}

    def _values(self, entry: Entry, signal: Signal) -> dict[str, Plain]:
        values: dict[str, Plain] = {}
        for raw, text in entry.pairs:
            word = meaning_of(text, signal)
            if word is not None:
                values[str(raw)] = word
            elif signal.form is not SignalForm.BITS:
                known = [c.name.lower() for c in signal.codes] if signal.codes else ["yes", "no"]
                near = nearest(text, known)
                hint = f"did you mean '{near}'?" if near else ""
                where = entry.values_cell if entry.values_cell is not None else entry.cell
                self.complaints.add(
                    where, f"value {raw}, '{text}', means nothing to {signal.name}", one_of(known), hint
                )
        return {"values": values} if values else {}

    def _comment(self, entry: Entry, signal: Signal) -> str:
        bits = [f"bit {raw} {text}" for raw, text in entry.pairs if meaning_of(text, signal) is None]
        assumed = ["volatile assumed: ask the maker"] if signal.command and not entry.worn else []
        sure = " · ".join(["", *bits, *assumed]) if signal.form is SignalForm.BITS or assumed else ""
        return f"{entry.comment}{sure}"


def _coded(entry: Entry) -> dict[str, Plain]:
    stated = (("scale", entry.scale), ("offset", entry.offset), ("unit", entry.unit), ("sign", entry.sign),
              ("words", entry.words), ("missing", entry.missing))  # fmt: skip
    return {key: value for key, value in stated if value}


# ------------------------------------------------------------------------------------------------------------- checking


def _checked(request: Request, draft: _Draft) -> Imported:
    intro: tuple[str, ...] = (
        f"{request.device}: imported from {request.file.name}; check signs, time-outs and what is not bound.",
    )
    kind = str(draft.tree.get("kind", ""))
    rest = [f"not bound: {line}" for line in draft.unbound]
    if draft.cells:
        intro = (*intro, *draft.said)
    if draft.cells and kind in TO_DECIDE:
        asked = (f"  {line}" for line in TO_DECIDE[DeviceKind(kind)])
        intro = (*intro, "To be stated from the maker's manual before it is used:", *asked)
    text = device_yaml(draft.tree, draft.comments, intro if draft.cells else (), rest)
    document, messages = read_document(f"{request.device}.yaml", text.encode())
    if not messages:
        device_type, messages = load_device(document, request.device)
        messages = messages if device_type is None else check_device(device_type, document)
    if any(m.severity is Severity.ERROR for m in messages):
        return Imported("", "", "\n\n".join(_told(m, text, draft) for m in messages))
    return Imported(text, _summary(request, draft), "", "\n\n".join(_told(m, text, draft) for m in messages))


def _told(message: Message, text: str, draft: _Draft) -> str:
    """Return a message of the loader at the cell that it is about."""
    line = text.splitlines()[message.place.line - 1].strip()
    signal = line.split(":", maxsplit=1)[0]
    ref = draft.cells[signal].ref if signal in draft.cells else str(message.place)
    more = [
        f"\n       = {what}: {said}" for what, said in (("expected", message.expected), ("hint", message.hint)) if said
    ]
    return f"{ref}: {message.severity}: {message.message}{''.join(more)}"


def _summary(request: Request, draft: _Draft) -> str:
    points = draft.tree["points"]
    assert isinstance(points, dict), "a device's points are keys"
    lines = [f"{request.device}: {counted(len(points), 'point')} bound"]
    if draft.unbound:
        few = len(draft.unbound) == 1
        rows = "1 row has no signal of ours; it is kept as a comment:" if few else ""
        lines.append(rows or f"{len(draft.unbound)} rows have no signal of ours; they are kept as comments:")
        lines += [f"  {line}" for line in draft.unbound]
    lines += draft.taken
    lines += [f"sheet '{name}' holds no point list and was not read" for name in draft.without]
    return "\n".join(lines)
