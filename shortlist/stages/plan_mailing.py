"""PlanMailing: a run and its rounds of mailing so far in; what comes next out: ask the team, send, wait, or be done."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from shortlist.contracts.approval import Approval
from shortlist.contracts.keys import RunKeys, shard_of
from shortlist.contracts.manifests import digest
from shortlist.contracts.payloads import MailingRequest, Run
from shortlist.contracts.summaries import SendEmailsSummary
from shortlist.errors import MissingObjectError
from shortlist.ports import Clock, ObjectStore
from shortlist.stages.resume import read_campaign, read_manifest

Step = Literal["ask", "send", "wait", "done"]
MIN_WAIT_S: Final = 60
"""Between two rounds: a round touches every shard, also those that have nothing left to do."""
_READERS: Final = 16


def plan_mailing(request: MailingRequest, *, store: ObjectStore, clock: Clock) -> dict[str, Any]:
    """Decide the next step of a mailing.

    Returns:
        `step`; `round`, the number of the round that comes; `wait_s`, seconds until then; `waiting`, recipients who
        are not mailed yet.
    """
    run = request.run
    if request.round == 0:
        step: Step = "ask" if _needs_approval(run, store) else "send"
        return {"step": step, "round": 1, "wait_s": 0, "waiting": 0}
    shards = _shards(run, store)
    waiting = sum(shard.waiting for shard in shards)
    moments = [datetime.fromisoformat(shard.resume_at) for shard in shards if shard.resume_at]
    now = clock.now()
    if not moments or min(moments) >= _deadline(run, now, store):
        return {"step": "done", "round": request.round, "wait_s": 0, "waiting": waiting}
    wait_s = max(MIN_WAIT_S, math.ceil((min(moments) - now).total_seconds()))
    return {"step": "wait", "round": request.round + 1, "wait_s": wait_s, "waiting": waiting}


def what_is_asked(run_id: str, *, store: ObjectStore) -> str:
    """Digest of what the team approves: the published lists and how they are mailed."""
    campaign = read_campaign(run_id, store=store)
    published = read_manifest(run_id, "Publish", store=store)
    return digest({"lists": published.inputs, "mail": msgspec.to_builtins(campaign.mail)})


def read_approval(run_id: str, *, store: ObjectStore) -> Approval | None:
    """The newest question of a run; None where none was asked."""
    try:
        return msgspec.json.decode(store.read(RunKeys(run_id).approval("request.json")), type=Approval)
    except MissingObjectError:
        return None


def _needs_approval(run: Run, store: ObjectStore) -> bool:
    campaign = read_campaign(run.run_id, store=store)
    if campaign.mail is None or not campaign.mail.approval:
        return False
    asked = read_approval(run.run_id, store=store)
    return asked is None or asked.decision != "approved" or asked.what != what_is_asked(run.run_id, store=store)


def _shards(run: Run, store: ObjectStore) -> list[SendEmailsSummary]:
    """What SendEmails said of each shard of recipients."""
    shards = [shard_of(entry.key) for entry in store.list(RunKeys(run.run_id).recipient_shards)]

    def read(shard: str) -> SendEmailsSummary:
        manifest = read_manifest(run.run_id, "SendEmails", store=store, shard=shard)
        return msgspec.convert(manifest.summary, SendEmailsSummary)

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, shards))


def _deadline(run: Run, now: datetime, store: ObjectStore) -> datetime:
    mail = read_campaign(run.run_id, store=store).mail
    started = datetime.fromisoformat(run.started_at) if run.started_at else now
    return started + timedelta(days=mail.max_days if mail else 0)
