from __future__ import annotations

import shutil
import subprocess

import pytest

from controller.link.sealed_site import SealedSiteError, load_sealed, read_files, seal, site_hash
from controller.plant.site_files import LIBRARY

FILES = {"site.yaml": b"schema: site/v1\n", "library/devices/bank.yaml": b"registers: []\n", "maps/\xe4.csv": b""}


def test_sealed_site_comes_back_as_it_was_parsed(tmp_path) -> None:
    sealed = seal(tmp_path, FILES)
    loaded = load_sealed(tmp_path, sealed.hash)
    assert loaded == sealed
    assert loaded.files == FILES
    assert loaded.hash == site_hash(FILES)
    assert (tmp_path / "site" / "site.yaml").read_bytes() == FILES["site.yaml"]


def test_manifest_is_what_sha256sum_reads(tmp_path) -> None:
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum here")
    seal(tmp_path, FILES)
    subprocess.run([program, "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "site", check=True)


def test_new_site_takes_the_place_of_the_old(tmp_path) -> None:
    old = seal(tmp_path, FILES)
    new = seal(tmp_path, {**FILES, "site.yaml": b"schema: site/v1\nname: other\n"})
    assert load_sealed(tmp_path).hash == new.hash != old.hash
    assert not old.folder.exists()
    with pytest.raises(SealedSiteError, match="another site"):
        load_sealed(tmp_path, old.hash)


def test_sealing_again_after_a_crash_or_damage(tmp_path) -> None:
    sealed = seal(tmp_path, FILES)
    (tmp_path / "sealed.new").mkdir()
    (tmp_path / "site.new").symlink_to("nowhere")
    (sealed.folder / "site.yaml").unlink()
    assert seal(tmp_path, FILES) == sealed
    assert load_sealed(tmp_path) == sealed


def test_changed_or_missing_copy_is_refused(tmp_path) -> None:
    with pytest.raises(SealedSiteError, match="start control first"):
        load_sealed(tmp_path)
    sealed = seal(tmp_path, FILES)
    site = sealed.folder / "site.yaml"
    site.chmod(0o640)
    site.write_bytes(b"schema: site/v2\n")
    with pytest.raises(SealedSiteError, match="differs"):
        load_sealed(tmp_path)
    (sealed.folder / "SHA256SUMS").chmod(0o640)
    (sealed.folder / "SHA256SUMS").write_bytes(b"\xff nonsense")
    with pytest.raises(SealedSiteError, match="start control first"):
        load_sealed(tmp_path)


@pytest.mark.parametrize("name", ["/etc/x.yaml", "../x.yaml", "a/../../x.yaml", "a\nb", "SHA256SUMS", ""])
def test_name_that_leads_out_is_refused(tmp_path, name) -> None:
    with pytest.raises(SealedSiteError, match="outside the site's folder"):
        seal(tmp_path, {name: b""})


def test_files_are_named_from_the_site_or_the_library(tmp_path) -> None:
    site, outside = tmp_path / "demo" / "site.yaml", tmp_path / "shared.yaml"
    library = next(path for path in sorted(LIBRARY.rglob("*")) if path.is_file())
    site.parent.mkdir()
    site.write_bytes(b"a")
    outside.write_bytes(b"b")
    files = read_files(site.parent, [str(site), str(library)])
    assert files == {"site.yaml": b"a", f"library/{library.relative_to(LIBRARY)}": library.read_bytes()}
    with pytest.raises(SealedSiteError, match="move it in"):
        seal(tmp_path, read_files(site.parent, [str(outside)]))


def test_hash_tells_names_from_contents() -> None:
    assert site_hash({"a": b"b"}) != site_hash({"b": b"a"})
    assert site_hash({"a": b"", "b": b""}) == site_hash({"b": b"", "a": b""})
