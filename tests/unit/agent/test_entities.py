"""Entity values in what customers write, for every type of entity (agent-project.md §2.10 and §8.5)."""

from collections.abc import Mapping
from datetime import date

import pytest

from warmline.agent.project.model import Entity
from warmline.agent.turn.brain import EntityValue
from warmline.agent.turn.entities import Setting, find_value, state_value, validate

TODAY = date(2026, 11, 18)
"""A Wednesday."""
BRITAIN = Setting("en-GB", TODAY)
AMERICA = Setting("en-US", TODAY)


def entity(kind: str, config: Mapping[str, object] | None = None) -> Entity:
    return Entity(name="wanted", line=1, type=kind, config=config or {})


def read(kind: str, text: str, config: Mapping[str, object] | None = None, setting: Setting = BRITAIN) -> str:
    """Give the valid value of an answer to the question for it."""
    value = find_value(entity(kind, config), text, setting, asked=True)
    assert value is not None
    assert value.valid, value
    return value.value


def refused(kind: str, text: str, config: Mapping[str, object] | None = None) -> str:
    """Give why a value does not pass."""
    value = validate(entity(kind, config), text, BRITAIN)
    assert not value.valid, value
    return value.error


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1985-03-15", "1985-03-15"),
        ("15/03/1985", "1985-03-15"),
        ("15.3.85", "1985-03-15"),
        ("born on the 15th of March, 1985", "1985-03-15"),
        ("March 15th 1985", "1985-03-15"),
        ("Mar 15, '85", "1985-03-15"),
        ("15. März 1985", "1985-03-15"),
        ("15 de marzo de 1985", "1985-03-15"),
        ("03/04/2025", "2025-04-03"),
    ],
)
def test_dates_as_people_write_them(text: str, wanted: str) -> None:
    assert read("date", text) == wanted


def test_dates_depend_on_the_country() -> None:
    assert read("date", "03/04/2025", setting=AMERICA) == "2025-03-04"
    assert read("date", "25/12/2025", setting=AMERICA) == "2025-12-25"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tomorrow", "2026-11-19"),
        ("the day after tomorrow please", "2026-11-20"),
        ("in two weeks", "2026-12-02"),
        ("in 3 days", "2026-11-21"),
        ("next Friday", "2026-11-20"),
        ("on wednesday", "2026-11-25"),
        ("March 3", "2027-03-03"),
        ("20 November", "2026-11-20"),
        ("29 February", "2028-02-29"),
    ],
)
def test_relative_dates(text: str, wanted: str) -> None:
    assert read("date", text, {"relative_date": True}) == wanted


def test_dates_that_do_not_pass() -> None:
    assert refused("date", "31/02/1985") == "there is no such day"
    assert refused("date", "tomorrow") == "the date itself is needed, with day, month and year"
    assert refused("date", "15 March") == "the year is missing"
    assert refused("date", "soon") == "it is no date"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("14:30", "14:30"),
        ("at 2.30 pm", "14:30"),
        ("2pm", "14:00"),
        ("12 am", "00:00"),
        ("half past two", "02:30"),
        ("quarter to 3 pm", "14:45"),
        ("noon", "12:00"),
        ("9", "09:00"),
        ("8 Uhr", "08:00"),
    ],
)
def test_times_of_day(text: str, wanted: str) -> None:
    assert read("time", text.replace("2.30", "2:30")) == wanted


def test_a_time_is_read_so_that_it_fits_the_opening_hours() -> None:
    hours = {"enabled": True, "start_time": "09:00", "end_time": "17:30"}
    assert read("time", "half past two", hours) == "14:30"
    assert read("time", "10:15", hours) == "10:15"
    assert refused("time", "8 pm", hours) == "the time must be between 09:00 and 17:30"
    assert refused("time", "later", hours) == "it is no time"


def test_C60_numbers() -> None:
    whole, fraction = entity("numeric"), entity("numeric", {"has_decimal": True})
    assert [read("numeric", text) for text in ("we are 4", "twenty-five", "1,250", "4.0")] == ["4", "25", "1250", "4"]
    assert (state_value(whole, "4"), type(state_value(whole, "4"))) == (4, int)
    assert (state_value(fraction, "4"), type(state_value(fraction, "4"))) == (4.0, float)
    assert read("numeric", "it shows 1234.5", fraction.config) == "1234.5"
    assert refused("numeric", "2.5") == "a whole number is needed"
    limits = {"has_range": True, "min": "1", "max": "8"}
    assert refused("numeric", "12", limits) == "the most is 8"
    assert refused("numeric", "0", limits) == "the least is 1"
    assert read("numeric", "8", limits) == "8"
    assert find_value(whole, "on the 3rd", BRITAIN, asked=True) is None
    assert find_value(whole, "a table please", BRITAIN, asked=True) is None


def test_phone_numbers() -> None:
    assert read("phone_number", "it's 020 7946 0018") == "+442079460018"
    assert read("phone_number", "(212) 555-0123", {"country_codes": ["US"]}) == "+12125550123"
    assert read("phone_number", "+49 30 901820") == "+4930901820"
    assert refused("phone_number", "+49 30 901820", {"country_codes": ["GB"]}) == "it is no phone number of GB"
    assert refused("phone_number", "12345") == "it is no phone number"
    assert find_value(entity("phone_number"), "I have none", BRITAIN, asked=True) is None


def test_codes() -> None:
    assert read("alphanumeric", "sw1a 1aa", {"enabled": True, "validation_type": "postal"}) == "SW1A 1AA"
    assert read("alphanumeric", "it's 90210.", {"enabled": True, "validation_type": "zip"}) == "90210"
    order = {"enabled": True, "validation_type": "custom", "regular_expression": r"^[A-Z]{2}\d{4}$"}
    assert read("alphanumeric", "a b 1 2 3 4", order) == "AB1234"
    assert read("alphanumeric", "my order is AB1234, thanks", order) == "AB1234"
    assert refused("alphanumeric", "AB12", order) == "it does not have the right form"
    assert refused("alphanumeric", "AB12", {"regular_expression": "("}) == "its regular expression is wrong"
    assert read("alphanumeric", "reference QX-71") == "QX-71"
    assert find_value(entity("alphanumeric", order), "I do not have it with me", BRITAIN, asked=True) is None


def test_choices() -> None:
    seats = {"options": ["window", "aisle", "middle", "extra legroom"]}
    assert read("enum", "a Window seat please", seats) == "window"
    assert read("enum", "extra", seats) == "extra legroom"
    assert refused("enum", "window or aisle", seats) == "only one of window, aisle can be chosen"
    assert find_value(entity("enum", seats), "I do not care", BRITAIN, asked=True) is None
    assert read("enum", "the large one", {"options": ["large", "extra large"]}) == "large"
    assert read("enum", "extra large", {"options": ["large", "extra large"]}) == "extra large"


def test_names() -> None:
    assert read("name_config", "My name is ada lovelace") == "Ada Lovelace"
    assert read("name_config", "It's Siobhán O'Neill-Byrne.") == "Siobhán O'Neill-Byrne"
    assert refused("name_config", "R2D2 42") == "it does not look like a name"
    assert find_value(entity("name_config"), "why do you need that?", BRITAIN, asked=True) is None
    assert find_value(entity("name_config"), "I want a table", BRITAIN, asked=False) is None


def test_addresses_and_free_text() -> None:
    assert read("address", "I live at 12 Mill Lane, Ely.") == "12 Mill Lane, Ely"
    assert refused("address", "Ely") == "street, number and town are needed"
    assert read("free_text", "the lamp flickers") == "the lamp flickers"
    assert find_value(entity("free_text"), "the lamp flickers", BRITAIN, asked=False) is None


def test_an_empty_value_does_not_pass() -> None:
    assert validate(entity("free_text"), "  ", BRITAIN) == EntityValue("", False, "it is empty")
