from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from controller.plant.migrations import MIGRATIONS, migrated, newer, upgraded_text
from controller.plant.site_loader import load_site
from controller.plant.yaml_tree import plain, read_document

OLD = Path(__file__).parent / "v0_site"
FILES = ("site.yaml", "protections.yaml", "devices/old-rack.yaml")


def texts(old: Path = OLD) -> dict[str, str]:
    return {name: (old / name).read_text(encoding="utf-8") for name in FILES}


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


def test_a_site_of_the_first_draft_still_loads_and_says_what_to_do():
    result = load_site(OLD)

    assert [str(m) for m in result.errors] == []
    assert result.plant is not None
    assert [m.place.file for m in result.warnings] == sorted(FILES)
    assert {m.hint for m in result.warnings} == {"rewrite the file with: bess upgrade-config SITE --write"}


def test_upgrading_changes_spellings_and_nothing_else(tmp_path):
    for name, text in texts().items():
        new, version = upgraded_text(name, text)
        assert version.endswith("/v0")
        assert comments(new) == comments(text)
        assert len(new.splitlines()) == len(text.splitlines())
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(new, encoding="utf-8")
    upgraded = load_site(tmp_path)

    assert upgraded.text() == ""
    assert upgraded.plant is not None
    old = load_site(OLD).plant
    assert old is not None
    assert upgraded.plant.digest == old.digest
    assert "chemistry" not in (tmp_path / "site.yaml").read_text()


def test_the_tree_and_the_text_are_changed_alike():
    for name, text in texts().items():
        document, _ = read_document(name, text.encode())
        again, _ = read_document(name, upgraded_text(name, text)[0].encode())
        assert plain(migrated(document)[0].root) == plain(again.root)


def test_messages_of_an_old_file_point_into_it_as_it_is(tmp_path):
    for name, text in texts().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("life: 60 s", "life: 60 V"), encoding="utf-8")
    (wrong,) = load_site(tmp_path).errors
    line = (tmp_path / "site.yaml").read_text().splitlines()[wrong.place.line - 1]
    assert line[wrong.place.col - 1 :].startswith("60 V")


def test_a_new_file_is_left_alone():
    text = "schema: site/v1\nbatteries: {x: {chemistry: lfp}}\n"
    assert upgraded_text("site.yaml", text) == (text, "")


def test_every_migration_leads_to_a_newer_version():
    assert newer("site/v0") == "site/v1"
    assert all(re.fullmatch(r"\w+/v\d+", version) for version in MIGRATIONS)


@given(st.text(alphabet="ab:{}[],-&*! \n\"'|>#%@`\tl", max_size=60))
def test_no_text_breaks_an_upgrade(body):
    text = f"schema: site/v0\ncontrols: {{setpoint: {{life: 60 s}}}}\n{body}"
    new, _ = upgraded_text("site.yaml", text)
    document, messages = read_document("f", text.encode())
    if not messages and document.root is not None:
        assert plain(read_document("f", new.encode())[0].root) == plain(migrated(document)[0].root)
