"""Counts of users and items in; memory that Repackage, BuildIndex and Rank take, beside what PlanCompute reckons, out.

What Prepare and Train would leave of such a shop is made up in a folder. Each stage works on it in a process of its
own, whose largest resident set counts, pages of mapped files included.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench._report import write_json
from shortlist.aws.clock import SystemClock
from shortlist.config import Campaign
from shortlist.contracts.arrays import Catalogue, Float32Array, StringTable, Withheld, npy_bytes
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import LIST_KINDS
from shortlist.contracts.manifests import Manifest, Output
from shortlist.contracts.payloads import Run, ShardRequest, StageRequest
from shortlist.dataset.dataset import FeatureMatrix
from shortlist.errors import MissingObjectError
from shortlist.fm.model import FactorModel, Side
from shortlist.ports import StoredObject
from shortlist.stages.build_index import build_index
from shortlist.stages.plan_compute import plan_compute
from shortlist.stages.rank import rank
from shortlist.stages.repackage import repackage

FACTORS: Final = 64
RUN: Final = Run(run_id="made-up", campaign="made-up", as_of="2026-01-05T06:00:00Z")
KEYS: Final = RunKeys(RUN.run_id)
SETTINGS: Final = {
    "n_factors": FACTORS,
    "unobserved_weight": 0.1,
    "regularization": 0.1,
    "regularization_exponent": 0.5,
}
WORDS: Final[Mapping[str, Callable[[int], str]]] = {
    "title": lambda row: f"A product with a title of some words, no. {row:09d}",
    "url": lambda row: f"https://shop.example.com/products/{row:09d}",
    "image_url": lambda row: f"https://images.example.com/products/{row:09d}-large.jpg",
    "currency": lambda row: "EUR",
    "category": lambda row: f"Category {row % 50}",
    "brand": lambda row: f"Brand {row % 700}",
}


class FolderStore:
    """An ObjectStore whose objects are files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> bytes:
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError as error:
            raise MissingObjectError(f"{self._folder / key} is not there.") from error

    def write(self, key: str, body: bytes) -> Output:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return Output(hashlib.sha256(body).hexdigest(), len(body))

    def write_if_absent(self, key: str, body: bytes) -> bool:
        absent = not self.exists(key)
        if absent:
            self.write(key, body)
        return absent

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._folder / key, path)

    def upload(self, path: Path, key: str) -> Output:
        place = self._folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        with place.open("rb") as file:
            return Output(hashlib.file_digest(file, "sha256").hexdigest(), place.stat().st_size)

    def exists(self, key: str) -> bool:
        return (self._folder / key).exists()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for path in sorted((self._folder / prefix).rglob("*")):
            if path.is_file():
                yield StoredObject(path.relative_to(self._folder).as_posix(), path.stat().st_size, "")

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self._folder / key).unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    if given.alone:
        manifest = work(given.alone, FolderStore(given.folder))
        print(json.dumps({"peak_rss_mib": manifest.peak_rss_mib, "cpu_seconds": round(time.process_time(), 1)}))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        store = FolderStore(Path(folder))
        make_up(store, given.users, given.items, given.purchases)
        reckoned = plan_compute(StageRequest(run=RUN), store=store)["stages"]
        results = []
        for stage, placement in reckoned.items():
            command = [sys.executable, "-m", "bench", "stage_memory", "--alone", stage, "--folder", folder]
            measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            results.append({"stage": stage, "reckoned_mib": placement["needs_mib"], **measured})
            print(f"{stage:10} {measured['peak_rss_mib']:8,.0f} MiB, reckoned {placement['needs_mib']:,} MiB")
    if given.json:
        shop = {"users": given.users, "items": given.items, "purchases_per_user": given.purchases}
        write_json(given.json, results, ["faiss-cpu", "numpy"], **shop)


def work(stage: str, store: FolderStore) -> Manifest:
    """Run a stage, Rank on the first shard."""
    clock = SystemClock()
    if stage == "Rank":
        return rank(ShardRequest(run=RUN, key=KEYS.user_shard("00000")), store=store, clock=clock)[0]
    run = {"Repackage": repackage, "BuildIndex": build_index}[stage]
    return run(StageRequest(run=RUN), store=store, clock=clock)[0]


def make_up(store: FolderStore, n_users: int, n_items: int, purchases: int) -> None:
    """What Prepare and Train leave, with three lists of 20 in shards of 5,000 users."""
    campaign = Campaign(name=RUN.campaign, lists=LIST_KINDS, x=20)
    fixed = PinnedRun(campaign=RUN.campaign, as_of=RUN.as_of, started_at=RUN.as_of)
    for key, value in ((KEYS.campaign, campaign), (KEYS.run, fixed)):
        store.write(key, msgspec.json.encode(value))
    nothing = Withheld(np.zeros(n_users + 1, np.int64), np.empty(0, np.int32))
    dataset = {
        "user_ids.npz": StringTable.of(f"customer-{row:09d}" for row in range(n_users)).to_bytes(),
        "item_ids.npz": StringTable.of(f"item-{row:09d}" for row in range(n_items)).to_bytes(),
        "items.npz": _catalogue(n_items).to_bytes(),
        "withheld.npz": nothing.to_bytes(),
    }
    for side, count in (("user", n_users), ("item", n_items)):
        dataset |= {f"{side}_features/{name}": body for name, body in _no_features(count).files()}
    _put(store, "Prepare", {KEYS.dataset(name): body for name, body in dataset.items()}, users=n_users, items=n_items)
    _put(store, "Train", _model(np.random.default_rng(1), n_users, n_items, purchases))


def _catalogue(n_items: int) -> Catalogue:
    never = np.full(n_items, -1, np.int64)
    return Catalogue(
        **{name: StringTable.of(map(word, range(n_items))) for name, word in WORDS.items()},
        price=np.ones(n_items),
        margin=np.ones(n_items),
        available_from=never,
        available_until=never,
        in_stock=np.ones(n_items, np.bool_),
        offer_from=never,
        offer_until=never,
    )


def _no_features(n_rows: int) -> FeatureMatrix:
    indptr = np.zeros(n_rows + 1, np.int64)
    return FeatureMatrix(indptr, np.empty(0, np.int32), np.empty(0, np.float32), StringTable.of([]))


def _model(rng: np.random.Generator, n_users: int, n_items: int, purchases: int) -> dict[str, bytes]:
    def normal(*shape: int) -> Float32Array:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.3)

    def side(n_rows: int) -> Side:
        return Side(normal(n_rows, FACTORS), normal(n_rows), normal(0, FACTORS), normal(0))

    first, step = rng.integers(0, n_items, n_users), max(1, n_items // purchases)
    rows = np.sort((first[:, None] + step * np.arange(min(purchases, n_items))) % n_items, axis=1).ravel()
    history: dict[str, NDArray[np.generic]] = {
        "indptr": np.arange(0, len(rows) + 1, len(rows) // n_users, dtype=np.int64),
        "item_rows": rows.astype(np.int32),
        "repeat": rng.random(len(rows), dtype=np.float32),
        "weight": 1 + rng.random(len(rows), dtype=np.float32),
        "last_seen": np.full(len(rows), 1_767_000_000, np.int64),
        "days": np.ones(len(rows), np.int32),
    }
    with tempfile.TemporaryDirectory() as folder:
        FactorModel(0.1, side(n_users), side(n_items), SETTINGS).save(Path(folder))
        files = {KEYS.model(f"fm/{path.name}"): path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return files | {KEYS.model(f"history/{name}.npy"): npy_bytes(array) for name, array in history.items()}


def _put(store: FolderStore, stage: str, files: Mapping[str, bytes], **summary: int) -> None:
    outputs = {key: store.write(key, body) for key, body in files.items()}
    manifest = Manifest(stage=stage, inputs="", outputs=outputs, summary=summary, seconds=0.0, peak_rss_mib=0.0)
    store.write(KEYS.manifest(stage), msgspec.json.encode(manifest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench stage_memory", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--purchases", type=int, default=27, help="of different items, by each user")
    parser.add_argument("--folder", type=Path, help="where to make the shop up; the system's for temporary files")
    parser.add_argument("--alone", choices=["Repackage", "BuildIndex", "Rank"], help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    return parser
