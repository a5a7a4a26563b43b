"""Where a campaign is found: the bucket first, then what was deployed."""

from pathlib import Path

import pytest

from shortlist.campaigns import campaign_from_yaml, load_campaign, read_campaign_file
from shortlist.errors import ContractError
from tests.fakes import MemoryStore

SHIPPED = Path(__file__).parents[2] / "campaigns"


@pytest.fixture
def deployed(tmp_path):
    (tmp_path / "weekly.yaml").write_text("name: weekly\nx: 5\n")
    return tmp_path


def test_a_deployed_campaign_is_found(deployed):
    found = load_campaign("weekly", store=MemoryStore(), shipped=deployed)

    assert (found.campaign.x, found.source) == (5, "deployed")


@pytest.mark.parametrize(("name", "source"), [("weekly", "bucket, instead of the one deployed"), ("trial", "bucket")])
def test_the_bucket_comes_first(deployed, name, source):
    store = MemoryStore()
    store.write(f"campaigns/{name}.yaml", f"name: {name}\nx: 9\n".encode())

    found = load_campaign(name, store=store, shipped=deployed)

    assert (found.campaign.x, found.source) == (9, source)


def test_a_campaign_that_is_nowhere_is_named_beside_those_that_are(deployed):
    with pytest.raises(ContractError, match=r"no campaign 'daily'.*deployed \(weekly\).*Cure"):
        load_campaign("daily", store=MemoryStore(), shipped=deployed)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"name: [weekly", "a.yaml is not YAML"),
        (b"name: \xff", "a.yaml is not YAML"),
        (b"name: daily", "a campaign is called as its file, weekly"),
        (b"name: weekly\nx: 5\nx: 6\n", "`x` stands there twice"),
        (b"? [name]\n: weekly", "a.yaml is not YAML"),
        (b"name: weekly\n\nschedule: {time_zone: Mars}\n", "a.yaml line 3: at `schedule.time_zone`"),
        (b"", "a.yaml"),
    ],
)
def test_a_file_that_is_no_campaign_is_refused_by_name(raw, words):
    with pytest.raises(ContractError) as caught:
        campaign_from_yaml(raw, "a.yaml", "weekly")

    assert words in str(caught.value)


@pytest.mark.parametrize("number", ["1e-3", "0.001", "1.e-3", "+1E-3"])
def test_a_number_may_be_written_with_an_exponent(number):
    campaign = campaign_from_yaml(f"name: weekly\nmodel: {{regularization: {number}}}".encode(), "a.yaml", "weekly")

    assert campaign.model.regularization == 0.001


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_campaign_of_the_repository_is_sound(path):
    assert read_campaign_file(path).name == path.stem


def test_the_repository_has_campaigns():
    assert {path.stem for path in SHIPPED.glob("*.yaml")} >= {"weekly-picks", "movielens", "online-retail"}
