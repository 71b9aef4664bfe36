"""Models lie where the SunSpec Alliance's own library puts them, and its encoder and ours write the same registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sunspec2.device

from controller.modbus.errors import EncodeError, SunSpecError
from controller.modbus.sunspec import Field, layout, load_model
from controller.modbus.sunspec_chain import chain_of
from controller.modbus.sunspec_image import SunSpecImage, served_fields

MODELS: list[tuple[int, dict[str, int], dict[str, Any]]] = [
    (1, {}, {}),
    (103, {}, {}),
    (203, {}, {}),
    (701, {}, {}),
    (702, {}, {}),
    (704, {}, {}),
    (705, {"NCrv": 2, "NPt": 3}, {"NCrv": 2, "NPt": 3}),
    (713, {}, {}),
    (714, {"NPrt": 3}, {"NPrt": 3}),
    (715, {}, {}),
    (802, {}, {}),
    (803, {"NStr": 4}, {"NStr": 4}),
    (804, {"NMod": 5}, {"NMod": 5}),
    (805, {"lithium-ion-module-cell": 6}, {"lithium-ion-module-cell": [{} for _ in range(6)]}),
]
ids = [str(model) for model, _, _ in MODELS]

Theirs = Any


def _their_points(group: Theirs, prefix: str = "", index: tuple[int, ...] = ()) -> Iterator[tuple[str, Any, Theirs]]:
    for name, point in group.points.items():
        yield prefix + name, index, point
    for name, inner in group.groups.items():
        if isinstance(inner, list):
            for k, instance in enumerate(inner):
                yield from _their_points(instance, f"{prefix}{name}.", (*index, k))
        else:
            yield from _their_points(inner, f"{prefix}{name}.", index)


@pytest.mark.parametrize(("model", "counts", "data"), MODELS, ids=ids)
def test_every_point_lies_where_the_reference_library_puts_it(
    model: int, counts: dict[str, int], data: dict[str, Any]
) -> None:
    theirs = sunspec2.device.Model(model, data=data)
    ours = layout(model, counts)
    assert [(f.path, f.index, f.offset, f.point.kind.words) for f in ours.fields] == [
        (path, index, point.offset, point.len) for path, index, point in _their_points(theirs)
    ]
    assert ours.length == theirs.len - 2
    assert layout(model, counts, ours.length) == ours


@pytest.mark.parametrize(("model", "counts", "data"), MODELS, ids=ids)
@pytest.mark.parametrize("seed", range(3))
def test_the_reference_encoder_writes_the_same_registers(
    model: int, counts: dict[str, int], data: dict[str, Any], seed: int
) -> None:
    random = np.random.default_rng(seed)
    theirs, image = sunspec2.device.Model(model, data=data), SunSpecImage([(model, counts)], base=0)
    points = list(_their_points(theirs))
    for path, point in {path: point for path, _, point in points if point.pdef["type"] == "sunssf"}.items():
        point.value = int(random.integers(-4, 4))
        image.put(model, path, point.value)
    gathered: dict[str, list[Any]] = {}
    for path, _, point in points:
        if point.pdef["type"] not in {"sunssf", "pad", "ipaddr", "eui48"} and path not in {"ID", "L", *counts}:
            gathered.setdefault(path, []).append(point)
    for path, instances in gathered.items():
        if random.random() < 0.8:
            _put_both(image, model, path, instances, random)
    assert _without_pads(image) == _their_words(theirs)


def _put_both(image: SunSpecImage, model: int, path: str, points: list[Theirs], random: np.random.Generator) -> None:
    """Give all instances of a point the same values, through the scale factor, on both sides."""
    kind = points[0].pdef["type"]
    if kind == "string":
        texts = [f"text {random.integers(0, 99)}" for _ in points]
        image.put_text(model, path, texts)
        for point, content in zip(points, texts, strict=True):
            point.value = content
        return
    high = 30_000 if kind.endswith("16") or kind == "count" else 2_000_000_000
    raws = random.integers(-high if kind.startswith("int") else 1, high, len(points))
    factors = [_their_factor(point) for point in points]
    image.put(model, path, [raw * 10.0**factor for raw, factor in zip(raws, factors, strict=True)])
    for point, raw, factor in zip(points, raws, factors, strict=True):
        if factor:
            point.cvalue = raw * 10.0**factor
        else:
            point.value = float(raw) if kind.startswith("float") else int(raw)


def _their_factor(point: Theirs) -> int:
    if point.sf is None:
        return point.sf_value or 0
    found = point.group.points.get(point.sf) or point.model.points[point.sf]
    return int(found.value)


def _without_pads(image: SunSpecImage) -> list[int]:
    words = image.words.copy()
    for served in image.fields:
        if served.field.point.kind.name == "pad":
            assert words[served.address] == 0x8000
            words[served.address] = 0
    return [int(word) for word in words[2:-2]]


def _their_words(theirs: Theirs) -> list[int]:
    return [int(word) for word in np.frombuffer(theirs.get_mb(), ">u2")]


def test_an_image_is_a_chain_that_reads_as_not_implemented() -> None:
    image = SunSpecImage([(1, {}), (803, {"NStr": 2})])
    assert image.words[:3].tobytes() == b"SunS\x00\x01"
    assert image.words[-2:].tolist() == [0xFFFF, 0]
    assert image.get(803, "NStr").values.tolist() == [2]
    assert image.get(803, "ID").values.tolist() == [803]
    assert image.get(803, "L").values.tolist() == [26 + 2 * 32]
    assert not image.get(803, "string.StrSt").valid.any()


def test_values_without_a_scale_factor_are_refused_and_read_as_nothing() -> None:
    image = SunSpecImage([(802, {})])
    with pytest.raises(EncodeError, match=r"802\.W has no scale factor yet"):
        image.put(802, "W", 5.0)
    image.words[:] = 5
    image.put(802, "W_SF", np.nan)
    assert np.isnan(image.get(802, "W").values[0])
    assert not image.get(802, "W").valid[0]


def test_what_does_not_fit_its_scale_factor_reads_as_not_implemented() -> None:
    image = SunSpecImage([(802, {})])
    image.put(802, "W_SF", 2)
    image.put(802, "W", 3_276_700.0)
    assert image.get(802, "W").values[0] == 3_276_700.0
    image.put(802, "W", 3_276_800.0)
    assert not image.get(802, "W").valid[0]


def test_several_models_of_a_number_are_told_apart() -> None:
    image = SunSpecImage([(1, {}), (804, {"NMod": 1}), (804, {"NMod": 2})])
    image.put(804, "Idx", 1, occurrence=0)
    image.put(804, "Idx", 2, occurrence=1)
    assert [int(image.get(804, "Idx", n).values[0]) for n in (0, 1)] == [1, 2]
    assert image.get(804, "lithium_ion_string_module.ModNCell", 1).values.shape == (2,)
    with pytest.raises(SunSpecError, match=r"no point 804\.Idx \(occurrence 2\)"):
        image.put(804, "Idx", 3, occurrence=2)


def test_reading_outside_of_the_chain_is_nothing() -> None:
    image = SunSpecImage([(1, {})])
    assert image.read(40_000, 2) == b"SunS"
    assert image.read(40_070, 2) == b"\xff\xff\x00\x00"
    assert image.read(39_999, 2) is None
    assert image.read(40_071, 2) is None


def test_a_write_must_hit_whole_fields() -> None:
    image = SunSpecImage([(1, {}), (704, {})])
    place = next(p for p in image.chain if p.model == 704)
    at = place.address + next(f.offset for f in layout(704).fields if f.path == "WSet")
    found = image.fields_in(at, 2)
    assert found is not None
    assert [(f.model, f.field.path, f.field.point.writable) for f in found] == [(704, "WSet", True)]
    image.put(704, "WSet_SF", 3)
    image.store(at, (-2).to_bytes(4, signed=True))
    assert image.get(704, "WSet").values.tolist() == [-2000.0]
    assert image.fields_in(at, 1) is None
    assert image.fields_in(at + 1, 1) is None
    assert image.fields_in(at - 1, 2) is None
    assert image.fields_in(39_999, 1) is None
    assert image.fields_in(40_000, 2) is None


def test_one_text_serves_all_instances() -> None:
    image = SunSpecImage([(714, {"NPrt": 2})])
    image.put_text(714, "Prt.IDStr", "DC")
    assert image.words.tobytes().count(b"DC\0\0") == 2


def test_a_fixed_scale_factor_needs_no_register() -> None:
    image = SunSpecImage([(307, {})], base=0)
    image.put(307, "TmpAmb", 12.3)
    assert image.get(307, "TmpAmb").values[0] == 12.3


@pytest.mark.parametrize(
    ("model", "counts", "length"),
    [(803, {"NStr": 12}, 26 + 32 * 12), (805, {"lithium-ion-module-cell": 3}, 42 + 12), (160, {"module": 0}, 8)],
)
def test_a_count_follows_from_the_length(model: int, counts: dict[str, int], length: int) -> None:
    assert layout(model, length=length) == layout(model, counts)
    assert layout(model, counts, length).length == length


def test_model_1_may_lack_its_pad() -> None:
    assert layout(1, length=65).fields == layout(1).fields[:-1]


@pytest.mark.parametrize(
    ("model", "counts", "length", "text"),
    [
        (803, {}, None, "needs the count NStr"),
        (805, {}, None, "needs the count lithium-ion-module-cell"),
        (803, {}, 26 + 33, "states length 59, which is not 26"),
        (803, {}, 10, "states length 10"),
        (803, {"NStr": 2}, 26, "states length 26 where its definition gives 90"),
        (802, {}, 63, "states length 63 where its definition gives 62"),
        (705, {"NPt": 0}, 40, "is not 13"),
        (705, {}, 40, "needs the count"),
        (99, {}, None, "no definition of SunSpec model 99"),
    ],
)
def test_another_revision_is_refused(model: int, counts: dict[str, int], length: int | None, text: str) -> None:
    with pytest.raises(SunSpecError) as raised:
        layout(model, counts, length)
    assert text in str(raised.value)


def test_a_groups_own_scale_factor_comes_before_its_models() -> None:
    fields = {f.path: f for f in layout(705, {"NCrv": 1, "NPt": 1}).fields}
    assert fields["Crv.Pt.V"].scale_factor_offset == fields["V_SF"].offset
    assert fields["Ena"].scale_factor_offset is None


def test_symbols_units_and_rights_come_from_the_definition() -> None:
    point = load_model(704).point("WSetMod")
    assert dict(point.symbols) == {"W_MAX_PCT": 0, "WATTS": 1}
    assert point.writable
    assert load_model(701).point("W").units == "W"
    assert load_model(802).point("SoC").mandatory
    assert load_model(704).point("PFWInj.Ext").writable
    assert any(group.synced for group in load_model(704).group.groups)


@pytest.mark.parametrize("path", ["Nothing", "nothing.W", "W.W"])
def test_there_is_no_such_point(path: str) -> None:
    with pytest.raises(SunSpecError, match="model 701 has no point"):
        load_model(701).point(path)


def test_served_fields_need_no_counts_where_lengths_tell() -> None:
    chain = chain_of([(1, {}), (803, {"NStr": 3})])
    served = list(served_fields(chain))
    assert served[-1].end == chain[-1].end
    assert [f.address for f in served if f.field.path == "string.StrA"] == [
        chain[1].address + 28 + 32 * n + next(_offsets("StrA")) for n in range(3)
    ]


def _offsets(name: str) -> Iterator[int]:
    fields: tuple[Field, ...] = layout(803, {"NStr": 1}).fields
    yield from (f.offset - 28 for f in fields if f.path == f"string.{name}")
