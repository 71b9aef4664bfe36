"""`bess library`: what ships is listed and printed as it is, and copied without overwriting anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.library_files import KINDS, LibraryError, library_file, library_files
from controller.plant.site_files import LIBRARY, library_names


def library(*words: str) -> Result:
    return CliRunner().invoke(app, ["library", *words])


def test_everything_that_ships_is_listed_with_what_it_is():
    answer = library().stdout
    assert {f.name for f in library_files()} == {name for kind in KINDS for name in library_names(kind)}
    assert "generic-pcs                pcs of generic" in answer
    assert "generic_280_lfp            lfp, 280 Ah" in answer
    assert "lfp-utility@1              Protection preset for LFP racks of utility size" in answer
    assert all(f.what and len(f.what) < 150 for f in library_files())
    assert {f["kind"] for f in json.loads(library("cells", "--json").stdout)} == {"cells"}


@pytest.mark.parametrize("words", [("devices", "generic-pcs"), ("generic-pcs",), ("generic-pcs.yaml",)])
def test_a_file_is_printed_as_it_is(words):
    assert library(*words).stdout == (LIBRARY / "devices" / "generic-pcs.yaml").read_text(encoding="utf-8")


def test_a_copy_is_written_once(tmp_path: Path):
    own = tmp_path / "mine.yaml"
    assert library("cells", "generic_280_lfp", "--out", str(own)).stdout == f"wrote {own}\n"
    assert own.read_bytes() == (LIBRARY / "cells" / "generic_280_lfp.yaml").read_bytes()
    assert "nothing is overwritten" in str(library("cells", "generic_280_lfp", "--out", str(own)).exception)
    assert library("generic-pcs", "--out", str(tmp_path)).stdout == f"wrote {tmp_path / 'generic-pcs.yaml'}\n"
    nowhere = tmp_path / "none" / "x.yaml"
    assert "there is no such folder" in str(library("generic-pcs", "--out", str(nowhere)).exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("device",), "no 'device' in the library; did you mean 'devices'?"),
        (("devices", "generic-pc"), "no 'generic-pc' in the library's devices; did you mean 'generic-pcs'?"),
        (("divices", "generic-pcs"), "no kind 'divices' in the library; did you mean 'devices'?"),
        (("cells", "zebra"), "no 'zebra' in the library's cells; expected one of a123_26650_lfp"),
    ],
)
def test_what_does_not_ship_is_a_no_with_the_nearest(words, said):
    with pytest.raises(LibraryError) as refused:
        library_file(words)
    assert str(refused.value).startswith(said)
    assert isinstance(library(*words).exception, LibraryError)


def test_too_many_words_are_a_usage_error():
    assert library("devices", "generic-pcs", "again").exit_code == 2
