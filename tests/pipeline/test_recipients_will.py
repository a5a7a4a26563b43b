"""What recipients and their mail servers answer reaches the next run: by the link in a real mail, and by events."""

import email
import json
import urllib.request
from collections import Counter
from dataclasses import replace
from email import policy

from shortlist.aws.ledger import DynamoLedger
from shortlist.contracts.records import campaign_run
from tests.pipeline.weekly_run import WeeklyRun, addresses
from tests.shop import make_shop

BOUNCES = "bounce@simulator.amazonses.com"
"""SES's simulator of an address that does not exist."""


def unsubscribe_link(weekly: WeeklyRun, run_id: str, address: str) -> str:
    """As a mail client reads it from the message's header."""
    for line in (weekly.aws.mailbox / "mailbox.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["tags"].get("run") == run_id and address in entry["destination"]:
            mail = email.message_from_bytes((weekly.aws.mailbox / entry["file"]).read_bytes(), policy=policy.default)
            return mail["List-Unsubscribe"].strip("<>")
    raise LookupError(f"{run_id} mailed nothing to {address}")


def request(url: str, method: str) -> str:
    body = b"List-Unsubscribe=One-Click" if method == "POST" else None
    with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=30) as response:
        return response.read().decode()


def states(ledger: DynamoLedger, run_id: str) -> Counter[str]:
    return Counter(entry.state for entry in ledger.entries(campaign_run("leaving", run_id)))


def test_the_next_run_knows_who_unsubscribed_and_who_does_not_exist(weekly: WeeklyRun) -> None:
    # GIVEN a run whose mails were taken, one of them for an address that does not exist
    shop = make_shop(n_users=30, n_items=60)
    shop = replace(
        shop, users=shop.users.replace(b"@example.com", b"@leaving.example.com")
    )  # as other tests mail users
    gone, leaver, looker = sorted(addresses(shop))[:3]
    shop = replace(shop, users=shop.users.replace(gone.encode(), BOUNCES.encode()))
    weekly.open_shop("leaving", shop, evaluation={"gate": False})
    weekly.start("leaving", "leaving-1")
    ledger = DynamoLedger(weekly.aws.client("dynamodb"), weekly.deployment.deliveries_table)
    mailed = addresses(shop)

    # WHEN one recipient looks at the page, another presses the button, and the events of all messages have come
    asked = request(unsubscribe_link(weekly, "leaving-1", looker), "GET")
    answered = request(unsubscribe_link(weekly, "leaving-1", leaver), "POST")
    weekly.aws.ses.events.drain()
    weekly.aws.queues.drain()
    weekly.start("leaving", "leaving-2", reuse_model="leaving-1")

    # THEN the second run mails everybody but the one who left and the one who is not there
    assert "How often may we write to you?" in asked
    assert "You are unsubscribed" in answered
    assert weekly.mails("leaving-1") == mailed
    assert states(ledger, "leaving-1") == {"delivered": mailed.total() - 1, "bounced": 1}
    assert weekly.mails("leaving-2") == mailed - Counter([leaver, BOUNCES])
    assert states(ledger, "leaving-2")["suppressed"] == 2
