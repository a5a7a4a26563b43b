"""A training process that is told to end, or killed, in the middle: the next one goes on to the same bytes."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.progress import EpochReport

EPOCHS = 6
SCRIPT = """
import sys, time
from pathlib import Path
from tests.unit.test_fm_interrupted import fit

def tell(report):
    print(report.epoch, flush=True)
    if report.epoch == 3:
        time.sleep(60)

fit(Path(sys.argv[1]), tell)
"""


def fit(checkpoint: Path | None = None, on_epoch=None) -> FactorizationMachine:
    rng = np.random.default_rng(3)
    pairs = csr_array((rng.random((300, 80)) < 0.1).astype(np.float32))
    groups = csr_array((np.ones(80, np.float32), np.arange(80) % 5, np.arange(81)), shape=(80, 5))
    validate = lambda model: float(np.linalg.norm(model.items.factors))  # noqa: E731
    machine = FactorizationMachine(n_factors=8, epochs=EPOCHS, patience=EPOCHS)
    return machine.fit(pairs, None, groups, validate=validate, on_epoch=on_epoch, checkpoint=checkpoint)


def digest(machine: FactorizationMachine) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in machine.model.arrays().values())).hexdigest()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_ends_by_a_signal_leaves_what_the_next_one_needs(tmp_path, sent):
    # GIVEN a process that has trained three epochs and is busy
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        told = [process.stdout.readline().strip() for _ in range(3)]

        # WHEN its machine is reclaimed
        process.send_signal(sent)
        assert process.wait(10) == -sent

    # THEN the next process does what is left, and ends where an undisturbed one ends
    reports: list[EpochReport] = []
    resumed = fit(tmp_path, reports.append)
    assert told == ["1", "2", "3"]
    assert [report.epoch for report in reports] == [4, 5, 6]
    assert digest(resumed) == digest(fit())
