"""The link beside a product: a look changes nothing, a POST with our mark does, everything else is refused."""

from urllib.parse import parse_qs

import pytest

from shortlist.mail.not_interested import answer, item_query
from shortlist.mail.token import Keys, Subscription, sign, sign_item
from shortlist.mail.unsubscribe import Answer
from tests.fakes import FixedClock, MemoryResponses
from tests.mailing import KEYS

ANN = Subscription("weekly-picks", "ann", "a" * 64, "r1")
BOB = Subscription("weekly-picks", "bob", "b" * 64, "r1")
TOKEN = sign(ANN, KEYS)
ITEM = "Té / 50 % & more"


def ask(
    responses: MemoryResponses, method: str, token: str = TOKEN, item_id: str = ITEM, mark: str | None = None
) -> Answer:
    mark = sign_item(TOKEN, ITEM, KEYS) if mark is None else mark
    return answer(method, token, item_id, mark, "de", keys=KEYS, responses=responses, clock=FixedClock())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_look_asks_and_changes_nothing(method: str) -> None:
    responses = MemoryResponses()

    answered = ask(responses, method)

    assert (answered.status, list(responses.all())) == (200, [])
    assert '<form method="post">' in answered.body
    assert "Kein Interesse" in answered.body


def test_a_post_is_noted_once_for_the_user_the_item_and_the_run() -> None:
    responses = MemoryResponses()

    answers = [ask(responses, "POST"), ask(responses, "POST")]

    (found,) = responses.all()
    assert [one.status for one in answers] == [200, 200]
    assert "<form" not in answers[0].body
    assert (found.user_id, found.item_id, found.kind) == ("ann", ITEM, "not_interested")
    assert (found.campaign, found.run_id) == ("weekly-picks", "r1")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "forged",
    [
        {"token": ""},
        {"token": TOKEN[:-1]},
        {"token": sign(BOB, KEYS)},
        {"token": sign(ANN, Keys("1", {"1": "z" * 64}))},
        {"item_id": "another"},
        {"item_id": ""},
        {"mark": ""},
        {"mark": "é"},
        {"mark": sign_item(sign(BOB, KEYS), ITEM, KEYS)},
        {"mark": sign_item(TOKEN, "another", KEYS)},
    ],
)
def test_links_that_no_message_showed_are_refused(method: str, forged: dict[str, str]) -> None:
    responses = MemoryResponses()

    answered = ask(responses, method, **forged)

    assert (answered.status, list(responses.all())) == (400, [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", ""])
def test_other_methods_are_not_allowed(method: str) -> None:
    responses = MemoryResponses()

    answered = ask(responses, method)

    assert (answered.status, answered.headers["Allow"], list(responses.all())) == (405, "GET, HEAD, POST", [])


@pytest.mark.parametrize("item_id", [ITEM, "a&s=b", "日本", "#?=", "x" * 1024])
def test_any_item_survives_its_link(item_id: str) -> None:
    query = {name: values[0] for name, values in parse_qs(item_query(TOKEN, item_id, KEYS)).items()}

    assert query == {"i": item_id, "s": sign_item(TOKEN, item_id, KEYS)}
    assert ask(MemoryResponses(), "POST", item_id=query["i"], mark=query["s"]).status == 200
