"""`--target` comes in; a connection to the deployment that a command acts on goes out."""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import click
from rich.console import Console

from shortlist.aws.deployment import Account, Deployment
from shortlist.aws.s3 import S3ObjectStore
from shortlist.commands.embedded import EmbeddedServer
from shortlist.errors import ContractError

TargetName = Literal["local", "aws"]
Command = TypeVar("Command", bound=Callable[..., Any])
_FRESH: Final = "The embedded AWS was not running and knows no run yet. Start with `shortlist run`."


class Target:
    """A deployment: its resources' names, and clients of the account it lies in."""

    def __init__(self, account: Account, *, local: bool) -> None:
        self.account = account
        self.local = local
        self.deployment = Deployment.find(account.client("cloudformation"))
        self.store = S3ObjectStore(account.client("s3"), self.deployment.bucket)

    @property
    def poll_s(self) -> float:
        """How often to ask how far an execution is."""
        return 0.5 if self.local else 3.0


def connect(name: TargetName, console: Console, *, start: bool = False) -> Target:
    """Find the deployment.

    Args:
        start: whether an embedded AWS is started where none runs; only a new run can begin with an empty one.

    Raises:
        ContractError: there is none.
    """
    if name == "aws":
        return Target(Account(), local=False)
    embedded = EmbeddedServer.of_this_checkout()
    server = embedded.running()
    if server is None:
        if not start:
            raise ContractError(_FRESH)
        server = embedded.start(console)
        console.print(f"The embedded AWS runs at {server.endpoint} until `shortlist local --stop`.", highlight=False)
    return Target(Account(server.endpoint, server.region), local=True)


def target_option(command: Command) -> Command:
    """The option `--target` of every command that acts on a deployment."""
    return click.option(
        "--target",
        type=click.Choice(["local", "aws"]),
        default="local",
        show_default=True,
        envvar="SHORTLIST_TARGET",
        help="The embedded AWS on this computer, or the AWS account of your credentials.",
    )(command)
