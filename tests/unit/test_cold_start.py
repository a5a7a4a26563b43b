"""Users of whom nothing is known get what is popular in their segment, then what is popular at all."""

import numpy as np
import pytest

from shortlist.cold_start import count_buyers, rank_popular, segments, without_signal
from shortlist.contracts.arrays import Popular, StringTable

NAMES = StringTable.of(("age=19-24", "age=65+", "income=35-49K", "spend"))


def csr(rows):
    return np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64), np.array(
        [value for row in rows for value in row], np.int32
    )


def test_a_signal_is_a_purchase_or_a_feature_that_the_model_knows():
    prior = np.array([[0.0, 0.0, 1.0], [0.0, 0.2, 1.0], [0.0, 0.0, 1.0]], np.float32)
    indptr = np.array([0, 0, 0, 3], np.int64)

    assert without_signal(prior, indptr).tolist() == [True, False, False]


def test_segments_are_the_values_of_one_feature():
    indptr, indices = csr([[0, 2]] * 30 + [[1, 3]] * 25 + [[2]] * 2)

    segment, names = segments(indptr, indices, NAMES, "age")

    assert names.to_list() == ["19-24", "65+"]
    assert segment.tolist() == [0] * 30 + [1] * 25 + [-1] * 2


def test_a_segment_of_a_handful_is_no_segment():
    indptr, indices = csr([[0]] * 30 + [[1]] * 24)

    segment, _ = segments(indptr, indices, NAMES, "age")

    assert segment.tolist() == [0] * 30 + [-1] * 24


@pytest.mark.parametrize("column", [None, "shoe_size"])
def test_without_the_feature_nobody_has_a_segment(column):
    indptr, indices = csr([[0]] * 30)

    segment, names = segments(indptr, indices, NAMES, column)

    assert segment.tolist() == [-1] * 30
    assert len(names) == 0


def test_items_are_ordered_by_their_buyers():
    # GIVEN item 3 bought by everybody, item 1 by the first segment, item 0 by nobody, item 2 by one without a segment
    indptr, item_rows = csr([[1, 3], [1, 3], [3], [3], [2, 3]])
    segment = np.array([0, 0, 1, 1, -1], np.int32)

    popular = count_buyers(indptr, item_rows, 5, segment, StringTable.of(("young", "old")))

    assert popular.everybody.tolist() == [3, 1, 2, 0, 4]
    assert popular.of_segment(0).tolist() == [1, 3]
    assert popular.of_segment(1).tolist() == [3]
    assert popular.of_segment(-1).tolist() == []


def test_popular_items_survive_the_way_through_the_bucket():
    indptr, item_rows = csr([[1, 3], [0]])
    popular = count_buyers(indptr, item_rows, 4, np.array([0, -1], np.int32), StringTable.of(("Ålder 65+",)))

    back = Popular.from_bytes(popular.to_bytes())

    assert back.names.to_list() == ["Ålder 65+"]
    assert (back.everybody.tolist(), back.items.tolist()) == (popular.everybody.tolist(), popular.items.tolist())
    assert back.to_bytes() == popular.to_bytes()


def test_a_list_starts_with_the_segments_own_items_and_holds_each_item_once():
    popular = Popular(
        everybody=np.array([3, 1, 2, 0, 4], np.int32),
        names=StringTable.of(("young",)),
        indptr=np.array([0, 2], np.int64),
        items=np.array([1, 3], np.int32),
    )
    position = np.array([0, 1, 2, 3, -1], np.int32)

    ranking = rank_popular(popular, np.array([0, -1], np.int32), position, 5)

    assert ranking.items.tolist() == [[1, 3, 2, 0, -1], [3, 1, 2, 0, -1]]
    assert ranking.scores.tolist() == [[0, -1, -2, -3, -np.inf]] * 2


def test_items_that_may_not_be_listed_are_passed_over():
    popular = count_buyers(*csr([[0, 1], [0], [1, 2]]), 3, np.full(3, -1, np.int32), StringTable.of(()))
    position = np.array([-1, 0, 1], np.int32)  # item 0 is out; rows 1 and 2 stand at 0 and 1

    ranking = rank_popular(popular, np.array([-1], np.int32), position, 2)

    assert ranking.items.tolist() == [[0, 1]]
