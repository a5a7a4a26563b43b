"""What is unpacked once is found by everybody, and goes when nobody has used it for longest."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from local import code_cache
from local.code_cache import CodeCache
from tests.conformance.kit import archive


def unpack(cache: CodeCache, content: str) -> Path:
    packed = archive(index=content)
    return cache.unpacked(packed, sha256(packed).hexdigest())


def test_a_content_is_unpacked_once(tmp_path: Path) -> None:
    with CodeCache(tmp_path / "code") as cache:
        folder = unpack(cache, "x = 1")
        (folder / "index.pyc").touch()

    with CodeCache(tmp_path / "code") as later:
        again = unpack(later, "x = 1")

    assert again == folder
    assert sorted(path.name for path in again.iterdir()) == ["index.py", "index.pyc"]


def test_what_another_was_faster_to_unpack_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CodeCache(tmp_path / "code") as cache:
        theirs = unpack(cache, "x = 1")
        monkeypatch.setattr(Path, "is_dir", lambda _: False)  # as it was when we looked
        ours = unpack(cache, "x = 1")

    assert ours == theirs
    assert list((tmp_path / "code").iterdir()) == [theirs]


def test_what_was_used_longest_ago_goes_and_what_a_broken_run_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_cache, "KEPT_BYTES", 2 * len("x = 1"))
    with CodeCache(tmp_path / "code") as cache:
        folders = [unpack(cache, f"x = {number}") for number in range(3)]
        (tmp_path / "code" / "unfinished-1").mkdir()
        for age, folder in enumerate(folders):
            os.utime(folder, (1000 - age, 1000 - age))
        unpack(cache, "x = 2")

    with CodeCache(tmp_path / "code"):
        kept = {path.name for path in (tmp_path / "code").iterdir()}

    assert kept == {folders[0].name, folders[2].name}


def test_nothing_goes_while_another_uses_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "KEPT_BYTES", 0)
    with CodeCache(tmp_path / "code") as cache:
        folder = unpack(cache, "x = 1")
        with CodeCache(tmp_path / "code"):
            meanwhile = folder.is_dir()

    with CodeCache(tmp_path / "code"):
        afterwards = folder.is_dir()

    assert (meanwhile, afterwards) == (True, False)
