from __future__ import annotations

from controller.runtime.bench.link import bench_link


def test_benchmark_measures_every_row() -> None:
    results = bench_link(racks=4, cells=10, rounds=5)
    assert {row["name"] for row in results} >= {"link_publish", "link_read", "link_event_append"}
    assert all(row["value"] > 0 and row["unit"] == "us" for row in results)
