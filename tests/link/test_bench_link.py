from __future__ import annotations

import runpy
from pathlib import Path


def test_benchmark_measures_every_row(run_folder) -> None:
    results = runpy.run_path(str(Path(__file__).with_name("bench_link.py")))["bench_link"](racks=4, cells=10, rounds=5)
    assert {row["name"] for row in results} >= {"link_publish", "link_read", "link_event_append"}
    assert all(row["value"] > 0 and row["unit"] == "us" for row in results)
