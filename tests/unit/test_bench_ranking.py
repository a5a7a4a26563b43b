"""The ranking bench: what it reads, how it counts, and that choosing settings sees no test pair."""

import gzip
import json

import numpy as np
import pytest
from scipy.sparse import csr_array

from bench import ranking, ranking_plot
from bench._contenders import ours
from bench._figures import recall_and_ndcg
from bench._turns import Setting
from shortlist.errors import DatasetError


def test_an_adjacency_file_is_a_user_and_its_items_a_line_plain_or_compressed(tmp_path):
    (tmp_path / "train.txt").write_text("0 2 1\n2 0\n3\n")
    with gzip.open(tmp_path / "test.txt.gz", "wt") as file:
        file.write("0 4\n")

    train, test = ranking.read_adjacency(tmp_path / "train.txt", tmp_path / "test.txt.gz")

    assert train.toarray().tolist() == [[0, 1, 1, 0, 0], [0] * 5, [1, 0, 0, 0, 0]]
    assert test.toarray().tolist() == [[0, 0, 0, 0, 1], [0] * 5, [0] * 5]


@pytest.mark.parametrize("line", ["0 a", "0 -1", "0 1.5"])
def test_a_line_that_is_no_list_of_rows_is_named(tmp_path, line):
    path = tmp_path / "train.txt"
    path.write_text(f"1 2\n{line}\n")

    with pytest.raises(DatasetError, match="line 2"):
        ranking.read_adjacency(path, path)


def test_recall_divides_by_everything_held_out_and_training_items_are_no_candidates():
    n_items = 50
    users, items = np.ones((1, 1), np.float32), np.arange(n_items, 0, -1, dtype=np.float32)[:, None]
    train, held_out = np.zeros((1, n_items), np.float32), np.zeros((1, n_items), np.float32)
    train[0, 0] = 1  # the best item is known already: the list is items 1 to 20
    held_out[0, 1] = 1
    held_out[0, 26:] = 1

    recall, ndcg = recall_and_ndcg(users, items, csr_array(train), csr_array(held_out))

    assert recall == pytest.approx(1 / 25)
    assert ndcg == pytest.approx(1 / (1 / np.log2(np.arange(2, 22))).sum())


def test_held_out_and_kept_pairs_are_the_training_pairs():
    train = csr_array((np.random.default_rng(0).random((40, 30)) < 0.3).astype(np.float32))

    kept, out = ranking.hold_out(train, 0.1)

    assert np.array_equal((kept + out).toarray(), train.toarray())
    bought = np.diff(train.indptr)
    assert np.array_equal(np.diff(out.indptr), np.maximum(np.round(0.1 * bought), 1))


def test_who_bought_one_thing_keeps_it():
    kept, out = ranking.hold_out(csr_array(np.array([[0, 1, 0], [1, 0, 1]], np.float32)), 0.1)

    assert np.diff(kept.indptr).tolist() == [1, 1]
    assert np.diff(out.indptr).tolist() == [0, 1]


def test_contenders_train_in_turns_and_the_figures_are_written(tmp_path, capsys):
    bought = np.random.default_rng(1).random((60, 40)) < np.where(np.add.outer(range(60), range(40)) % 2, 0.4, 0.02)
    held = np.random.default_rng(2).random(bought.shape) < 0.2
    for name, pairs in (("train", bought & ~held), ("test", bought & held)):
        lines = [" ".join(map(str, [user, *np.flatnonzero(row)])) for user, row in enumerate(pairs)]
        (tmp_path / name).write_text("\n".join(lines))
    files = ["--train", str(tmp_path / "train"), "--test", str(tmp_path / "test"), "--json", str(tmp_path / "out.json")]
    settings = '{"implicit": {"alpha": 20.0, "regularization": 1.0}}'

    files += ["--speed-plot", str(tmp_path / "speed.png")]
    ranking.main([*files, "--n-factors", "4,6", "--epochs", "3", "--peers", "implicit", "--settings", settings])

    report = json.loads((tmp_path / "out.json").read_text())
    assert [row["name"] for row in report["results"]] == ["shortlist", "implicit"] * 2
    assert [row["n_factors"] for row in report["results"]] == [4, 4, 6, 6]
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    for row in report["results"]:
        assert row["epochs"] == 3
        assert row["recall_at_20"] > 0.8  # 20 of 40 items, two clear halves
        assert 0 < row["seconds_per_epoch"] < row["seconds_total"]
        assert row["peak_rss_mib"] > 10
    assert report["results"][1]["settings"] == {"alpha": 20.0, "regularization": 1.0}
    assert {"machine", "versions", "commit"} <= report.keys()
    assert "ndcg_at_20" in capsys.readouterr().out


def test_two_machines_end_to_end_add_their_scores():
    bought = csr_array((np.random.default_rng(1).random((60, 40)) < 0.2).astype(np.float32))
    alone: dict[str, Setting] = {"n_factors": 4, "seed": 1}
    both = alone | {"loss": "softmax", "squared_factors": 6, "squared_epochs": 3, "squared_weight": 2.0}

    users, items = ours(bought, 2, both, lambda: None)

    softmax, squared = (
        np.matmul(rows[0], rows[1].T)
        for rows in (
            ours(bought, 2, alone | {"loss": "softmax"}, lambda: None),
            ours(bought, 3, alone | {"n_factors": 6}, lambda: None),
        )
    )
    assert users.shape == (60, 4 + 6 + 1)
    np.testing.assert_allclose(users @ items.T, (softmax + 2 * squared) / 2, atol=1e-5)


def test_a_picture_has_a_line_for_every_loss_and_peer():
    shared = {"recall_at_20": 0.1, "ndcg_at_20": 0.2}
    squared, softmax, peer = (
        {"name": name, "n_factors": 8, "settings": settings} | shared
        for name, settings in (("shortlist", {}), ("shortlist", {"loss": "softmax"}), ("implicit", {}))
    )
    blend = softmax | {"settings": {"loss": "softmax", "squared_factors": 16}}

    figure = ranking_plot.plot([squared, squared | {"n_factors": 16}, softmax, blend, peer])

    for axes in figure.axes:
        named = {line.get_label(): list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "-"}
        assert named == {
            "shortlist, squared": [8, 16],
            "shortlist, softmax": [8],
            "shortlist, softmax + squared": [24],
            "implicit": [8],
        }
