"""Entry of the CDK app: `python app.py`, or the CDK CLI through cdk.json. Context in, a cloud assembly out."""

import argparse
import os
import sys
from collections.abc import Sequence

from cdk.application import build
from shortlist.errors import ShortlistError


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the assembly; no account, network, docker or CLI is asked."""
    parser = argparse.ArgumentParser(description="Synthesise the Shortlist stack.")
    parser.add_argument(
        "-o", "--output", default=os.environ.get("CDK_OUTDIR", "cdk.out"), help="folder of the assembly"
    )
    parser.add_argument(
        "-c", "--context", action="append", default=[], metavar="KEY=VALUE", help="as in cdk/settings.py"
    )
    options = parser.parse_args(arguments)
    context = dict(pair.partition("=")[::2] for pair in options.context)
    build(context, outdir=options.output, nag=context.get("target") != "local").synth()


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ShortlistError) as error:
        sys.exit(f"app.py: {error}")
