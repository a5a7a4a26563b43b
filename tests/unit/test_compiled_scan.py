"""The search is compiled for any machine from any machine; only the library of the sources as they are is loaded."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from shortlist import compiled_scan
from shortlist.compiled_scan import compile_scan, library, library_name, this_machine
from shortlist.errors import ShortlistError

ELF_MACHINES = {"x86_64": 62, "arm64": 183}


@pytest.fixture
def own_source(tmp_path, monkeypatch):
    """A copy of the source that a test may change."""
    sources = [tmp_path / path.name for path in compiled_scan.SOURCES]
    for path, original in zip(sources, compiled_scan.SOURCES, strict=True):
        path.write_bytes(original.read_bytes())
    monkeypatch.setattr(compiled_scan, "SOURCES", sources)
    monkeypatch.setattr(compiled_scan, "FOLDER", tmp_path)
    library.cache_clear()
    yield sources[-1]
    library.cache_clear()


@pytest.mark.parametrize("machine", ["arm64", "x86_64"])
def test_the_same_source_gives_the_same_bytes_for_the_processor_asked_for(tmp_path, machine):
    first, second = (compile_scan(tmp_path / place, "linux", machine).read_bytes() for place in ("one", "two"))

    assert first == second
    assert first[:4] == b"\x7fELF"
    assert int.from_bytes(first[18:20], "little") == ELF_MACHINES[machine]
    assert len(first) < 64_000


def test_the_command_leaves_the_library_where_it_is_told(tmp_path):
    command = [sys.executable, "-m", "shortlist.compiled_scan", "--into", str(tmp_path), "--machine", "arm64"]
    done = subprocess.run([*command, "--system", "linux"], check=True, capture_output=True, text=True)

    path = Path(done.stdout.strip())

    assert path == tmp_path / library_name("linux", "arm64")
    assert path.exists()


def test_a_library_of_another_source_is_not_loaded(own_source, caplog):
    compile_scan(own_source.parent, sys.platform, this_machine())
    loaded = library()
    own_source.write_text(own_source.read_text() + "\n")
    library.cache_clear()

    with caplog.at_level(logging.WARNING):
        missing = library()

    assert loaded is not None
    assert missing is None
    assert "was not compiled" in caplog.text


def test_what_is_wrong_with_the_source_is_said(own_source):
    own_source.write_text("int main(")

    with pytest.raises(ShortlistError, match=r"the search cannot be compiled for aarch64-linux-gnu: .*error"):
        compile_scan(own_source.parent, "linux", "arm64")


def test_the_jobs_image_compiles_all_that_is_compiled_here():
    root = compiled_scan.FOLDER.parent
    dockerfile = (root / "jobs" / "Dockerfile").read_text()

    assert all(str(path.relative_to(root)) in dockerfile for path in compiled_scan.SOURCES)
