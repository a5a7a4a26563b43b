"""The unsubscribe endpoint: a look changes nothing, a POST with our token does, everything else is refused."""

import pytest

from shortlist.contracts.records import Standing
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
    body: str = "",
    responses: MemoryResponses | None = None,
) -> Answer:
    responses = MemoryResponses() if responses is None else responses
    ports = {"keys": KEYS, "suppressions": suppressions, "responses": responses, "clock": FixedClock()}
    return answer(method, token, locale, body, **ports)


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


@pytest.mark.parametrize(
    ("choice", "standing"),
    [
        ("less", Standing(less_often=True)),
        ("pause", Standing(paused_until="2026-02-04T06:00:00+00:00")),
        ("always", Standing()),
        ("unsubscribe", Standing(cause="unsubscribed")),
    ],
)
def test_each_button_does_what_it_says(choice: str, standing: Standing) -> None:
    suppressions = MemorySuppressions()
    suppressions.prefer("a" * 64, less_often=False, paused_until="", at="")

    response = ask(suppressions, "POST", body=f"choice={choice}")

    assert (response.status, response.choice) == (200, choice)
    assert suppressions.standing(["a" * 64]) == {"a" * 64: standing}
    assert f'value="{choice}"' not in response.body


def test_the_runs_report_hears_who_unsubscribed_and_not_who_wants_less() -> None:
    responses = MemoryResponses()

    for method, body in (("GET", ""), ("POST", "choice=less"), ("POST", "")):
        ask(MemorySuppressions(), method, body=body, responses=responses)

    (found,) = responses.all()
    assert (found.user_id, found.kind, found.campaign, found.run_id) == ("ann", "unsubscribed", "weekly-picks", "r1")


def test_a_mail_clients_button_unsubscribes() -> None:
    suppressions = MemorySuppressions()

    ask(suppressions, "POST", body="List-Unsubscribe=One-Click")

    assert suppressions.causes == {"a" * 64: "unsubscribed"}


def test_who_has_unsubscribed_stays_so_whichever_button_is_pressed_later() -> None:
    suppressions = MemorySuppressions()
    ask(suppressions, "POST")

    response = ask(suppressions, "POST", body="choice=always")

    assert response.choice == "unsubscribe"
    assert "You are unsubscribed" in response.body
    assert suppressions.causes == {"a" * 64: "unsubscribed"}


@pytest.mark.parametrize("body", ["choice=everything", "choice=", "choice=%3Cscript%3E&choice=less"])
def test_a_choice_that_is_not_offered_is_refused(body: str) -> None:
    suppressions = MemorySuppressions()

    response = ask(suppressions, "POST", body=body)

    assert (response.status, response.choice) == ((400, None) if body != "choice=" else (200, "unsubscribe"))
    assert "<script" not in response.body


@pytest.mark.parametrize("body", ["", "choice=less", "choice=pause"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "A", sign(ANN, Keys("1", {"1": "z" * 64}))])
def test_forged_truncated_and_foreign_tokens_are_refused(method: str, token: str, body: str) -> None:
    suppressions = MemorySuppressions()

    response = ask(suppressions, method, token, body=body)

    assert response.status == 400
    assert response.subscription is None
    assert suppressions.standings == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", ""])
def test_other_methods_are_not_allowed(method: str) -> None:
    suppressions = MemorySuppressions()

    response = ask(suppressions, method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, POST"
    assert suppressions.causes == {}


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("de", "Wie oft dürfen wir Ihnen schreiben?"),
        ("en", "How often may we write to you?"),
        ("<script>", "How often may we write to you?"),
    ],
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
