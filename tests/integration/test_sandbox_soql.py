"""SOQL beyond the plain SELECT: groups, functions, polymorphic parents."""

from datetime import datetime

import pytest


@pytest.fixture
def deals(sandbox):
    """Opportunities of two accounts, in two stages, made in three months."""
    for name, stage, amount, made in (
        ("Acme", "Open", 10, "2026-01-05T08:00:00Z"),
        ("Acme", "Open", 20, "2026-01-31T23:59:59Z"),
        ("Acme", "Won", 30, "2026-02-14T12:00:00Z"),
        ("Zeta", "Won", 40, "2025-12-31T00:00:00Z"),
    ):
        sandbox.insert(
            "Opportunity",
            {
                "Name": name,
                "StageName": stage,
                "Amount": amount,
                "CreatedDate": made,
                "CloseDate": made[:10],
            },
        )
    return sandbox


def values(rows):
    """The rows without their attributes."""
    return [tuple(value for key, value in row.items() if key != "attributes") for row in rows]


@pytest.mark.parametrize(
    "soql, expected",
    [
        (
            "SELECT Name, COUNT(Id) FROM Opportunity GROUP BY Name HAVING COUNT(Id) > 1",
            [("Acme", 3)],
        ),
        (
            "SELECT Name, SUM(Amount) s FROM Opportunity GROUP BY Name "
            "HAVING SUM(Amount) >= 40 AND Name LIKE 'Z%'",
            [("Zeta", 40.0)],
        ),
        (
            "SELECT Name, MAX(Amount) FROM Opportunity WHERE StageName = 'Won' GROUP BY Name "
            "HAVING MAX(CreatedDate) < 2026-01-01T00:00:00Z",
            [("Zeta", 40.0)],
        ),
        (
            "SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Opportunity "
            "GROUP BY CALENDAR_YEAR(CreatedDate) ORDER BY CALENDAR_YEAR(CreatedDate)",
            [(2025, 1), (2026, 3)],
        ),
        (
            "SELECT Name, StageName, GROUPING(StageName) g, COUNT(Id) FROM Opportunity "
            "GROUP BY ROLLUP(Name, StageName) ORDER BY GROUPING(StageName) DESC, Name LIMIT 2",
            [(None, None, 1, 4), ("Acme", None, 1, 3)],
        ),
        (
            "SELECT FORMAT(SUM(Amount)) s, FORMAT(MIN(CloseDate)) d FROM Opportunity",
            [("$100.00", "12/31/2025")],
        ),
        (
            "SELECT CALENDAR_MONTH(CreatedDate) m, SUM(Amount) FROM Opportunity "
            "WHERE CALENDAR_YEAR(CreatedDate) = 2026 GROUP BY CALENDAR_MONTH(CreatedDate) "
            "ORDER BY SUM(Amount) DESC, CALENDAR_MONTH(CreatedDate)",
            [(1, 30.0), (2, 30.0)],
        ),
        (
            "SELECT Name FROM Opportunity WHERE DAY_ONLY(CreatedDate) = 2026-01-31",
            [("Acme",)],
        ),
        ("SELECT Name FROM Opportunity WHERE HOUR_IN_DAY(CreatedDate) = 12", [("Acme",)]),
        (
            "SELECT Amount FROM Opportunity WHERE DAY_IN_WEEK(convertTimezone(CreatedDate)) = 7 "
            "ORDER BY Amount",
            [(20.0,), (30.0,)],
        ),
        ("SELECT Amount FROM Opportunity WHERE CALENDAR_QUARTER(CloseDate) = 4", [(40.0,)]),
        ("SELECT Amount FROM Opportunity WHERE DAY_IN_YEAR(CloseDate) = 365", [(40.0,)]),
        ("SELECT Amount FROM Opportunity WHERE WEEK_IN_MONTH(CloseDate) = 2", [(30.0,)]),
        (
            "SELECT DAY_ONLY(CreatedDate), COUNT(Id) FROM Opportunity WHERE Name = 'Zeta' "
            "GROUP BY DAY_ONLY(CreatedDate)",
            [("2025-12-31", 1)],
        ),
        (
            "SELECT FORMAT(Amount) shown, toLabel(StageName), convertCurrency(Amount) "
            "FROM Opportunity WHERE Name = 'Zeta'",
            [("$40.00", "Won", 40.0)],
        ),
        (
            "SELECT Name, StageName, SUM(Amount) FROM Opportunity "
            "GROUP BY ROLLUP(Name, StageName) ORDER BY Name NULLS LAST, StageName NULLS LAST",
            [
                ("Acme", "Open", 30.0),
                ("Acme", "Won", 30.0),
                ("Acme", None, 60.0),
                ("Zeta", "Won", 40.0),
                ("Zeta", None, 40.0),
                (None, None, 100.0),
            ],
        ),
        (
            "SELECT StageName, GROUPING(StageName) g, COUNT(Id) n FROM Opportunity "
            "GROUP BY CUBE(StageName) ORDER BY COUNT(Id), StageName NULLS LAST",
            [("Open", 0, 2), ("Won", 0, 2), (None, 1, 4)],
        ),
        ("SELECT COUNT(Id) FROM Opportunity", [(4,)]),
        ("SELECT AVG(Amount), MIN(Name) FROM Opportunity", [(25.0, "Acme")]),
        ("SELECT Name FROM Opportunity WHERE Name = 'Zeta' FOR UPDATE", [("Zeta",)]),
        ("SELECT Name FROM Opportunity WHERE Name = 'Zeta' FOR VIEW FOR REFERENCE", [("Zeta",)]),
        ("SELECT Name FROM Opportunity WHERE Name = 'Zeta' WITH SECURITY_ENFORCED", [("Zeta",)]),
        ("SELECT Name FROM Opportunity USING SCOPE everything WHERE Name = 'Zeta'", [("Zeta",)]),
    ],
)
def test_soql_groups_and_counts(deals, soql, expected):
    assert values(deals.query(soql)) == expected


def test_values_are_formatted_for_people(sandbox):
    row = {"Name": "A", "StageName": "Open", "CloseDate": "2026-01-05", "Probability": 7}
    sandbox.insert("Opportunity", {**row, "Amount": -1234567.5, "CreatedDate": "2026-01-31T00:05:59Z"})
    sandbox.insert("Opportunity", {**row, "Amount": None, "CreatedDate": "2026-12-31T13:00:00Z"})
    rows = sandbox.query(
        "SELECT FORMAT(Amount), FORMAT(CloseDate) d, FORMAT(CreatedDate) c, FORMAT(Probability) p, "
        "FORMAT(Name) n FROM Opportunity ORDER BY Amount NULLS LAST"
    )
    assert values(rows) == [
        ("-$1,234,567.50", "1/5/2026", "1/31/2026, 12:05 AM", "7%", "A"),
        (None, "1/5/2026", "12/31/2026, 1:00 PM", "7%", "A"),
    ]


def test_a_count_goes_no_further_than_its_limit(deals):
    for soql, count in (
        ("SELECT COUNT() FROM Opportunity", 4),
        ("SELECT COUNT() FROM Opportunity LIMIT 3", 3),
        ("SELECT COUNT() FROM Opportunity LIMIT 3 OFFSET 2", 2),
    ):
        assert deals.query_page(soql).json["totalSize"] == count


@pytest.mark.parametrize(
    "literal, names",
    [
        ("THIS_FISCAL_QUARTER", "bc"),
        ("LAST_FISCAL_YEAR", "a"),
        ("LAST_N_QUARTERS:2", "a"),
        ("N_QUARTERS_AGO:1", "a"),
        ("N_MONTHS_AGO:1", "b"),
        ("N_WEEKS_AGO:1", "c"),
        ("NEXT_N_FISCAL_QUARTERS:1", "d"),
    ],
)
def test_dates_are_found_by_quarters_and_by_how_long_ago(sandbox, literal, names):
    now = datetime.fromisoformat(sandbox.get("/_sandbox/clock").json["now"][:19])
    sandbox.advance(int((datetime(2026, 2, 18, 12) - now).total_seconds()))
    days = {"a": "2025-12-01", "b": "2026-01-20", "c": "2026-02-10", "d": "2026-04-01"}
    for name, day in days.items():
        sandbox.create("Opportunity", Name=name, StageName="Open", CloseDate=day)
    rows = sandbox.query(f"SELECT Name FROM Opportunity WHERE CloseDate = {literal} ORDER BY Name")
    assert "".join(row["Name"] for row in rows) == names


def test_all_rows_sees_the_bin(sandbox):
    sandbox.remove("Account", sandbox.create("Account", Name="Gone"))
    assert values(sandbox.query("SELECT Name FROM Account ALL ROWS")) == [("Gone",)]


@pytest.fixture
def tasks(sandbox):
    account = sandbox.create("Account", Name="Acme", Phone="555")
    deal = sandbox.create(
        "Opportunity", Name="Deal", StageName="Open", CloseDate="2026-01-31", Amount=5
    )
    for subject, what in (("a", account), ("b", deal), ("c", None)):
        sandbox.create("Task", Subject=subject, WhatId=what)
    return sandbox


def test_a_parent_of_several_kinds_has_its_own_attributes(tasks):
    rows = tasks.query("SELECT What.Name, What.Type FROM Task ORDER BY Subject")
    assert [row["What"] and row["What"]["attributes"]["type"] for row in rows] == [
        "Account",
        "Opportunity",
        None,
    ]
    assert [row["What"] and row["What"]["Name"] for row in rows] == ["Acme", "Deal", None]
    assert [row["What"] and row["What"]["Type"] for row in rows] == ["Account", "Opportunity", None]
    found = tasks.query("SELECT Subject FROM Task WHERE What.Type = 'Opportunity'")
    assert values(found) == [("b",)]
    assert values(tasks.query("SELECT Subject FROM Task WHERE What.Name = 'acme'")) == [("a",)]
    job = tasks.query_page("SELECT What.Amount FROM Task")
    assert (job.status, job.json[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_type_of_takes_other_fields_of_each_kind(tasks):
    rows = tasks.query(
        "SELECT Subject, TYPEOF What WHEN Account THEN Phone, Name WHEN Opportunity THEN Amount "
        "END FROM Task ORDER BY Subject"
    )
    assert [row["What"] and values([row["What"]])[0] for row in rows] == [
        ("555", "Acme"),
        (5.0,),
        None,
    ]
    rows = tasks.query(
        "SELECT TYPEOF What WHEN Account THEN Phone ELSE Id, Name END FROM Task "
        "WHERE Subject IN ('a', 'b') ORDER BY Subject"
    )
    assert values([rows[0]["What"]]) == [("555",)]
    assert rows[1]["What"]["Name"] == "Deal"


@pytest.mark.parametrize(
    "soql, code, message",
    [
        ("SELECT Name FROM Account GROUP BY Phone", "MALFORMED_QUERY", "must be grouped"),
        ("SELECT Id FROM Account WHERE COUNT(Id) > 1", "MALFORMED_QUERY", "HAVING"),
        ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "does not support"),
        ("SELECT CALENDAR_YEAR(Name) FROM Account", "MALFORMED_QUERY", "does not support"),
        ("SELECT CALENDAR_YEAR(CreatedDate) FROM Account", "MALFORMED_QUERY", "grouped"),
        ("SELECT ODD(Name) FROM Account", "MALFORMED_QUERY", "unexpected function"),
        ("SELECT Id, FIELDS(ALL) FROM User LIMIT 9", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Name, FORMAT(Name) FROM Account", "INVALID_FIELD", "duplicate field"),
        ("SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"),
        (
            "SELECT COUNT(Id) FROM Account GROUP BY AnnualRevenue",
            "MALFORMED_QUERY",
            "can not be grouped",
        ),
        (
            "SELECT Phone FROM Account GROUP BY Phone ORDER BY Name",
            "MALFORMED_QUERY",
            "Ordered field must be grouped or aggregated: Name",
        ),
        (
            "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account LIMIT 1)",
            "MALFORMED_QUERY",
            "LIMIT",
        ),
        (
            "SELECT Id FROM Account WHERE Name = 'a' OR Id IN (SELECT AccountId FROM Contact)",
            "MALFORMED_QUERY",
            "'OR' operator",
        ),
        (
            "SELECT Id FROM Account WHERE DISTANCE(Spot__c, GEOLOCATION(1,2), 'mi') < 5",
            "MALFORMED_QUERY",
            "DISTANCE is not supported",
        ),
        (
            "SELECT Name, Phone, Fax, Type, COUNT(Id) FROM Account "
            "GROUP BY CUBE(Name, Phone, Fax, Type)",
            "MALFORMED_QUERY",
            "three fields",
        ),
        ("SELECT TYPEOF What WHEN User THEN Id END FROM Task", "INVALID_TYPE", "User"),
        ("SELECT TYPEOF What WHEN Account THEN Nope END FROM Task", "INVALID_FIELD", "Nope"),
        ("SELECT TYPEOF Nope WHEN Account THEN Id END FROM Task", "INVALID_FIELD", "Nope"),
        ("SELECT TYPEOF What END FROM Task", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WITH NONSENSE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account FOR NONSENSE", "MALFORMED_QUERY", "unexpected token"),
    ],
)
def test_what_soql_refuses(sandbox, soql, code, message):
    answer = sandbox.query_page(soql)
    assert (answer.status, answer.json[0]["errorCode"]) == (400, code)
    assert message in answer.json[0]["message"]


def test_conditions_too_deep_for_the_database_are_refused_in_words(sandbox):
    condition = "Name = 'a'"
    for level in range(40):
        condition = f"Name = 'b' {'AND' if level % 2 else 'OR'} ({condition})"
    for soql in (
        f"SELECT Id FROM Account WHERE {condition}",
        f"SELECT Id, (SELECT Id FROM Contacts WHERE {condition}) FROM Account",
    ):
        answer = sandbox.query_page(soql)
        # SQLite of Debian 13 has room for them.
        if answer.status != 200:
            assert (answer.status, answer.json[0]["errorCode"]) == (400, "QUERY_TOO_COMPLICATED")


def test_explain_has_a_plan(sandbox):
    answer = sandbox.get("query?explain=SELECT+Id+FROM+Account")
    assert answer.json["plans"][0]["sobjectType"] == "Account"
