"""Lambda's processor is emulated: what its search and reasons give is what numpy gives here, to the last bit."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shortlist import scan, topx
from shortlist.compiled_scan import FLAGS, SOURCES
from shortlist.fm import explain as explain_module
from shortlist.fm.explain import Explainer
from shortlist.fm.fold_in import RowSolver
from shortlist.scan import OVERFLOWN, USERS_AT_ONCE, ExactSearch
from tests.searching import seen_csr

EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
SOURCE = Path(__file__).parents[1] / "arm64" / "kernels.c"
OF_A_LIBRARY = {"-shared", "-fPIC", "-ffreestanding", "-nostdlib", "-mcpu=baseline"}
pytestmark = pytest.mark.skipif(EMULATOR is None, reason="no qemu-aarch64: apt install qemu-user")


class Arm64:
    """Stands in for the library: a call is run by a process of the emulated processor."""

    def __init__(self, program: Path, n_items: int = 0) -> None:
        self._program, self._n_items = program, n_items

    def run(self, kind: bytes, *parts: bytes) -> bytes:
        command = [str(EMULATOR), "-cpu", "max", str(self._program)]
        return subprocess.run(command, input=kind + b"".join(parts), check=True, capture_output=True).stdout

    def ranker(self, items, users, tile, ranking):
        """As scan._ranker, of all users at once."""
        n_users = users.n_users
        n_seen = int(_at(users.seen_from, (n_users + 1) * 8, np.int64)[-1])
        numbers = (items.n_items, items.n_dims, items.n_quads, items.n_blocks, items.block_items, n_users, n_seen)
        k, row, codes = ranking.items.shape[1], items.n_dims * 4, items.n_quads * 4
        coded = items.n_blocks * items.block_items * codes
        of_items = [items.n_items * row, items.n_items * 4, coded, *[items.n_blocks * 8] * 4]
        of_users = [n_users * row, (n_users + scan.TILE_USERS) * codes, *[n_users * 8] * 3, n_users * 4]
        sizes = [(items, of_items), (users, [*of_users, (n_users + 1) * 8, n_seen * 4])]
        arrays = [
            _at(getattr(side, name), size).tobytes()
            for side, wanted in sizes
            for name, size in zip([f for f, kind in side._fields_ if kind is ctypes.c_void_p], wanted, strict=True)
        ]

        def rank_all(start: int) -> None:
            if start == 0:
                head = np.array([tile.kind, USERS_AT_ONCE, k, 8 * k + scan.CANDIDATES, *numbers], np.int64)
                out = self.run(b"r", head.tobytes(), *arrays)
                cells = n_users * k
                ranking.items[:] = np.frombuffer(out[: 4 * cells], np.int32).reshape(n_users, k)
                ranking.scores[:] = np.frombuffer(out[4 * cells :], np.float64).reshape(n_users, k)

        return rank_all

    def explain_bytes(self, n_dims, most_bought):
        self._most = most_bought.value
        return 4

    def explain(self, items, users, start, stop, workspace, named, parts):
        """As explain.c has it; all users come in one call."""
        i, u, n_users = items._obj, users._obj, stop.value - start.value
        n = int(_at(getattr(u, "from"), (n_users + 1) * 8, np.int64)[-1])
        cells = n_users * u.n_places * 4
        of_items = {"rows": self._n_items * i.n_dims * 4, "spans": self._n_items * 8, "wanted": self._n_items * 4}
        of_users = {"from": (n_users + 1) * 8, "bought": n * 4, "weight": n * 4, "strength": n_users * 4}
        rows = n_users * i.n_dims * 4
        of_users |= {"own": rows, "length": n_users * 4, "prior": rows, "listed": cells}
        arrays = [
            *(
                _at(getattr(i, name), size)
                for name, size in (of_items | dict.fromkeys(("shared", "pull"), i.n_dims * 4)).items()
            ),
            *(_at(getattr(u, name), size) for name, size in of_users.items()),
            *(_at(out.value, size) for out, size in ((named, cells), (parts, 3 * cells))),
        ]
        head = np.array([self._n_items, i.n_dims, n_users, u.n_places, n, self._most], np.int64)
        out = self.run(b"e", head.tobytes(), *(array.tobytes() for array in arrays))
        ctypes.memmove(named.value, out[:cells], cells)
        ctypes.memmove(parts.value, out[cells:], 3 * cells)


def _at(address, n_bytes, kind=np.uint8):
    return np.frombuffer(ctypes.string_at(address, n_bytes), kind) if n_bytes else np.zeros(0, kind)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("arm64") / "kernels"
    flags = [flag for flag in FLAGS if flag not in OF_A_LIBRARY]
    target = ["-target", "aarch64-linux-musl", "-static", "-o", str(path)]
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *flags, *target, *map(str, (SOURCE, *SOURCES))],
        check=True,
        capture_output=True,
    )
    return path


@pytest.mark.parametrize(("n_items", "dims", "k"), [(700, 17, 5), (3_000, 65, 20), (40, 3, 40)])
def test_the_search_of_arm64_gives_the_lists_of_numpy(program, monkeypatch, n_items, dims, k):
    rng = np.random.default_rng(dims)
    queries = rng.normal(0, 1, (37, dims)).astype(np.float32)
    vectors = (rng.normal(0, 1, (n_items, dims)) * rng.lognormal(0, 1, (n_items, 1))).astype(np.float32)
    seen = seen_csr([set(rng.choice(n_items, 15, replace=False).tolist()) for _ in queries])
    monkeypatch.setattr(scan, "_ranker", Arm64(program).ranker)

    found = ExactSearch(vectors, "dotprod").rank_unseen(queries, seen, k)

    plain = topx.rank_unseen(queries, vectors, seen, k)
    assert not (found.items == OVERFLOWN).any()
    assert found.items.tobytes() == plain.items.tobytes()
    assert found.scores.tobytes() == plain.scores.tobytes()


@pytest.mark.parametrize(("n_items", "dims", "n_bought"), [(300, 16, 40), (2_000, 64, 200)])
def test_the_reasons_of_arm64_are_those_of_numpy(program, monkeypatch, n_items, dims, n_bought):
    rng = np.random.default_rng(dims)
    items = rng.normal(0, 0.3, (n_items, dims + 1)).astype(np.float32)
    bought = [np.sort(rng.choice(n_items, n_bought, replace=False)).astype(np.int32) for _ in range(9)]
    indptr, weight = np.arange(10) * n_bought, rng.lognormal(0, 1, 9 * n_bought).astype(np.float32)
    latent, prior = rng.normal(0, 0.3, (2, 9, dims + 1)).astype(np.float32)
    listed = rng.integers(-1, n_items, (9, 30)).astype(np.int32)
    model = {"unobserved_weight": 0.1, "regularization": 0.5, "regularization_exponent": 0.5}
    explainer = Explainer(RowSolver.for_users(items, model), items)
    asked = (indptr, np.concatenate(bought), weight, latent, prior, listed)
    monkeypatch.setattr(explain_module, "library", lambda: None)
    plain = explainer.explain_all(*asked)
    monkeypatch.setattr(explain_module, "library", lambda: Arm64(program, n_items))
    monkeypatch.setattr(explain_module, "tiles_here", lambda: ["dotprod"])

    found = explainer.explain_all(*asked)

    held = listed >= 0
    assert (found.purchase[held] >= 0).any()
    for name in ("purchase", "purchases", "features", "base"):
        assert getattr(found, name)[held].tobytes() == getattr(plain, name)[held].tobytes()
