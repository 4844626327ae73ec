"""Every page in both languages: what stands on it, how it is made, what it never shows."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from ledger.domain.chain import journal_id
from ledger.domain.refusals import BY_CODE
from ledger.entrypoints.console import money, texts
from ledger.entrypoints.console.render import HEADERS
from ledger.service import entry_views, queries, views
from tests.ledger.conftest import DAY
from tests.ledger.console.conftest import EVIL, NEXT, SEALED, Reader

PATHS = {
    "home": "/", "found nothing": "/find?number=XYZ", "accounts": "/accounts",
    "class": "/classes/2201", "class, empty": "/classes/2501", "account": "/accounts/2201:M1",
    "account, page": "/accounts/2201:M1?before=150",
    "account, end": "/accounts/2201:M1?before=1",
    "account, tree": "/accounts/2101:U1?value_date=2026-09-12&known_at=2026-09-12+12:00",
    "account, errors": "/accounts/2201:M1?value_date=12.9.2026&known_at=now",
    "payment": "/journals/{payment[journal_id]}", "refund": "/journals/{refund[journal_id]}",
    "approved": "/journals/{approved[journal_id]}",
    "reversal": "/journals/{reversal[journal_id]}", "signed": "/journals/{signed[journal_id]}",
    "same request": "/journals/{signed_too[journal_id]}",
    "refused": "/entries/{refused_at}", "waiting": "/entries/{pending[0][sequence]}",
    "first": "/entries/1", "days": "/days", "days, error": "/days?date=yesterday",
    "closed": "/days/2026-09-12", "closed, page": "/days/2026-09-12?after=50",
    "open": "/days/2026-09-13", "empty": "/days/2030-01-01", "holds": "/holds",
    "holds of one": "/holds?account=2201:M1", "no holds": "/holds?account=1001",
    "approvals": "/approvals", "limits": "/limits", "stops": "/stops", "bills": "/bills",
    "bills of one": "/bills?merchant=M3", "no bills": "/bills?merchant=M9",
    "reconciliation": "/reconciliation", "reconciliation, page": "/reconciliation?page=2",
    "parties": "/parties",
    "parties, some": "/parties?kind=user&state=active", "parties, none": "/parties?kind=card",
    "party": "/parties/M2", "party, details": "/parties/P1", "chain": "/chain",
    "chain, older": "/chain?before=1", "no account": "/accounts/9999",
    "no class": "/classes/9999", "no journal": "/journals/J000000099999",
    "no entry": "/entries/0", "no party": "/parties/nobody", "no date": "/days/2026-13-45",
    "no page": "/nothing/at/all",
}
STATUS = {
    "found nothing": 404, "account, errors": 422, "days, error": 422,
    **{name: 404 for name in PATHS if name.startswith("no ")
       and name not in ("no holds", "no bills")},
}
LANGUAGES = ("zh", "en")
VOID = {"meta", "link", "input", "br", "img"}
#: Latin letters on Chinese pages outside of codes and stored texts: the product, currencies.
ALLOWED = {"paylake", "CNY"}


@pytest.fixture(scope="session", params=LANGUAGES)
def pages(request, site, signed):
    """(language, name -> HTML), each page read once."""
    reader = Reader(site, request.param)
    return request.param, {
        name: reader.get(
            "/console" + path.format(**vars(site.made)), STATUS.get(name, 200)
        )
        for name, path in PATHS.items()
    } | {"login": Reader(site, request.param, log_in=False).get("/console/login?expired=1")}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.stack: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, ...]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.stack, self.stack

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs), (tag, attrs)
        self.tags.append((tag, found))
        self.inside.append(tuple(t for t, _ in self.stack))
        if not self._foreign(found):
            self.words += [v for k, v in attrs if k in ("aria-label", "title", "alt") and v]
        if tag not in VOID:
            self.stack.append((tag, found))

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1][0] == tag, (tag, self.stack[-3:])
        self.stack.pop()

    def _foreign(self, attrs=None):
        """Inside a code, a stored text, or a passage in the other language."""
        for tag, found in [*self.stack, ("", attrs or {})]:
            if tag in ("code", "bdi", "style") or (tag != "html" and "lang" in found):
                return True
        return False

    def handle_data(self, data):
        if not self._foreign():
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_made_so_that_everyone_can_use_them(pages):
    language, found = pages
    assert len(found) > 40
    for name, source in found.items():
        page = Page(source)
        (root,) = page.all("html")
        assert root["lang"] == texts.TAGS[language], name
        assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1, name
        assert page.all("a")[0] == {"class": "skip", "href": "#content"}, name
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids)), (name, ids)
        assert len(page.all("caption")) == len(page.all("table")), name
        assert all(a.get("scope") in ("col", "row", "rowgroup") for a in page.all("th")), name
        labels = {a["for"] for a in page.all("label")}
        for tag in ("input", "select"):
            for attrs in page.all(tag):
                assert attrs.get("type") == "hidden" or attrs["id"] in labels, (name, attrs)
        for _, attrs in page.tags:
            for key in ("aria-describedby", "aria-labelledby"):
                for wanted in (attrs.get(key) or "").split():
                    assert wanted in ids, (name, wanted)
            assert not [k for k in attrs if k.startswith("on") or (k in ("style", "tabindex")
                        and attrs[k] not in ("0", "-1"))], (name, attrs)
        assert not {"script", "img", "iframe", "style", "object"} & {t for t, _ in page.tags}
        for tag, key in (("a", "href"), ("link", "href"), ("form", "action")):
            for attrs in page.all(tag):
                assert attrs[key].startswith(("/console", "#content")), (name, attrs)
        assert f'lang="{texts.TAGS["en" if language == "zh" else "zh"]}"' in source, name


def test_links_of_every_page_lead_somewhere(pages, site):
    language, found = pages
    reader = Reader(site, language)
    links = {
        attrs["href"].partition("#")[0]
        for source in found.values() for attrs in Page(source).all("a")
        if not attrs["href"].startswith("#")
    }
    links = {html.unescape(link) for link in links if "lang=" not in link}
    assert len(links) > 150
    for link in sorted(links):
        answer = reader.http.get(link)
        assert answer.status_code == 200, link


def test_chinese_pages_have_no_english(site, signed):
    reader = Reader(site, "zh")
    for name, path in PATHS.items():
        source = reader.get("/console" + path.format(**vars(site.made)), STATUS.get(name, 200))
        for words in Page(source).words:
            left = set(re.findall(r"[A-Za-z]{2,}", words)) - ALLOWED
            # ids in sentences and headings are codes: of a journal, an account, a party
            left -= {w for w in left if re.search(rf"\b{w}\b", path.format(**vars(site.made)))}
            assert not left, (name, words, left)
        assert re.search("[\u4e00-\u9fff]", source)


def test_english_pages_have_no_chinese(site, signed):
    reader = Reader(site, "en")
    for name, path in PATHS.items():
        source = reader.get("/console" + path.format(**vars(site.made)), STATUS.get(name, 200))
        assert not re.search("[\u3000-\u9fff\uff00-\uffef]", " ".join(Page(source).words)), name


def test_headers_of_every_answer(site, signed, english):
    stranger = Reader(site, "en", log_in=False)
    answers = [
        *(english.http.get("/console" + p.format(**vars(site.made))) for p in PATHS.values()),
        english.http.get("/console/static/console.css"), english.http.put("/console/holds"),
        stranger.http.get("/console"), stranger.http.get("/console/"),
        stranger.http.get("/console/login"), stranger.http.get("/console/nothing"),
        english.http.get("/console/find?number=2201:M1"), english.http.head("/console/"),
    ]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, answer.url
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert answers[-1].text == ""


def test_the_console_is_not_in_the_description_of_the_interface(site):
    assert "console" not in str(list(site.client.get("/openapi.json").json()["paths"]))


def test_a_wrong_method_and_a_page_that_is_none(english):
    assert "no such page" in english.text("/console/nothing", 404)
    answer = english.http.post("/console/accounts")
    assert answer.status_code == 405 and "only be looked at" in answer.text


# languages


def test_language_by_address_then_cookie_then_browser(site):
    http = Reader(site, "en").http
    http.cookies.delete("paylake_console_language")
    assert 'lang="zh-Hans-CN"' in http.get("/console/").text
    chinese = texts.TAGS["zh"]
    for accepted, tag in (("en-GB,en;q=0.8", "en"), ("fr,zh-TW", chinese), ("fr", chinese)):
        text = http.get("/console/", headers={"accept-language": accepted}).text
        assert f'<html lang="{tag}">' in text
    assert '<html lang="en">' in http.get("/console/holds?lang=en").text
    assert '<html lang="en">' in http.get("/console/").text  # remembered
    assert '<html lang="en">' in http.get("/console/?lang=xx").text
    text = http.get("/console/holds?account=2201:M1").text
    assert "/console/holds?account=2201%3AM1&amp;lang=zh" in text


# what stands on them


def test_balances_in_figures_and_capitals(site, english, chinese):
    accounts = site.world.ledger.state.all_accounts()
    assert len(accounts) > 30
    for account in accounts:
        text = english.text(f"/console/accounts/{account.account_id}")
        for minor in (account.balance, account.held, account.available):
            assert f" {money.amount(minor, 2)} " in text, account.account_id
            assert money.capitals(minor) in text, account.account_id
    text = chinese.text("/console/accounts/2201:M1")
    assert "余额" in text and "冻结 123.45 人民币壹佰贰拾叁元肆角伍分" in text


def test_the_tree_adds_up(site, english):
    state = site.world.ledger.state
    tree = views.chart(site.world.ledger)
    assert [t["books"] for t in tree] == ["reserve", "own"]
    for books in tree:
        assert books["debit"] == books["credit"]
        for kind in books["kinds"]:
            assert kind["balance"] == sum(line["balance"] for line in kind["lines"])
            for line in kind["lines"]:
                mine = [a for a in state.all_accounts() if a.code == line["code"]]
                assert line["balance"] == sum(a.balance for a in mine)
                assert line["accounts"] == len(mine)
    text = english.text("/console/accounts")
    assert text.count("in balance") == 2 and "Memo books" not in text
    reserve = tree[0]["kinds"][0]["balance"]
    assert f"Assets (debit) 1 {money.amount(reserve, 2)}" in text
    text = english.text("/console/classes/2201")
    total = sum(a.balance for a in state.all_accounts() if a.code == "2201")
    assert f"Sum over 2 accounts {money.amount(total, 2)}" in text


def test_an_account_with_accounts_below_it(site, english):
    state = site.world.ledger.state
    own, seven, eight = (
        state.account(f"2101:{user}", "CNY").balance for user in ("U1", "U7", "U8")
    )
    text = english.text("/console/accounts/2101:U1")
    shown = [money.amount(value, 2) for value in (seven, seven + eight, eight, eight)]
    assert f"2101:U7 {shown[0]} {shown[1]} 2101:U8 {shown[2]} {shown[3]}" in text
    assert (
        f"Own balance {money.amount(own, 2)} Sum below {money.amount(seven + eight, 2)} "
        f"Total {money.amount(own + seven + eight, 2)}"
    ) in text
    found = queries.tree(site.world.ledger, "2101:U1", "CNY")
    assert found["accounts"][0]["total_minor"] == own + seven + eight


def test_a_balance_at_a_date_and_as_known_at_a_time(site, english, chinese):
    ledger = site.world.ledger
    for day, known, utc in (
        ("2026-09-12", "2026-09-12 09:00", "2026-09-12T01:00:00Z"),
        ("2026-09-12", "2026-09-13 12:30", "2026-09-13T04:30:00Z"),
        ("2026-09-13", "2026-09-13T12:30:00", "2026-09-13T04:30:00Z"),
        ("2026-09-13", "2026-09-12 23:59:59", "2026-09-12T15:59:59Z"),
    ):
        wanted = queries.balance_at(ledger, "2201:M1", "CNY", day, utc)["balance_minor"]
        query = f"value_date={day}&known_at={quote(known)}"
        text = english.text(f"/console/accounts/2201:M1?{query}")
        stamp = f"{known.replace('T', ' '):0<19}" if len(known) == 19 else f"{known}:00"
        assert (
            f"Balance at value date {day} as known at {stamp} {money.amount(wanted, 2)} "
            f"{money.capitals(wanted)}"
        ) in text
    text = chinese.text("/console/accounts/2201:M1?value_date=2026-02-30&known_at=25:00", 422)
    assert "不是有效日期" in text and "不是有效时间" in text
    source = chinese.get("/console/accounts/2201:M1?value_date=x%22%3E%3Cscript%3E", 422)
    assert 'value="x&#34;&gt;&lt;script&gt;"' in source and "aria-invalid" in source


def test_journals_of_an_account_by_pages_newest_first(site, english):
    ledger = site.world.ledger
    for account in ledger.state.all_accounts():
        wanted = ledger.history.sequences(
            ledger.store, account.account_id, "CNY", "2000-01-01", "9999-12-31"
        )[::-1]
        for size in (1, 7, 1000):
            found: list[int] = []
            before = None
            while page := views.newest(ledger, account.account_id, "CNY", before, size):
                found += page
                before = page[-1]
                if size == 1 and len(found) > 20:
                    break
            assert found == wanted[: len(found)], account.account_id
            assert size == 1 or len(found) == len(wanted)
    path, seen = "/console/accounts/2201:M1", []
    for _ in range(10):
        source = english.get(path)
        table = source[source.index('id="journals"'):]
        seen += re.findall(r"<th scope=\"row\">\s*<a href=\"/console/journals/(J\d+)", table)
        older = re.search(r'rel="next" href="([^"#]+)#journals"', source)
        if older is None:
            break
        path = html.unescape(older[1])
    assert len(seen) == len(set(seen)) > 60 and seen == sorted(seen, reverse=True)


def test_a_journal(site, signed, english, chinese):
    made = site.made
    text = english.text(f"/console/journals/{made.payment['journal_id']}")
    for words in (
        "payment", "2026-09-12 10:00:00", "house system switch", "PAY-1", "in balance",
        "Debit Credit", "merchant pending settlement", "gross amount", "It needed no approval",
        "Sent by the house's own system",
    ):
        assert words in text, words
    row = site.world.ledger.store.find_by_journal(1)
    assert row[16].hex() in text
    found = entry_views.journal(site.world.ledger, made.payment["journal_id"])
    total = found["totals"]["CNY"]
    assert total["D"] == total["C"] > 0
    both = money.amount(total["D"], 2)
    assert f"Total {both} {both} CNY in balance" in text
    assert f"In Chinese capitals: {money.capitals(total['D'])}" in text
    source = english.get(f"/console/journals/{made.refund['journal_id']}")
    assert re.search(
        rf"Original</th><td>\s*<a href=\"/console/journals/{made.payment['journal_id']}\"", source
    )
    text = chinese.text(f"/console/journals/{made.reversal['journal_id']}")
    assert f"原业务 {made.approved['journal_id']} 调账 ADJ-1" in text
    assert "录入人 操作员 ann" in text and "复核人 操作员 ben" in text
    assert "booked twice" in text
    text = english.text(f"/console/journals/{made.signed['journal_id']}")
    assert "Signer operator:ann" in text and "/v1/batches" in text and "abababab" in text
    text = english.text(f"/console/journals/{made.signed_too['journal_id']}")
    assert f"The same request as entry {made.signed['sequence']}" in text
    text = english.text(f"/console/entries/{made.refused_at}")
    assert "refused" in text and made.refused["reason"] in text and "no legs" in text
    reason = BY_CODE[made.refused["reason"]]
    assert reason.en in text
    assert reason.zh in chinese.text(f"/console/entries/{made.refused_at}")
    assert "still waits" in english.text(f"/console/entries/{made.pending[0]['sequence']}")


@pytest.mark.parametrize(("evidence", "words"), [
    ({"session": "S-1", "number": 3, "digest": "ab" * 32}, "Session S-1 Number in the session 3"),
    ({"request": 7}, "The same request as entry 7"),
    ({"other": {"of": ["a later format"]}}, "a later format"),
])
def test_evidence_of_every_kind(site, english, monkeypatch, evidence, words):
    real = entry_views._entry
    monkeypatch.setattr(entry_views, "_entry", lambda *a: {**real(*a), "evidence": evidence})
    assert words in english.text("/console/journals/J000000000001")


def test_journals_of_a_date(site, english):
    text = english.text(f"/console/days/{DAY}")
    assert "closed" in text and site.made.head["chain_digest"] in text
    assert f"Trial balance of {DAY}" in text
    for line in site.made.head["trial_balance"]:
        shown = " ".join(
            money.amount(line[f"{place}_minor"], 2)
            for place in ("opening", "debit", "credit", "closing")
        )
        assert shown in text
    seen, path = [], f"/console/days/{DAY}"
    while path:
        source = english.get(path)
        seen += re.findall(r'<th scope="row">\s*<a href="/console/journals/(J\d+)', source)
        later = re.search(r'rel="next" href="([^"]+after=[^"]+)"', source)
        path = html.unescape(later[1]) if later else ""
    assert seen == [journal_id(n) for n in range(1, site.made.head["journals"] + 1)]
    text = english.text(f"/console/days/{NEXT}")
    assert "not closed yet" in text and "SIG-1 5.00 CNY 2026-09-13 operator ann" in text
    text = english.text("/console/days/2030-01-01")
    assert "No journal is booked" in text and "2026-09-12" in text
    answer = english.http.get(f"/console/days?date={DAY}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/days/{DAY}")


def test_holds_with_age_and_end(site, english, chinese):
    text = english.text("/console/holds")
    assert "H-1 authority's order 2201:M1 123.45 123.45 0.00 0.00 2026-09-12 1 d" in text
    assert "2026-09-15 2 d left CASE-7" in text and "whole account" in text
    assert "withdrawal under way" in text and "3 in all" in text
    text = chinese.text("/console/holds?account=2201:M1")
    assert "有权机关冻结" in text and "还剩 2 天" in text and "共 1 条" in text


def test_what_waits_for_a_checker(site, english, chinese):
    text = english.text("/console/approvals")
    waiting = queries.waiting(site.world.ledger)["pending"]
    assert len(waiting) == 3
    for entry in waiting:
        assert f"Entry {entry['sequence']}" in text and entry["digest"] in text
    assert "operator eve" in text and "2026-09-13 10:15:00" in text and "2 h 15 min" in text
    assert "1,680.32" in text and "sensitive" in text
    text = chinese.text("/console/approvals")
    for words in ("合同版本", "起结金额 100.00 人民币壹佰元整", "2 小时 15 分"):
        assert words in text


def test_a_stop_of_an_older_log_does_not_say_since_when(site, english):
    """Its document has no such date; the page shows that, not a guess."""
    table = site.world.ledger.state.table("stop")
    older = dict(table["STOP-2"])
    table["STOP-2"] = {name: value for name, value in older.items() if name != "since"}
    try:
        assert "STOP-2 rail NetsUnion everything — " in english.text("/console/stops")
    finally:
        table["STOP-2"] = older


def test_limits_stops_and_parties(site, english, chinese):
    text = english.text("/console/limits")
    row = "LIM-1 withdrawal user 2101 user payment account standard 50,000.00 100,000.00 5 "
    assert row + "200,000.00 10" in text
    later = text.index("Limits that begin later")
    assert text.index("LIM-1") < later < text.index("LIM-2")
    text = chinese.text("/console/stops")
    assert "STOP-1 商户 M2 新业务 2026-09-13 操作员 eve" in text
    assert "STOP-2 通道 网联 全部业务 2026-09-13" in text
    text = english.text("/console/parties")
    assert "M2 merchant suspended 2026-09-13 standard — no. 3: bankruptcy, dissolution" in text
    assert "第 3 项：破产、解散或被吊销执照" in chinese.text("/console/parties/M2")
    text = english.text("/console/parties?kind=user&state=active")
    assert "U1" in text and "M1 " not in text.split("Parties with their states")[1]
    text = chinese.text("/console/parties/M2")
    assert "已暂停" in text and "第 3 项" in text and "2201:M2 商户待结算" in text
    assert "C-M2" in text and "生效中" in text


def test_bills_and_the_fees_beside_them(site, english, chinese):
    text = english.text("/console/bills")
    assert "Bills (1 wait for the merchant)" in text and "2 in all" in text
    first = ("BILL-M3 M3 2026-08-13 2026-09-12 10.70 人民币壹拾元柒角 CNY 2026-09-13 "
             "waits for the merchant 0 d")
    then = "BILL-M4 M4 2026-08-13 2026-09-12 365.00 人民币叁佰陆拾伍元整 CNY 2026-09-13 2026-09-13"
    assert text.index(first) < text.index(then)
    # on no bill yet, on a bill that waits, due, prepaid
    assert "M3 0.15 10.70 0.00 0.00 CNY" in text and "M4 0.00 0.00 365.00 0.00 CNY" in text
    accounts = site.world.ledger.state.accounts["CNY"]
    assert accounts["1204:M3"].balance == 15 + 1_070 and accounts["1205:M4"].balance == 36_500
    of_one = chinese.text("/console/bills?merchant=M4")
    assert "商户 M4 的手续费账单" in of_one and "共 1 条" in of_one and "M3" not in of_one
    home = english.text("/console/")
    assert "Bills that merchants have not confirmed 1 Oldest 2026-09-13" in home


def test_the_state_of_the_chain(site, english):
    text = english.text("/console/chain")
    head = site.world.ledger.head
    assert f"Last entry {head.sequence}" in text and head.digest.hex() in text
    assert "Signed heads 1" in text and "ledger-1" in text and "there and the same" in text
    assert site.made.head["chain_digest"] in text
    path = site.settings.path("ledger", "heads", f"{DAY}.json")
    kept = path.read_bytes()
    try:
        path.write_bytes(kept + b" ")
        assert "differs from the ledger" in english.text("/console/chain")
        path.unlink()
        assert "missing" in english.text("/console/chain")
    finally:
        path.write_bytes(kept)


def test_finding(site, english):
    for asked, where in (
        ("2201:M1", "/console/accounts/2201:M1"), ("U1", "/console/parties/U1"),
        ("PAY-1", f"/console/journals/{site.made.payment['journal_id']}"),
        (site.made.refund["journal_id"], f"/console/journals/{site.made.refund['journal_id']}"),
    ):
        answer = english.http.get(f"/console/find?number={asked}")
        assert (answer.status_code, answer.headers["location"]) == (303, where)
    text = english.text(f"/console/find?number={quote(EVIL)}", 404)
    assert "Nothing has this number" in text
    english.get("/console/find", 200)


# what they never show


def test_what_was_stored_is_shown_as_text(pages):
    _, found = pages
    seen = 0
    for name, source in found.items():
        for tag in ("script", "img"):
            assert f"<{tag}" not in source.lower(), name
        seen += html.unescape(source).count(EVIL)
    # reason, metadata, operator's name, details: on journals, stops, approvals, parties
    for name in ("payment", "approved", "stops", "approvals", "party, details"):
        assert html.escape(EVIL[:20]) in found[name], name
    assert seen >= 10


def test_what_was_asked_for_is_shown_as_text(site, english):
    for path in ("/accounts/{}", "/classes/{}", "/journals/{}", "/entries/{}", "/days/{}",
                 "/parties/{}", "/nothing/{}", "/find?number={}", "/days?date={}",
                 "/holds?account={}", "/parties?kind={}", "/accounts/2201:M1?known_at={}",
                 "/accounts/2201:M1?currency={}", "/chain?before={}", "/holds?page={}",
                 "/login?next={}", "/holds?lang={}&x={}"):
        for text in (EVIL.replace("/", "%2F"), "' or 1=1 --", "\u0000", "9" * 400, "\U0001f4b0",
                     "%ff%fe", "{{ 7777 * 7 }}"):
            asked = text if text.startswith("%ff") else quote(text, safe="")
            answer = english.http.get("/console" + path.format(asked, asked))
            assert answer.status_code in (200, 303, 404, 422), (path, text, answer.status_code)
            assert "<script" not in answer.text and "<img" not in answer.text
            assert "54439" not in answer.text


def test_sealed_values_never_appear(pages, site):
    _, found = pages
    for name, source in found.items():
        for value in (*SEALED, site.token):
            assert value not in source, name
    assert "commitment" in found["approvals"] or "承诺值" in found["approvals"]


def test_an_empty_ledger_has_pages_too(settings):
    from fastapi.testclient import TestClient

    from ledger.adapters.tokens import Tokens
    from ledger.entrypoints.http import create_app
    from ledger.entrypoints.operations import open_ledger

    ledger = open_ledger(settings, simulated=True)
    with TestClient(create_app(settings, ledger, Tokens.load(settings))) as http:
        token = settings.path("keys", "ledger.token").read_text("ascii")
        http.post("/console/login", data={"token": token})
        for lang in LANGUAGES:
            for name, status in (
                ("", 200), ("accounts", 200), ("days", 200), ("days/2026-09-12", 200),
                ("holds", 200), ("approvals", 200), ("limits", 200), ("stops", 200),
                ("parties", 200), ("chain", 200), ("accounts/1001", 404), ("entries/1", 404),
            ):
                answer = http.get(f"/console/{name}?lang={lang}")
                assert answer.status_code == status, (name, answer.text)
                Page(answer.text)
        assert "the clock was never set" in answer.text
