"""What a rehearsal or a replay leaves: a series of points, one row a scan, and the events beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from controller.plant.signals import Owner
from controller.points.point_list import Point, PointList, PointType
from controller.runtime.journal import JournalRow

EVENT_COLUMNS = ("time_s", "kind", "equipment", "function", "level", "value", "limit", "text")
_OWNERS = {Owner.PLANT, Owner.PCS}
_SCALARS = {PointType.NUMBER, PointType.CODE, PointType.COUNT, PointType.BOOL}
EventRow = tuple[object, ...]


class Series:
    """`x.csv` or `x.parquet` with `time_s` and a column a point of plant and converters; `x.events.jsonl` beside it."""

    def __init__(self, out: Path | None, listed: PointList) -> None:
        """Open the events; without `out` nothing is kept."""
        shown = [p for p in listed.points if p.owner in _OWNERS and p.type in _SCALARS]
        self._out, self._points = out, shown if out else []
        self._columns: list[list[object]] = [[] for _ in self._points]
        self._times: list[float] = []
        self._events = out.with_suffix(".events.jsonl").open("w", encoding="utf-8") if out else None

    def add(self, time_s: float, shown: Callable[[Point], object]) -> None:
        """Add a row."""
        if self._out is None:
            return
        self._times.append(time_s)
        for column, point in zip(self._columns, self._points, strict=True):
            column.append(shown(point))

    def event(self, row: EventRow) -> None:
        """Add an event, as `event_row` makes it."""
        if self._events is not None:
            self._events.write(json.dumps(as_event(row)) + "\n")

    def close(self) -> None:
        """Write the series."""
        if self._out is None or self._events is None:
            return
        self._events.close()
        table = {"time_s": self._times} | {p.tag: c for p, c in zip(self._points, self._columns, strict=True)}
        write_series(self._out, table)


def timed_events(rows: Iterable[JournalRow], now_ns: int, time_s: float) -> Iterable[EventRow]:
    """Yield rows of the journal as events of a series, `time_s` being the time of the scan at `now_ns`."""
    for _, mono_ns, kind, equipment, function, level, _, value, limit, _, _, text in rows:
        yield round(time_s - (now_ns - mono_ns) * 1e-9, 3), kind, equipment, function, level, value, limit, text


def as_event(row: EventRow) -> dict[str, object]:
    """Return an event by its columns."""
    return dict(zip(EVENT_COLUMNS, row, strict=True))


def is_trip(row: EventRow) -> bool:
    """Tell whether an event is a trip that was raised."""
    return row[1] == "raised" and row[4] == 3


def write_series(out: Path, table: Mapping[str, Sequence[object]]) -> None:
    """Write columns as csv, or as parquet where the `tools` extra is installed."""
    if out.suffix == ".parquet":
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to load
        import pyarrow.parquet  # noqa: PLC0415 - as above

        pyarrow.parquet.write_table(pa.table(table), out, compression="zstd")
        return
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
