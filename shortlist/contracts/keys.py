"""S3 keys, spelled once. A run owns everything under `runs/<run_id>/` and writes nowhere else."""

import re
from dataclasses import dataclass
from typing import Final

from shortlist.errors import ContractError

INPUT_TABLES: Final = ("interactions", "items", "users", "offers", "blocks")
INPUT_PREFIX: Final = "input/"
RUNS_PREFIX: Final = "runs/"
CAMPAIGNS_PREFIX: Final = "campaigns/"
SOLD_OUT: Final = f"{INPUT_PREFIX}sold_out.txt"
"""Ids of items that are sold out by now, one a line: the shop may write it at any time, and SendEmails reads it."""
MAX_PARTS: Final = 1_000
"""Recipient parts of one user shard: their numbers have three digits."""


def input_prefix(prefix: str, table: str) -> str:
    """Where the shop drops a table: `input/interactions/`."""
    return f"{prefix}{table}/"


def campaign_key(name: str) -> str:
    """A campaign file in the bucket; it takes precedence over one shipped with the deployment."""
    return f"{CAMPAIGNS_PREFIX}{name}.yaml"


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one run."""

    run_id: str

    @property
    def root(self) -> str:
        return f"{RUNS_PREFIX}{self.run_id}/"

    @property
    def run(self) -> str:
        """What the first execution pinned: campaign, as_of, started_at."""
        return f"{self.root}run.json"

    @property
    def campaign(self) -> str:
        """The campaign as this run resolved it (JSON)."""
        return f"{self.root}campaign.json"

    @property
    def responses(self) -> str:
        """Responses to earlier mailings as the run's first execution found them (JSON Lines)."""
        return f"{self.root}responses.jsonl"

    def manifest(self, stage: str, shard: str = "") -> str:
        """Written last by a stage: its inputs' digest, its outputs with checksums, its counts and timings."""
        return f"{self.root}manifests/{stage}{'/' + shard if shard else ''}.json"

    def manifests(self, stage: str = "") -> str:
        return f"{self.root}manifests/{stage + '/' if stage else ''}"

    def dataset(self, name: str) -> str:
        return f"{self.root}dataset/{name}"

    def rejected(self, table: str) -> str:
        """Rows of an input table that could not be used (JSON Lines: file, line, column, reason, row)."""
        return f"{self.rejected_prefix}{table}.jsonl"

    @property
    def rejected_prefix(self) -> str:
        return f"{self.root}rejected/"

    def model(self, name: str) -> str:
        return f"{self.root}model/{name}"

    @property
    def predecessor(self) -> str:
        """The run whose models this one goes on from, as its first execution found it; written by Train, once."""
        return f"{self.root}model/predecessor.json"

    @property
    def reused(self) -> str:
        """The run whose model this one takes over, where it asked for the latest; written by Train, once."""
        return f"{self.root}model/reused.json"

    @property
    def checkpoint(self) -> str:
        """Training state after the newest finished epoch, for a job that was reclaimed."""
        return f"{self.root}checkpoint/"

    def latent(self, name: str) -> str:
        return f"{self.root}latent/{name}"

    @property
    def user_shards(self) -> str:
        """Prefix that holds nothing but user shards: the Recommend map lists it."""
        return f"{self.root}latent/users/"

    def user_shard(self, shard: str) -> str:
        return f"{self.user_shards}{shard}.npz"

    def index(self, name: str) -> str:
        return f"{self.root}index/{name}"

    @property
    def holdout_metrics(self) -> str:
        """Written by Train: the model and the baselines on the held-out weeks."""
        return f"{self.root}model/holdout_metrics.json"

    @property
    def metrics(self) -> str:
        """Written by Evaluate: hold-out metrics, index recall and the verdict of the quality gate."""
        return f"{self.root}metrics.json"

    @property
    def topx_prefix(self) -> str:
        return f"{self.root}topx/"

    def topx(self, shard: str) -> str:
        """The lists of one user shard, a line a user (JSON Lines)."""
        return f"{self.topx_prefix}{shard}.jsonl"

    def export(self, shard: str) -> str:
        """The same lists as CSV, an item a row, where the campaign asks for it."""
        return f"{self.root}exports/{shard}.csv"

    @property
    def recipient_shards(self) -> str:
        """Prefix that holds nothing but recipient shards: the SendEmails map lists it."""
        return f"{self.root}recipients/"

    def recipient_shard(self, shard: str, part: int) -> str:
        return f"{self.recipient_shards}{shard}-{part:03d}.jsonl"

    def map_results(self, state: str) -> str:
        """Prefix under which each Distributed Map leaves `<map run>/FAILED_0.json` and its like."""
        return f"{self.root}map-results/{state}/"

    def outcomes(self, shard: str) -> str:
        """What became of every recipient of a recipient shard (JSON Lines: user_id, outcome, detail)."""
        return f"{self.outcomes_prefix}{shard}.jsonl"

    @property
    def outcomes_prefix(self) -> str:
        return f"{self.root}outcomes/"

    def approval(self, name: str) -> str:
        """`request.json`: the question to the team and its answer; `preview.eml`: a message, made out to nobody."""
        return f"{self.root}approval/{name}"

    @property
    def attribution(self) -> str:
        """What came of the campaign's earlier mailings, by the purchases that this run's Prepare read."""
        return f"{self.root}attribution.json"

    def failure(self, stage: str, child: str = "") -> str:
        """Why a job, or a child of an array job, failed, in a sentence: Batch passes on an exit code only."""
        return f"{self.failures(stage)}{'-' + child if child else ''}.json"

    def failures(self, stage: str) -> str:
        """Prefix of the notes of a stage's jobs."""
        return f"{self.root}failures/{stage}"

    @property
    def report_json(self) -> str:
        return f"{self.root}report.json"

    @property
    def report_html(self) -> str:
        return f"{self.root}report.html"


def shard_name(number: int) -> str:
    """`3` -> `00003`: five digits, so that names sort as numbers do."""
    return f"{number:05d}"


def shard_of(key: str) -> str:
    """`…/latent/users/00003.npz` -> `00003`; `…/recipients/00003-001.jsonl` -> `00003-001`."""
    match = re.search(r"/(\d{5}(?:-\d{3})?)\.(?:npz|jsonl)$", key)
    if match is None:
        raise ContractError(f"{key!r} is not the key of a shard: expected …/00000.npz or …/00000-000.jsonl.")
    return match[1]


def user_shard_of(recipient_shard: str) -> str:
    """`00003-001` -> `00003`: the user shard whose lists these recipients get."""
    return recipient_shard.split("-")[0]
