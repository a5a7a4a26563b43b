"""A shop's files and campaign file come in; they go to the bucket, under a prefix of the campaign's own."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from shortlist.campaigns import campaign_from_yaml, parsed
from shortlist.config import Campaign, campaign_from_mapping
from shortlist.contracts.keys import INPUT_PREFIX, INPUT_TABLES, campaign_key, input_prefix
from shortlist.errors import ContractError
from shortlist.mail.experiment import VARIANTS, mail_of
from shortlist.mail.render import render_subject
from shortlist.ports import ObjectStore

OWN: str = "own"
"""Name of the campaign where no campaign file is given."""


def read_campaign(path: Path | None, tables: Mapping[str, Path | None]) -> tuple[Campaign, bytes]:
    """Check the campaign before anything is uploaded or started.

    Args:
        path: the campaign file; None: every column has our own name, lists are stored, nobody is mailed.
        tables: name of each input table -> its file or folder.

    Returns:
        The campaign, and its file as the bucket gets it: with `input.prefix` set, unless the file sets it.

    Raises:
        ContractError: it is no campaign file, or a table that it needs is not given.
    """
    if path is None:
        mapping: dict[str, Any] = {"name": OWN}
        if tables["users"] is None:
            mapping["input"] = {"users_from": "interactions"}
    else:
        raw = path.read_bytes()
        campaign_from_yaml(raw, path.name, path.stem)
        mapping = parsed(raw, path.name)
    prefix = {"prefix": f"{INPUT_PREFIX}{mapping['name']}/"}
    mapping["input"] = prefix | (mapping.get("input") or {})
    campaign = campaign_from_mapping(mapping, str(path or "the built-in campaign"))
    _check_subjects(campaign)
    if tables["items"] is None and campaign.input.items_from == "files":
        raise ContractError(
            "no items table is given. Add `--items PATH`, or set `input.items_from: interactions` in the campaign file."
        )
    for table, origin in (("items", campaign.input.items_from), ("users", campaign.input.users_from)):
        if origin == "interactions" and tables[table] is not None:
            raise ContractError(
                f"the campaign takes the {table} from the interactions, but `--{table}` is given. "
                f"Leave it out, or remove `input.{table}_from` from the campaign file."
            )
    return campaign, yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True).encode()


def _check_subjects(campaign: Campaign) -> None:
    """Render the subjects of the campaign file: that of a mailing comes last, hours after the start of a large run."""
    if campaign.mail is None:
        return
    for variant in VARIANTS:
        mail = mail_of(campaign.mail, variant)
        if mail.subject:
            render_subject(mail.subject, first_name="Ada", items=("a product",) * mail.items, locale="en")


def upload(campaign: Campaign, campaign_file: bytes, tables: Mapping[str, Path | None], *, store: ObjectStore) -> int:
    """Put the tables and the campaign file into the bucket, and remove the tables that lay there before.

    Returns:
        Bytes uploaded.
    """
    total = 0
    for table in INPUT_TABLES:
        prefix = input_prefix(campaign.input.prefix, table)
        files = {prefix + path.name: path for path in files_of(tables.get(table))}
        for key, path in files.items():
            total += store.upload(path, key).size
        store.delete([entry.key for entry in store.list(prefix) if entry.key not in files])
    store.write(campaign_key(campaign.name), campaign_file)
    return total


def files_of(path: Path | None) -> Sequence[Path]:
    """A file itself; the files of a folder, without hidden ones, by name.

    Raises:
        ContractError: the folder has no file.
    """
    if path is None:
        return []
    if path.is_file():
        return [path]
    files = sorted(_visible(path))
    if not files:
        raise ContractError(f"the folder {path} holds no file. Give a CSV or Parquet file, or a folder of them.")
    return files


def _visible(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "_")))
