"""RequestApproval: a run that is ready to be mailed and a task token in; the preview stored and the team asked, out."""

import email
from datetime import UTC, datetime
from email import policy
from typing import Any

import msgspec

from shortlist.contracts.approval import Approval
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.metrics import RunMetrics
from shortlist.contracts.payloads import ApprovalRequest, Run
from shortlist.contracts.summaries import PrepareSummary
from shortlist.errors import ContractError
from shortlist.notices import approval_asked
from shortlist.ports import Clock, Notifier, ObjectStore, OutgoingMessage
from shortlist.stages.plan_mailing import what_is_asked
from shortlist.stages.preview import NOBODY, preview
from shortlist.stages.resume import read_campaign, read_manifest


def request_approval(
    request: ApprovalRequest, *, store: ObjectStore, notifier: Notifier, clock: Clock
) -> dict[str, Any]:
    """Leave a message of the run, made out to nobody, where the team can look at it, and ask the team.

    The state machine waits until `shortlist campaign approve` or `reject` answers with the token.
    """
    run, keys = request.run, RunKeys(request.run.run_id)
    message = _message(run, store)
    if message:
        store.write(keys.approval("preview.eml"), message.mime)
    asked = Approval(
        what=what_is_asked(run.run_id, store=store),
        token=request.token,
        asked_at=clock.now().astimezone(UTC).isoformat(timespec="seconds"),
    )
    store.write(keys.approval("request.json"), msgspec.json.encode(asked))
    prepared = msgspec.convert(read_manifest(run.run_id, "Prepare", store=store).summary, PrepareSummary)
    metrics = msgspec.json.decode(store.read(keys.metrics), type=RunMetrics)
    lists = read_campaign(run.run_id, store=store).lists
    notice = approval_asked(run, prepared.mailable, _subject(message), metrics, lists, keys.approval("preview.eml"))
    notifier.notify(notice.subject, notice.body)
    return {"recipients": prepared.mailable}


def _message(run: Run, store: ObjectStore) -> OutgoingMessage | None:
    try:
        return preview(run.run_id, datetime.fromisoformat(run.as_of), "", store=store, to=NOBODY)
    except ContractError:  # no recipient has a list: the team shall know that nobody would be mailed
        return None


def _subject(message: OutgoingMessage | None) -> str:
    return str(email.message_from_bytes(message.mime, policy=policy.default)["Subject"]) if message else ""
