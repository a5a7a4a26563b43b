"""The app: context in, an `aws_cdk.App` with the stack in it out. Reads files of the repository and nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import App

from cdk.bundling import function_code, layer_code
from cdk.functions import CodeOf
from cdk.nag import check_with_nag
from cdk.settings import ROOT, Settings
from cdk.stack import ShortlistStack
from shortlist.campaigns import read_campaign_file
from shortlist.config import Campaign
from shortlist.contracts.deployment import STACK_NAME


def build(
    context: Mapping[str, Any] | None = None,
    *,
    outdir: str | None = None,
    campaigns: Sequence[Campaign] | None = None,
    code_of: CodeOf = function_code,
    layer_of: CodeOf = layer_code,
    nag: bool = True,
) -> App:
    """Make the app; `.synth()` writes the assembly.

    Args:
        context: keys of `Settings`; what the CDK CLI passes goes before.
        outdir: folder of the assembly; None leaves it to the CLI or to `cdk.out`.
        campaigns: None reads campaigns/*.yaml.
        code_of: the functions' code.
        layer_of: what their layers hold.
        nag: hold the template against the AWS Solutions rules while it is synthesised.

    Raises:
        ValueError: a context key has a value that cannot be used.
        ContractError: a campaign file is not valid.
    """
    app = App(context={**_flags(), **(context or {})}, outdir=outdir, analytics_reporting=False)
    settings = Settings.from_context(app.node.try_get_context)
    ShortlistStack(
        app,
        STACK_NAME,
        settings=settings,
        campaigns=read_campaigns() if campaigns is None else campaigns,
        code_of=code_of,
        layer_of=layer_of,
        description="Short, personal product lists for every customer, stored and mailed on schedule",
        termination_protection=settings.target.name == "aws",
    )
    if nag:
        check_with_nag(app)
    return app


def read_campaigns(folder: Path = ROOT / "campaigns") -> list[Campaign]:
    """Every campaign file, in the order of their names."""
    return [read_campaign_file(path) for path in sorted(folder.glob("*.yaml"))]


def _flags() -> dict[str, Any]:
    """cdk.json's context, which only the CLI reads by itself: both ways must give one template."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return context
