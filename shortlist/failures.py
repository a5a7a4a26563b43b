"""What Step Functions, Lambda and Batch say of a failure comes in; the error's name, a sentence and a cure go out."""

import json
import re
from typing import Final

from shortlist.contracts.records import Failure

CURES: Final = {
    "ContractError": "Change what the sentence names (the campaign file, or the input of the execution), then resume.",
    "DatasetError": "Mend the table that the sentence names, upload it again, then resume; rejected rows lie in "
    "runs/<run_id>/rejected/.",
    "MissingObjectError": "Make the object again: resume with `--from` and the stage that writes it (Prepare makes all "
    "of them).",
    "PublishError": "Resume. Where another run was published meanwhile, decide which of the two customers should see: "
    "`shortlist publish RUN_ID`.",
    "TransientError": "A service stayed busy through every retry. Resume; if it comes back, look at the service's "
    "quotas and at the AWS Health Dashboard.",
    "OutOfTimeError": "A function ran out of time in every attempt. Resume; if it comes back, make `shards` smaller in "
    "the campaign file.",
    "MessageRejectedError": "Verify the sender in SES and check that the account is out of the sandbox, then resume.",
    "DailyQuotaError": "The mail account has sent all it may in 24 hours. Resume tomorrow, or ask SES for a higher "
    "quota; nobody is mailed twice.",
    "MailingPausedError": "The mailing stayed paused for days. `shortlist campaign resume CAMPAIGN`, then resume.",
    "MailingStoppedError": "Nobody else is mailed until somebody has decided so: find out why messages bounced or were "
    "complained about, then do what the sentence says and resume.",
    "ShortlistError": "Do what the sentence says, then resume.",
    "Sandbox.Timedout": "The function reached its time limit. Resume; if it comes back, make `shards` smaller in the "
    "campaign file.",
    "Runtime.OutOfMemory": "The function's memory is too small: make `shards` smaller, or raise its memory in cdk/, "
    "deploy, then resume.",
    "Runtime.ExitError": "The function was killed, most often for memory: make `shards` smaller, or raise its memory "
    "in cdk/, deploy, then resume.",
    "States.Timeout": "The state took longer than it may (RequestApproval: nobody answered for three days). Resume: it "
    "goes on where it stopped.",
    "States.Permissions": "The state machine lacks a permission. Deploy the stack again, then resume.",
    "States.ItemReaderFailed": "The shards cannot be listed. Resume with `--from Repackage` to make them again.",
    "States.TaskFailed": "The job's log stream has the details. Exit code 137 means that memory ran out: raise it in "
    "cdk/, deploy, then resume.",
    "States.ExceedToleratedFailureThreshold": "Shards failed; the log of the state's function has the details. Resume: "
    "only what is not complete runs again.",
}
"""Error name -> what to do. Ours come from errors.py, the others from Step Functions and Lambda."""

OTHER_CURE: Final = "This is not foreseen: look at the log of the state that failed, then resume."


def cure_of(error: str) -> str:
    """What to do about an error name."""
    return CURES.get(error, OTHER_CURE)


def failure_of_function(error: str, cause: str) -> Failure:
    """A Lambda's failure: the cause is `{"errorMessage", "errorType", …}`, perhaps cut off in the middle."""
    return Failure(_text(cause, "errorType") or error, _text(cause, "errorMessage") or cause or "no cause was given")


def failure_of_job(error: str, cause: str) -> Failure:
    """A Batch job's failure without a note of its own: the cause is the job's description, perhaps cut off."""
    parts = [_text(cause, "StatusReason"), _text(cause, "Reason")]
    exit_code = re.search(r'"ExitCode"\s*:\s*(\d+)', cause)
    if exit_code:
        parts.append(f"exit code {exit_code[1]}")
    log = _text(cause, "LogStreamName")
    if log:
        parts.append(f"log stream {log}")
    return Failure(error, "; ".join(part for part in parts if part) or cause or "no cause was given")


def _text(document: str, name: str) -> str:
    """The first string called `name` in a JSON document whose end may be missing."""
    found = re.search(rf'"{name}"\s*:\s*("(?:[^"\\]|\\.)*")', document)
    return str(json.loads(found[1], strict=False)) if found else ""
