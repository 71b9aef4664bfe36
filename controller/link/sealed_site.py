"""The sealed site: a copy of all files control parsed, with their checksums, from which every other process loads.

`site` in the run directory is a link to `sealed-<hash>`, replaced by one rename, so that a reader finds either the
old site or the new one, whole. The manifest is in the form of sha256sum; the site hash is the SHA-256 of the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from controller.plant.site_files import LIBRARY

_MANIFEST = "SHA256SUMS"


class SealedSiteError(Exception):
    """The sealed copy is missing, changed, or of another site."""


@dataclass(frozen=True, slots=True)
class SealedSite:
    """A sealed copy: where, its 32-byte hash, and the verified contents by name."""

    folder: Path
    hash: bytes
    files: Mapping[str, bytes]


def read_files(site_folder: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of a plant's files by the names they are sealed under: relative, or `library/...`.

    What lies elsewhere keeps its path as its name, which `seal` refuses. Between parsing and this reading a file may
    have changed: run from what was sealed.
    """
    return {_name_of(site_folder, Path(path)): Path(path).read_bytes() for path in paths}


def manifest_of(files: Mapping[str, bytes]) -> str:
    """Return the manifest of files, sorted by name."""
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))


def site_hash(files: Mapping[str, bytes]) -> bytes:
    """Return the site hash (32 bytes) of files, whether sealed or not."""
    return hashlib.sha256(manifest_of(files).encode()).digest()


def seal(run_folder: Path, files: Mapping[str, bytes]) -> SealedSite:
    """Store `files` (the very bytes that were parsed, by relative name) as the sealed site, in place of the last one.

    Raises:
        SealedSiteError: A name leads out of the site's folder.
        OSError: No space, no right.
    """
    _require_inside(files)
    sealed_hash = site_hash(files)
    with contextlib.suppress(SealedSiteError):
        return load_sealed(run_folder, sealed_hash)  # the same site again: faces that are loading it go on
    folder = run_folder / f"sealed-{sealed_hash.hex()[:16]}"
    aside = run_folder / "sealed.new"
    shutil.rmtree(aside, ignore_errors=True)
    for name, content in {**files, _MANIFEST: manifest_of(files).encode()}.items():
        _write(aside, name, content)
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    link = run_folder / "site.new"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.rename(run_folder / "site")
    for other in run_folder.glob("sealed-*"):
        if other != folder:
            shutil.rmtree(other)
    return SealedSite(folder, sealed_hash, dict(files))


def load_sealed(run_folder: Path, expected_hash: bytes | None = None) -> SealedSite:
    """Load and verify the sealed site.

    Raises:
        SealedSiteError: There is none, a file differs from the manifest, or its hash is not `expected_hash`.
    """
    try:
        folder = run_folder / (run_folder / "site").readlink()
        manifest = (folder / _MANIFEST).read_text(encoding="utf-8")
        names = [line.split("  ", 1)[1] for line in manifest.splitlines()]
        files = {name: (folder / name).read_bytes() for name in names}
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise SealedSiteError(f"{run_folder}: no readable sealed site ({error}); start control first") from error
    if manifest_of(files) != manifest:
        raise SealedSiteError(f"{folder}: a file differs from {_MANIFEST}; start control anew from the site's files")
    sealed_hash = site_hash(files)
    if expected_hash not in {None, sealed_hash}:
        raise SealedSiteError(f"{folder}: sealed from another site than the one that is running")
    return SealedSite(folder, sealed_hash, files)


def _name_of(site_folder: Path, path: Path) -> str:
    if path.is_relative_to(site_folder):
        return path.relative_to(site_folder).as_posix()
    return f"library/{path.relative_to(LIBRARY).as_posix()}" if path.is_relative_to(LIBRARY) else str(path)


def _require_inside(names: Iterable[str]) -> None:
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\n" in name or name in {"", _MANIFEST}:
            raise SealedSiteError(f"{name!r}: lies outside the site's folder; move it in, or name it otherwise")


def _write(folder: Path, name: str, content: bytes) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o440)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
