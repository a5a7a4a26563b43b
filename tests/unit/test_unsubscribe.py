"""The unsubscribe endpoint: a look changes nothing, a POST with our token does, everything else is refused."""

import pytest

from shortlist.mail.token import Keys, Subscription, sign
from shortlist.mail.unsubscribe import Answer, answer
from tests.fakes import FixedClock, MemoryResponses, MemorySuppressions
from tests.mailing import KEYS

ANN = Subscription("weekly-picks", "ann", "a" * 64, "r1")
TOKEN = sign(ANN, KEYS)


def ask(
    suppressions: MemorySuppressions,
    method: str,
    token: str = TOKEN,
    locale: str = "en",
    responses: MemoryResponses | None = None,
) -> Answer:
    responses = MemoryResponses() if responses is None else responses
    return answer(method, token, locale, keys=KEYS, suppressions=suppressions, responses=responses, clock=FixedClock())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_look_asks_and_changes_nothing(method: str) -> None:
    suppressions = MemorySuppressions()

    response = ask(suppressions, method)

    assert response.status == 200
    assert '<form method="post">' in response.body
    assert suppressions.causes == {}


def test_a_post_unsubscribes_and_may_be_repeated() -> None:
    suppressions = MemorySuppressions()

    answers = [ask(suppressions, "POST"), ask(suppressions, "POST")]

    assert [one.status for one in answers] == [200, 200]
    assert answers[0].subscription == ANN
    assert "<form" not in answers[0].body
    assert suppressions.causes == {"a" * 64: "unsubscribed"}


def test_the_runs_report_hears_who_unsubscribed() -> None:
    responses = MemoryResponses()

    for method in ("GET", "POST"):
        ask(MemorySuppressions(), method, responses=responses)

    (found,) = responses.all()
    assert (found.user_id, found.kind, found.campaign, found.run_id) == ("ann", "unsubscribed", "weekly-picks", "r1")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "A", sign(ANN, Keys("1", {"1": "z" * 64}))])
def test_forged_truncated_and_foreign_tokens_are_refused(method: str, token: str) -> None:
    suppressions = MemorySuppressions()

    response = ask(suppressions, method, token)

    assert response.status == 400
    assert response.subscription is None
    assert suppressions.causes == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", ""])
def test_other_methods_are_not_allowed(method: str) -> None:
    suppressions = MemorySuppressions()

    response = ask(suppressions, method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, POST"
    assert suppressions.causes == {}


@pytest.mark.parametrize(
    ("locale", "said"), [("de", "Abmelden?"), ("en", "Unsubscribe?"), ("<script>", "Unsubscribe?")]
)
def test_the_page_speaks_the_readers_language(locale: str, said: str) -> None:
    response = ask(MemorySuppressions(), "GET", locale=locale)

    assert f"<h1>{said}</h1>" in response.body
    assert "<script" not in response.body


def test_the_page_keeps_the_token_to_itself() -> None:
    response = ask(MemorySuppressions(), "GET")

    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert TOKEN not in response.body
