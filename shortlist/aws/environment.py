"""The environment of a function or job as one typed object; the CDK app sets it from the same names."""

import os
from collections.abc import Mapping
from typing import Final

import msgspec

from shortlist.errors import ContractError

PREFIX: Final = "SHORTLIST_"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the deployed resources. A process gets only those it may use; the others are empty.

    Every field is an environment variable: `bucket` is SHORTLIST_BUCKET.
    """

    bucket: str
    recommendations_table: str = ""
    runs_table: str = ""
    deliveries_table: str = ""
    suppressions_table: str = ""
    responses_table: str = ""
    topic_arn: str = ""
    configuration_set: str = ""
    unsubscribe_url: str = ""
    unsubscribe_key_secret: str = ""
    smtp_login_secret: str = ""

    @classmethod
    def from_variables(cls, variables: Mapping[str, str] | None = None) -> "Environment":
        """Read the process's environment.

        Raises:
            ContractError: SHORTLIST_BUCKET is not set.
        """
        variables = os.environ if variables is None else variables
        values = {name: variables.get(variable_of(name), "") for name in cls.__struct_fields__}
        if not values["bucket"]:
            raise ContractError(f"{variable_of('bucket')} is not set; the CDK app sets it for every function and job.")
        return cls(**values)


def variable_of(field: str) -> str:
    """`bucket` -> `SHORTLIST_BUCKET`."""
    return PREFIX + field.upper()
