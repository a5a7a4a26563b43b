"""What a campaign file says, a module a subject, every setting documented beside its default; import it from here."""

from shortlist.config.campaign import Campaign, Compute, Schedule, Shards
from shortlist.config.learning import Evaluation, Feedback, Index, Model
from shortlist.config.mailing import Experiment, Mail, SendWindow, Smtp
from shortlist.config.parse import campaign_from_mapping
from shortlist.config.rules import Promoted, Rules
from shortlist.config.tables import FeatureKind, Input, Table
from shortlist.config.values import Config

__all__ = [
    "Campaign",
    "Compute",
    "Config",
    "Evaluation",
    "Experiment",
    "FeatureKind",
    "Feedback",
    "Index",
    "Input",
    "Mail",
    "Model",
    "Promoted",
    "Rules",
    "Schedule",
    "SendWindow",
    "Shards",
    "Smtp",
    "Table",
    "campaign_from_mapping",
]
