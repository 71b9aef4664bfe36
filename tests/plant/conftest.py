"""What the tests of the site language share: a copy of the demo site to make mistakes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.site_loader import LoadResult, load_site

Changed = Callable[..., LoadResult]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """Load the demo with one piece of text replaced, and perhaps further files beside it."""

    def load(old: str = "", new: str = "", *, file: str = "site.yaml", **more: str) -> LoadResult:
        files = demo_site_files()
        if old:
            assert files[file].count(old) >= 1, f"{file} no longer says {old!r}"
            files[file] = files[file].replace(old, new, 1)
        files.update({name.replace("__", "/").replace("_yaml", ".yaml"): text for name, text in more.items()})
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return load_site(tmp_path)

    return load
