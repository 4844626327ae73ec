from tests.ledger.console.conftest import Reader  # noqa
def test_one(site, english):
    bad=[]
    for p in ["/","/accounts","/classes/2201","/accounts/2201:M1","/accounts/2101:U1","/journals/"+site.made.payment["journal_id"],"/entries/1",f"/entries/{site.made.refused_at}","/days","/days/2026-09-12","/holds","/approvals","/limits","/stops","/parties","/parties/P1","/parties/M2","/chain","/nothing"]:
        a=english.http.get("/console"+p)
        print(p,a.status_code,len(a.text))
        if a.status_code>=500: bad.append(p)
    assert not bad
