"""A fit of ratings or classes that is cut off, told to end, or killed: the next one goes on to the same bytes."""

import hashlib
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from shortlist.fm.inputs import Examples, FeatureGroups
from shortlist.fm.machine import FactorizationMachine

OBJECTIVES = ("regression", "classification")
SOLVERS = ("gibbs", "variational", "als")
SCRIPT = """
import sys
from pathlib import Path
from tests.unit.test_fm_ratings_interrupted import fit_long

fit_long(sys.argv[1], Path(sys.argv[2]), lambda report: print(report.epoch, flush=True))
"""


class ReclaimedError(Exception):
    pass


def random_rows(rng, n, width):
    return csr_array((rng.random((n, width)) < 0.5).astype(np.float32))


def ratings(objective, seed=0, n=400):
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal(n) if objective == "regression" else rng.integers(0, 2, n)
    return Examples(rng.integers(0, 30, n), rng.integers(0, 20, n), targets, 30, 20, random_rows(rng, n, 3))


def fit(objective, solver="gibbs", *, examples=None, groups=(0, 0, 1), epochs=6, stop=None, **settings):
    """Epochs 4, 5 and 6 are kept. The machine (None where it was stopped after epoch `stop`), and the epochs run."""
    on_epoch, checkpoint, validate = (settings.pop(name, None) for name in ("on_epoch", "checkpoint", "validate"))
    rng, epochs_run = np.random.default_rng(1), []

    def tell(report):
        epochs_run.append(report.epoch)
        if on_epoch:
            on_epoch(report)
        if report.epoch == stop:
            raise ReclaimedError

    machine = FactorizationMachine(
        objective,
        solver=solver,
        epochs=epochs,
        **{"n_factors": 4, "n_samples": 3, "warm_up": 2, "n_threads": 1} | settings,
    )
    try:
        machine.fit(
            examples or ratings(objective),
            random_rows(rng, 30, 2),
            random_rows(rng, 20, 3),
            feature_groups=FeatureGroups(items=np.array(groups)),
            validate=validate,
            on_epoch=tell,
            checkpoint=checkpoint,
        )
    except ReclaimedError:
        return None, epochs_run
    return machine, epochs_run


def fit_long(objective, checkpoint=None, on_epoch=None):
    """Draws are kept from the first epochs on."""
    return fit(objective, epochs=60, n_samples=30, warm_up=0, on_epoch=on_epoch, checkpoint=checkpoint)


def digest(machine):
    return hashlib.sha256(b"".join(array.tobytes() for array in machine.model.arrays().values())).hexdigest()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_that_was_cut_off_ends_with_the_same_bytes(tmp_path, objective, solver):
    # GIVEN one that is cut off in the warm-up, and again after two draws are kept
    undisturbed, _ = fit(objective, solver, n_threads=2)
    fit(objective, solver, stop=1, checkpoint=tmp_path)
    _, second = fit(objective, solver, stop=5, checkpoint=tmp_path)

    # WHEN it goes on
    resumed, third = fit(objective, solver, checkpoint=tmp_path)

    # THEN no epoch was run twice, and nothing differs
    assert (second, third) == ([2, 3, 4, 5], [6])
    assert digest(resumed) == digest(undisturbed)


def test_a_draw_is_written_once(tmp_path):
    fit("regression", stop=5, checkpoint=tmp_path)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "draws").rglob("*.npy")}

    fit("regression", checkpoint=tmp_path)

    assert sorted(folder.name for folder in (tmp_path / "draws").iterdir()) == ["0", "1", "2"]
    assert {file: file.stat().st_mtime_ns for file in written} == written


@pytest.mark.parametrize(
    ("torn", "then"),
    [
        ("1/manifest.json", [5, 6]),
        ("1/noise.npy", [5, 6]),
        ("draws/1/manifest.json", [5, 6]),
        ("draws/1/user_factors.npy", [5, 6]),
        ("draws/0/user_factors.npy", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_torn_state_or_draw_is_passed_over(tmp_path, torn, then):
    # GIVEN states after epochs 4 and 5, which have one draw and two, and a file that was not written to its end
    fit("classification", stop=5, checkpoint=tmp_path)
    file = tmp_path / torn
    file.write_bytes(file.read_bytes()[:-9])

    # WHEN the fit goes on
    resumed, epochs_run = fit("classification", checkpoint=tmp_path)

    # THEN it does so from the newest state of which everything is there
    assert epochs_run == then
    assert digest(resumed) == digest(fit("classification")[0])


@pytest.mark.parametrize(
    "other",
    [
        {"examples": ratings("regression", seed=9)},
        {"examples": replace(ratings("regression"), context=None)},
        {"examples": replace(ratings("regression"), targets=ratings("regression").targets + 1)},
        {"groups": (0, 1, 1)},
        {"seed": 7},
        {"n_factors": 5},
        {"n_samples": 2},
        {"warm_up": 1},
        {"epochs": 7},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_checkpoint_of_other_data_or_settings_is_not_taken_up(tmp_path, other):
    fit("regression", stop=5, checkpoint=tmp_path)

    resumed, epochs_run = fit("regression", checkpoint=tmp_path, **other)

    assert epochs_run[0] == 1
    assert digest(resumed) == digest(fit("regression", **other)[0])


def test_another_fit_that_begins_in_the_folder_does_not_lend_its_draws(tmp_path):
    # GIVEN a fit that keeps every epoch, and the first epoch of another beside its last state
    fit("regression", stop=4, warm_up=0, n_samples=6, checkpoint=tmp_path)
    fit("regression", stop=1, warm_up=0, n_samples=6, seed=7, checkpoint=tmp_path)

    # WHEN the first one goes on
    resumed, epochs_run = fit("regression", warm_up=0, n_samples=6, checkpoint=tmp_path)

    # THEN its state, of which a draw is gone, is not taken up
    assert epochs_run[0] == 1
    assert digest(resumed) == digest(fit("regression", warm_up=0, n_samples=6)[0])


@pytest.mark.parametrize("solver", ["variational", "als"])
def test_more_epochs_go_on_from_fewer_where_nothing_is_spread_over_them(tmp_path, solver):
    fit("regression", solver, epochs=3, checkpoint=tmp_path)

    longer, epochs_run = fit("regression", solver, checkpoint=tmp_path)

    assert epochs_run == [4, 5, 6]
    assert digest(longer) == digest(fit("regression", solver)[0])


def test_a_fit_cut_off_remembers_its_metrics(tmp_path):
    metrics = iter([0.1, 0.3, 0.2, 0.2, 0.9])

    def validate(model):
        return next(metrics)

    fit("regression", stop=3, patience=2, validate=validate, checkpoint=tmp_path)

    machine, _ = fit("regression", patience=2, validate=validate, checkpoint=tmp_path)

    assert (machine.n_epochs, machine.best_epoch) == (4, 2)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_ends_by_a_signal_leaves_what_the_next_one_needs(tmp_path, sent, objective):
    # GIVEN a process that draws or writes
    command = [sys.executable, "-c", SCRIPT, objective, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        told = [process.stdout.readline().strip() for _ in range(9)]

        # WHEN its machine is reclaimed
        process.send_signal(sent)
        assert process.wait(10) == -sent

    # THEN the next process does what is left, and ends where an undisturbed one ends
    resumed, epochs_run = fit_long(objective, tmp_path)
    assert told == [str(epoch) for epoch in range(1, 10)]
    assert 9 < epochs_run[0] <= 60
    assert epochs_run == list(range(epochs_run[0], 61))
    assert digest(resumed) == digest(fit_long(objective)[0])
