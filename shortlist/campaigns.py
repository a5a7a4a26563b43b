"""A campaign's name in; its file, from the bucket or from the deployment, checked, out."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from shortlist.config import Campaign, campaign_from_mapping
from shortlist.contracts.keys import campaign_key
from shortlist.errors import ContractError, MissingObjectError
from shortlist.ports import ObjectStore


class FoundCampaign(NamedTuple):
    """A campaign and, in words, where its file lies."""

    campaign: Campaign
    source: str


def load_campaign(name: str, *, store: ObjectStore, shipped: Path) -> FoundCampaign:
    """The campaign's file in the bucket, else the one in the folder `shipped` with the deployment.

    Raises:
        ContractError: there is none, or it is not a campaign file.
    """
    key, path = campaign_key(name), shipped / f"{name}.yaml"
    try:
        raw = store.read(key)
    except MissingObjectError:
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in shipped.glob("*.yaml"))) or "none"
            raise ContractError(
                f"there is no campaign {name!r}: neither {key} in the bucket, nor among those deployed ({known}). "
                "Cure: correct the name, or upload the file."
            ) from None
        return FoundCampaign(read_campaign_file(path), "deployed")
    source = "bucket, instead of the one deployed" if path.is_file() else "bucket"
    return FoundCampaign(campaign_from_yaml(raw, key, name), source)


def read_campaign_file(path: Path) -> Campaign:
    """A campaign file on disk; its name is the campaign's.

    Raises:
        ContractError: it is not a campaign file.
    """
    return campaign_from_yaml(path.read_bytes(), path.name, path.stem)


def campaign_from_yaml(raw: bytes, source: str, name: str) -> Campaign:
    """Parse and check a campaign file.

    Args:
        source: the file's name, for messages.
        name: what the campaign must be called.

    Raises:
        ContractError: it is not YAML, not a campaign, or another campaign.
    """
    campaign = campaign_from_mapping(parsed(raw, source), source, lambda path: line_of(raw, path))
    if campaign.name != name:
        raise ContractError(f"{source} says `name: {campaign.name}`. Cure: a campaign is called as its file, {name}.")
    return campaign


def parsed(raw: bytes, source: str) -> Any:
    """What a campaign file says, before anybody asks whether it makes sense.

    Raises:
        ContractError: it is not YAML, or names a setting twice.
    """
    try:
        return yaml.load(raw, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"{source} is not YAML: {error}. Cure: correct it there.") from error


def line_of(raw: bytes, path: str) -> int:
    """The line of a YAML file on which a setting stands, or the one around it where it does not; from 1.

    Args:
        path: `rules.promoted.share`, `lists[1]`.
    """
    node, line = yaml.compose(raw, Loader=yaml.SafeLoader), 1
    for part in re.findall(r"[^.\[\]]+", path):
        found = _entry(node, part)
        if found is None:
            break
        line, node = found
    return line


def _entry(node: yaml.Node | None, part: str) -> tuple[int, yaml.Node] | None:
    """Line and value of an entry of a mapping, by its key, or of a sequence, by its number."""
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        value = node.value[int(part)]
        return value.start_mark.line + 1, value
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    return None


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML takes the last without a word; 1e-3 is a number, as in YAML 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` stands there twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
