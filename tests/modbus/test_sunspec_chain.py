"""The walker finds every chain that keeps the rules, and ends on all others."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.errors import SunSpecError
from controller.modbus.sunspec_chain import BASES, Chain, ChainWalker, ModelPlace, chain_of
from controller.modbus.sunspec_image import SunSpecImage


def _walk(registers: dict[int, int], bases: tuple[int, ...] = BASES) -> Chain:
    """Walk a device that has these registers and answers all others with an exception."""
    walker = ChainWalker(bases)
    reads = 0
    while (wanted := walker.next_read) is not None:
        reads += 1
        assert reads < 2000
        addresses = range(wanted.address, wanted.address + wanted.count)
        if all(a in registers for a in addresses):
            walker.feed(b"".join(registers[a].to_bytes(2) for a in addresses))
        else:
            walker.refuse()
    return walker.chain


def _registers(base: int, *models: tuple[int, int], end: tuple[int, ...] = (0xFFFF, 0)) -> dict[int, int]:
    words = [0x5375, 0x6E53]
    for model, length in models:
        words += [model, length, *([0x8000] * length)]
    return {base + n: word for n, word in enumerate([*words, *end])}


@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.integers(1, 0xFFFE), st.integers(1, 300)), max_size=30),
    st.booleans(),
)
def test_every_chain_is_found_wherever_it_begins(base: int, others: list[tuple[int, int]], length_of_end: bool) -> None:
    models = [(1, 66), *others]
    found = _walk(_registers(base, *models, end=(0xFFFF, 0) if length_of_end else (0xFFFF,)))
    assert [(p.model, p.length) for p in found] == models
    assert found[0].address == base + 2
    assert all(b.address == a.end for a, b in pairwise(found))


def test_an_image_of_ours_is_walked() -> None:
    image = SunSpecImage([(1, {}), (701, {}), (803, {"NStr": 3})])
    assert _walk({image.base + n: int(word) for n, word in enumerate(image.words)}) == image.chain


def test_other_registers_at_the_first_base_are_passed_over() -> None:
    assert _walk(_registers(0, (1, 66)) | {40_000: 1, 40_001: 2}) == (ModelPlace(1, 2, 66),)


@given(st.dictionaries(st.integers(0, 65_535), st.integers(0, 65_535), max_size=50), st.sampled_from(BASES))
def test_any_device_ends_the_walk(registers: dict[int, int], base: int) -> None:
    try:
        _walk(registers | {base: 0x5375, base + 1: 0x6E53, base + 2: 1, base + 3: 66})
    except SunSpecError:
        return


@pytest.mark.parametrize(
    ("registers", "text"),
    [
        ({}, "no 'SunS' at 40000, 0, 50000"),
        (_registers(40_000, (103, 50)), "the first model is 103"),
        (_registers(40_000, (1, 66), end=(0, 0)), "model 0 at address 40070"),
        (_registers(40_000, (1, 66), end=()), "breaks off at address 40070"),
        (_registers(40_000, (1, 66), end=(103,)), "breaks off at address 40071"),
        (_registers(40_000, (1, 66), end=(103, 0)), "model 103 at 40070 states length 0"),
        (_registers(40_000, (1, 66), end=(103, 0xFFFF)), "model 103 at 40070 states length 65535"),
        (_registers(40_000, (1, 66), *[(64_001, 1)] * 520), "more than 512 models"),
        (_registers(40_000, end=(0xFFFF, 0)), "the first model is 65535"),
    ],
)
def test_what_is_no_chain_is_named(registers: dict[int, int], text: str) -> None:
    with pytest.raises(SunSpecError) as raised:
        _walk(registers)
    assert text in str(raised.value)


def test_an_answer_of_another_length_is_refused() -> None:
    with pytest.raises(SunSpecError, match="3 bytes where 2 registers"):
        ChainWalker().feed(b"Sun")


def test_a_chain_must_fit_into_the_address_space() -> None:
    assert chain_of([(803, {"NStr": 484})], base=50_000)[0].end <= 65_534
    with pytest.raises(SunSpecError, match="beyond 65535"):
        chain_of([(803, {"NStr": 485})], base=50_000)
