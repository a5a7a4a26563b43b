"""Kernels always come from the cache, so the first training of an installation gives the bytes of every other."""

import os
import subprocess
import sys
from pathlib import Path

TRAIN = """
import hashlib
import numpy as np
from scipy.sparse import random_array
from shortlist.fm.machine import FactorizationMachine
purchases = random_array((60, 80), density=0.1, format="csr", dtype=np.float32, random_state=np.random.default_rng(1))
model = FactorizationMachine(n_factors=16, epochs=3, seed=1).fit(purchases).model
print(hashlib.sha256(model.users.factors.tobytes() + model.items.factors.tobytes()).hexdigest())
"""


def test_the_first_process_on_a_machine_trains_to_the_bytes_of_the_second(tmp_path: Path) -> None:
    # GIVEN a machine on which nothing is compiled
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}

    # WHEN two processes train one after the other
    trained = [
        subprocess.run(
            [sys.executable, "-c", TRAIN], check=True, capture_output=True, text=True, env=environment
        ).stdout
        for _ in range(2)
    ]

    # THEN both have the same model
    assert trained[0] == trained[1]
