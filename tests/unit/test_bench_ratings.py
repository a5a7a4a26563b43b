"""The benches of ratings and classes: files of three formats, the figures, and a run from file to JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import classify, made_up_ratings, rating
from bench._folds import Outcome, Runs
from bench._movielens import FORMATS, Features, read_items, read_ratings, read_users
from shortlist.errors import DatasetError

RATINGS = {
    "movielens-csv": "userId,movieId,rating,timestamp\n1,10,4.5,9\n2,11,3.0,9\n",
    "movielens-tab": "1\t10\t4.5\t9\n2\t11\t3.0\t9\n",
    "movielens-dat": "1::10::4.5::9\n2::11::3.0::9\n",
}
ITEMS = {
    "movielens-csv": 'movieId,title,genres\n10,"Heat, the",Action|Crime\n11,Toys,Comedy\n',
    "movielens-tab": "10|Heat|1995||http|1|0|1\n11|Toys|1995||http|0|1|0\n",
    "movielens-dat": "10::Heat::Action|Crime\n11::Toys::Comedy\n",
}
USERS = {
    "movielens-csv": "userId,gender,job\n1,F,nurse\n2,M,nurse\n",
    "movielens-tab": "1|24|F|nurse|85711\n2|53|M|nurse|94043\n",
    "movielens-dat": "1::F::24::7::85711\n2::M::53::7::94043\n",
}


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "file"
    path.write_bytes(text.encode(encoding))
    return path


def same_features(a: Features, columns: list[list[float]]) -> bool:
    """Whether these are the columns, in any order."""
    return sorted(a.rows.toarray().T.tolist()) == sorted(columns)


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_gives_the_same_ratings_and_features(form, tmp_path):
    ratings = read_ratings(written(tmp_path, RATINGS[form]), form)
    items = read_items(written(tmp_path, ITEMS[form]), form, ["10", "11", "12"])
    users = read_users(written(tmp_path, USERS[form]), form, ["2", "1"])

    assert (ratings.user_ids, ratings.item_ids, ratings.values.tolist()) == (["1", "2"], ["10", "11"], [4.5, 3.0])
    assert same_features(items, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    ages = [] if form == "movielens-csv" else [[1, 0], [0, 1]]
    assert same_features(users, [[1, 0], [0, 1], [1, 1], *ages])  # one column for the job they share
    assert len(set(users.groups.tolist())) == (2 if form == "movielens-csv" else 3)


def test_titles_in_latin_1_are_read(tmp_path):
    items = read_items(written(tmp_path, "10::Misérables::Drama\n", "latin-1"), "movielens-dat", ["10"])

    assert items.rows.toarray().tolist() == [[1]]


@pytest.mark.parametrize(
    ("form", "text", "says"),
    [
        ("movielens-csv", "userId,movieId,rating\n1,10,4\n1,11,good\n", "line 3: the rating 'good' is no number"),
        ("movielens-csv", "userId,movieId,rating\n1,10,nan\n", "line 2: the rating 'nan' is no number"),
        ("movielens-dat", "1::10::4\n1\t11\t4\n", "line 2: 1 columns.* Cure: choose the file's own --format"),
        ("movielens-tab", "", "line 1: there is no rating"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_line_and_cure(form, text, says, tmp_path):
    path = written(tmp_path, text)

    with pytest.raises(DatasetError, match=says) as refused:
        read_ratings(path, form)

    assert str(path) in str(refused.value)
    assert "Cure" in str(refused.value)


def test_a_file_of_items_in_another_format_is_named(tmp_path):
    with pytest.raises(DatasetError, match="line 1: no genre flags of 0 and 1"):
        read_items(written(tmp_path, ITEMS["movielens-csv"]), "movielens-tab", ["10"])


def test_auc_counts_pairs_in_order_and_ties_half():
    liked = np.array([True, False, True, False])

    assert classify.auc(liked, np.array([0.9, 0.1, 0.5, 0.5])) == pytest.approx(3.5 / 4)
    assert classify.auc(np.ones(2, bool), np.array([0.1, 0.2])) == 0.5


def test_log_loss_of_a_certain_mistake_is_large_and_finite():
    assert classify.log_loss(np.array([True]), np.array([0.5])) == pytest.approx(np.log(2))
    assert 10 < classify.log_loss(np.array([True]), np.array([0.0])) < 20


def test_reliability_compares_what_was_said_with_what_came():
    said, came, n = classify.reliability(np.array([True, False, True, True]), np.array([0.42, 0.48, 1.0, 0.96]))

    np.testing.assert_allclose(said, [0.45, 0.98])
    np.testing.assert_allclose(came, [0.5, 1.0])
    np.testing.assert_array_equal(n, [2, 2])


def test_times_are_medians_and_memory_the_most():
    outcomes = [
        Outcome(np.zeros(1, np.float32), seconds, cpu, [0.1, 0.3], [0.2, 0.2], memory, 9)
        for seconds, cpu, memory in ((1.0, 2.0, 100.0), (3.0, 4.0, 300.0), (2.0, 9.0, 200.0))
    ]

    times = Runs("shortlist", outcomes).times()

    assert times["seconds_total"] == 2.0
    assert times["cpu_seconds_total"] == 4.0
    assert times["peak_rss_mib"] == 300.0
    assert times["seconds_per_epoch"] == pytest.approx(0.2)


@pytest.fixture
def shop(tmp_path):
    """Ratings of two kinds of users and items, cut in train and test, and a file of genres."""
    rng = np.random.default_rng(0)
    u, i = rng.integers(0, 30, 1_500), rng.integers(0, 20, 1_500)
    values = np.where((u % 2) == (i % 2), 5.0, 1.0)
    lines = [f"{a},{b},{v}" for a, b, v in zip(u, i, values, strict=True)]
    for name, part in (("train.csv", lines[:1_200]), ("test.csv", [*lines[1_200:], "99,99,3.0"])):
        (tmp_path / name).write_text("userId,movieId,rating\n" + "\n".join(part) + "\n")
    genres = "\n".join(f"{b},title,{'even' if b % 2 == 0 else 'odd'}" for b in range(20))
    (tmp_path / "items.csv").write_text(f"movieId,title,genres\n{genres}\n")
    return [
        *("--format", "movielens-csv", "--split", f"{tmp_path / 'train.csv'}:{tmp_path / 'test.csv'}"),
        *("--items", str(tmp_path / "items.csv"), "--n-factors", "2", "--epochs", "30", "--warm-up", "10"),
        *("--contenders", "shortlist", "--json", str(tmp_path / "out.json")),
    ]


def test_rating_goes_from_file_to_json_with_users_and_items_unknown_to_train(shop, tmp_path):
    rating.main(shop)

    report = json.loads((tmp_path / "out.json").read_text())
    (row,) = report["results"]
    assert row["name"] == "shortlist"
    assert row["rmse"] < 0.4  # 2 for the mean
    assert row["dimensions"] == 20 * 2 + 1
    assert {"n_factors", "epochs", "seconds_per_epoch", "seconds_total", "peak_rss_mib", "settings"} <= row.keys()
    assert {"machine", "versions", "commit"} <= report.keys()


@pytest.mark.parametrize(
    ("form", "between", "bench"), [("movielens-tab", "\t", rating), ("movielens-dat", "::", classify)]
)
def test_other_formats_go_from_a_split_with_items_and_users_to_json(form, between, bench, tmp_path):
    # GIVEN ratings that follow from the item's genre and the user's gender, one of each a file of its own
    flags = {"movielens-tab": ("0|1", "1|0"), "movielens-dat": ("Comedy", "Action")}[form]
    rows = [between.join((str(u), str(i), "5" if u % 2 == i % 2 else "1", "9")) for u in range(40) for i in range(30)]
    np.random.default_rng(0).shuffle(rows)
    (tmp_path / "train").write_text("\n".join(rows[300:]) + "\n")
    (tmp_path / "test").write_text("\n".join(rows[:300]) + "\n")
    bar = "|" if form == "movielens-tab" else "::"
    middle = ["1995", "", "http"] if form == "movielens-tab" else []
    (tmp_path / "items").write_text("\n".join(bar.join([str(i), "t", *middle, flags[i % 2]]) for i in range(30)) + "\n")
    person = ("{}|30|{}|nurse|1" if form == "movielens-tab" else "{}::{}::25::7::1").format
    (tmp_path / "users").write_text("\n".join(person(u, "MF"[u % 2]) for u in range(40)) + "\n")

    # WHEN the bench is run on them
    given = ["--format", form, "--split", f"{tmp_path / 'train'}:{tmp_path / 'test'}", "--n-factors", "2"]
    files = ["--items", str(tmp_path / "items"), "--users", str(tmp_path / "users"), "--json", str(tmp_path / "out")]
    bench.main([*given, *files, "--epochs", "30", "--warm-up", "10", "--contenders", "shortlist"])

    # THEN what was learned is far better than the mean (2) and than a coin
    (row,) = json.loads((tmp_path / "out").read_text())["results"]
    assert row["rmse"] < 1 if bench is rating else row["auc"] > 0.9


def test_classify_goes_from_file_to_json_and_plot(shop, tmp_path):
    classify.main([*shop, "--plot", str(tmp_path / "reliability.png")])

    (row,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert row["auc"] > 0.97
    assert row["log_loss"] < 0.2
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--split", "nowhere.csv"], "expected TRAINFILE:TESTFILE"),
        (["--split", "nowhere.csv:test.csv"], "nowhere.csv, line 1: cannot be read"),
        (["--contenders", "svd"], "No contender is called 'svd'"),
    ],
)
def test_what_cannot_be_run_ends_with_a_sentence(change, says, shop):
    with pytest.raises(SystemExit, match=says):
        rating.main([*shop, *change])


def test_a_threshold_that_separates_nothing_is_refused(shop):
    with pytest.raises(SystemExit, match=r"all ratings are on one side.* Cure: choose --liked between 1"):
        classify.main([*shop, "--liked", "7"])


def test_made_up_ratings_are_files_that_the_bench_reads_and_the_same_for_the_same_seed(tmp_path, capsys):
    def made(folder: str, seed: str) -> list[str]:
        made_up_ratings.main(
            ["--users", "80", "--items", "60", "--ratings", "1500", "--seed", seed, "--out", str(tmp_path / folder)]
        )
        return [(tmp_path / folder / name).read_text() for name in ("ratings.dat", "movies.dat", "users.dat")]

    assert made("a", "1") == made("again", "1") != made("b", "2")
    assert "1,500 ratings" in capsys.readouterr().out
    ratings = read_ratings(tmp_path / "a" / "ratings.dat", "movielens-dat")
    assert len(set(zip(ratings.user_ids, ratings.item_ids, strict=True))) == len(ratings.values) == 1500
    assert set(ratings.values.tolist()) <= {1, 2, 3, 4, 5}
    arguments = ["--ratings", str(tmp_path / "a" / "ratings.dat"), "--format", "movielens-dat", "--folds", "3"]
    arguments += ["--items", str(tmp_path / "a" / "movies.dat"), "--users", str(tmp_path / "a" / "users.dat")]
    rating.main([*arguments, "--epochs", "60", "--contenders", "shortlist", "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())["results"][0]
    assert 0.8 < figures["rmse"] < 0.97 * ratings.values.std()


def test_made_up_ratings_need_someone_who_rates(tmp_path, capsys):
    with pytest.raises(SystemExit):
        made_up_ratings.main(["--users", "0", "--out", str(tmp_path)])

    assert "--users, --items and --ratings are 1 or more" in capsys.readouterr().err
