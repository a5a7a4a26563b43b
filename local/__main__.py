"""`python -m local`: keeps the embedded AWS running with the stack deployed, until SIGTERM or Ctrl-C.

Once it is ready for runs it says so in `server.json` in its data folder; `shortlist …` finds it there.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from cdk.synth import ROOT
from local.deploy import DeployError
from local.server import EmbeddedAws
from local.stack import deploy_shortlist


def main() -> int:
    """Serve; answers with the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description="An AWS account on this computer.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".local", help="mails, caches, server.json")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        serve(options.data_dir, options.port, stopped)
    except (DeployError, OSError, RuntimeError) as error:
        print(f"The embedded AWS did not start: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def serve(data_dir: Path, port: int, stopped: threading.Event) -> None:
    """Start, deploy, say so in server.json, and wait until `stopped` is set."""
    with EmbeddedAws(data_dir, port) as aws:
        _say(f"Deploying the stack to {aws.endpoint} (the first time installs what its functions need)")
        deploy_shortlist(aws)
        server_file = aws.data_dir / "server.json"
        ready = {"endpoint": aws.endpoint, "pid": os.getpid(), "region": aws.region}
        draft = server_file.with_suffix(".tmp")
        draft.write_text(json.dumps(ready))
        draft.replace(server_file)  # readers never see half of it
        _say(f"Ready: aws --endpoint-url {aws.endpoint} --region {aws.region} s3 ls")
        _say(f"       AWS_ENDPOINT_URL={aws.endpoint} AWS_REGION={aws.region} cdk deploy --context target=local")
        try:
            stopped.wait()
        finally:
            server_file.unlink(missing_ok=True)
    _say("Stopped")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
