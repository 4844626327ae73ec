"""Filters that go along: addresses, what is remembered, what another language makes of them."""

from __future__ import annotations

from urllib.parse import unquote

from dashboards import carry
from dashboards.source.screens import BY_KEY


def test_an_address_sets_the_filters_that_the_screen_has() -> None:
    values = {"day": ["2026-10-11"], "region": ["广东", "上海"], "merchant": ["A 1", "B 2"]}
    made = unquote(carry.address(BY_KEY["settlement"], "zh", values))
    assert made.startswith("/superset/dashboard/settlement-zh/?native_filters=(")
    assert "(col:day,op:IN,val:!('2026-10-11'))" in made
    assert "(col:region_name,op:IN,val:!('广东','上海'))" in made
    made = unquote(carry.address(BY_KEY["merchant"], "en", values))
    assert "region" not in made and "val:!('A 1'))" in made and "B 2" not in made
    phone = carry.address(BY_KEY["overview-phone"], "zh", {})
    assert phone == "/superset/dashboard/overview-phone-zh/?standalone=2&expand_filters=0"


def test_a_quote_in_a_name_stays_within_its_value() -> None:
    assert carry.rison("it's!") == "'it!'s!!'"
    made = carry.address(BY_KEY["settlement"], "en", {"merchant": ["x')),y:('&a=b#"]})
    assert made.count("&") == 0 and "#" not in made


def test_state_of_a_filter_bar_is_read_by_name() -> None:
    state = {
        "NATIVE_FILTER-day": {"filterState": {"value": ["2026-10-11"]}},
        "NATIVE_FILTER-region": {"filterState": {"value": None}},
        "NATIVE_FILTER-mcc": {"filterState": {}},
        "OTHER": {"filterState": {"value": ["x"]}},
    }
    assert carry.chosen(state) == {"day": ["2026-10-11"]}


def test_what_a_screen_lacks_is_remembered_and_what_it_clears_is_gone() -> None:
    kept = {"day": ["2026-10-10"], "region": ["广东"], "merchant": ["A 1"]}
    after = carry.merge(kept, BY_KEY["overview"], {"day": ["2026-10-11"]})
    assert after == {"day": ["2026-10-11"], "region": ["广东"], "merchant": ["A 1"]}
    after = carry.merge(after, BY_KEY["settlement"], {"day": ["2026-10-11"], "mcc": ["超市"]})
    assert after == {"day": ["2026-10-11"], "mcc": ["超市"]}
