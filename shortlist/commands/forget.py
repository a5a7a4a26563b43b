"""A run and a user in; the run's objects without the user out: lines gone, ids in arrays replaced by a made-up one."""

import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import replace

import msgspec

from shortlist.contracts.arrays import StringTable, UserShard
from shortlist.contracts.inputs import RejectedRow
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest, Output
from shortlist.errors import MissingObjectError
from shortlist.ports import ObjectStore


class _Owner(msgspec.Struct):
    """The one field that says whose a line is."""

    user_id: str


def forget_lines(user_id: str, addresses: Collection[str], keys: RunKeys, *, store: ObjectStore) -> int:
    """Take the user's lines out of a run's JSON Lines; returns how many there were.

    Args:
        addresses: theirs: a rejected row may hold one without the id.
    """
    owner, rejected = msgspec.json.Decoder(_Owner), msgspec.json.Decoder(RejectedRow)
    texts = "|".join(map(re.escape, (user_id, *addresses)))
    cell = re.compile(rf'(?<![^,;\t|"])(?:{texts})(?![^,;\t|"\r\n])')

    def is_theirs(line: bytes, prefix: str) -> bool:
        if prefix == keys.rejected_prefix:
            return bool(cell.search(rejected.decode(line).row))
        return owner.decode(line).user_id == user_id

    found = 0
    for prefix in (
        keys.topx_prefix,
        keys.outcomes_prefix,
        keys.rejected_prefix,
        keys.responses,
        keys.recipient_shards,
    ):
        for entry in list(store.list(prefix)):
            lines = store.read(entry.key).splitlines(keepends=True)
            others = [line for line in lines if not is_theirs(line, prefix)]
            if len(others) < len(lines):
                store.write(entry.key, b"".join(others))
                found += len(lines) - len(others)
    return found


def rename_in_arrays(user_id: str, keys: RunKeys, *, store: ObjectStore) -> int:
    """Replace the user's id in the run's arrays by one that says nothing; returns in how many objects it stood.

    Rows stay, as others' factors were learned with them, but nothing says any more whose they were. The manifests that
    name these objects are told their new checksums, so that the run can still be resumed and its model used again.
    """
    new_id = f"erased-{secrets.token_hex(8)}"
    vocabulary = keys.dataset("user_ids.npz")
    found = _rename(vocabulary, "Prepare", user_id, lambda raw: _in_vocabulary(raw, user_id, new_id), keys, store)
    for entry in list(store.list(keys.user_shards)):
        found += _rename(entry.key, "Repackage", user_id, lambda raw: _in_shard(raw, user_id, new_id), keys, store)
    return found


def _rename(
    key: str, stage: str, user_id: str, renamed: Callable[[bytes], bytes | None], keys: RunKeys, store: ObjectStore
) -> int:
    try:
        raw = store.read(key)
    except MissingObjectError:  # the run ended before it came so far
        return 0
    body = renamed(raw) if user_id.encode() in raw else None
    if body is None:
        return 0
    _tell(keys.manifest(stage), key, store.write(key, body), store)
    return 1


def _in_vocabulary(raw: bytes, user_id: str, new_id: str) -> bytes | None:
    table = _renamed(StringTable.from_bytes(raw), user_id, new_id)
    return table.to_bytes() if table else None


def _in_shard(raw: bytes, user_id: str, new_id: str) -> bytes | None:
    shard = UserShard.from_bytes(raw)
    table = _renamed(shard.user_ids, user_id, new_id)
    return replace(shard, user_ids=table).to_bytes() if table else None


def _renamed(table: StringTable, user_id: str, new_id: str) -> StringTable | None:
    ids = table.to_list()
    if user_id not in ids:
        return None
    return StringTable.of(new_id if known == user_id else known for known in ids)


def _tell(manifest_key: str, key: str, output: Output, store: ObjectStore) -> None:
    try:
        manifest = msgspec.json.decode(store.read(manifest_key), type=Manifest)
    except MissingObjectError:
        return
    told = msgspec.structs.replace(manifest, outputs=manifest.outputs | {key: output})
    store.write(manifest_key, msgspec.json.encode(told))
