"""What the objects of selling work out by themselves."""

import pytest


def refused(answer, code):
    assert (answer.status, answer.json[0]["errorCode"]) == (400, code), answer.body


@pytest.fixture
def book(sandbox):
    [row] = sandbox.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true")
    return row["Id"]


@pytest.fixture
def product(sandbox):
    return sandbox.create("Product2", Name="Lamp", ProductCode="L-1", IsActive=True)


def price(sandbox, book, product, amount):
    return sandbox.create(
        "PricebookEntry", Pricebook2Id=book, Product2Id=product, UnitPrice=amount, IsActive=True
    )


def test_a_price_has_its_products_name_and_needs_a_standard_price_first(sandbox, book, product):
    own = sandbox.create("Pricebook2", Name="Own", IsActive=True)
    body = {"Pricebook2Id": own, "Product2Id": product, "UnitPrice": 5}
    refused(sandbox.post("sobjects/PricebookEntry", body), "STANDARD_PRICE_NOT_DEFINED")
    entry = sandbox.retrieve("PricebookEntry", price(sandbox, book, product, 10))
    assert (entry["Name"], entry["ProductCode"]) == ("Lamp", "L-1")
    refused(sandbox.post("sobjects/PricebookEntry", {**body, "Pricebook2Id": book}), "DUPLICATE_VALUE")
    made = sandbox.create("PricebookEntry", **{**body, "UseStandardPrice": True})
    assert sandbox.retrieve("PricebookEntry", made)["UnitPrice"] == 10


def test_an_opportunity_sums_up_its_products(sandbox, book, product):
    entry = price(sandbox, book, product, 10)
    deal = sandbox.create(
        "Opportunity", Name="D", StageName="Prospecting", CloseDate="2026-01-01", Amount=7
    )

    def sums():
        row = sandbox.retrieve("Opportunity", deal)
        return row["Amount"], row["TotalOpportunityQuantity"], row["HasOpportunityLineItem"]

    assert sums() == (7, None, False)
    one = sandbox.create("OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=3)
    row = sandbox.retrieve("OpportunityLineItem", one)
    assert (row["UnitPrice"], row["ListPrice"], row["TotalPrice"]) == (10, 10, 30)
    assert (row["Name"], row["Product2Id"]) == ("D Lamp", product)
    two = sandbox.create(
        "OpportunityLineItem", OpportunityId=deal, PricebookEntryId=entry, Quantity=4, TotalPrice=20
    )
    assert sandbox.retrieve("OpportunityLineItem", two)["UnitPrice"] == 5
    assert sums() == (50, 7, True)
    sandbox.update("OpportunityLineItem", one, Discount=50)
    assert sums() == (35, 7, True)
    sandbox.remove("OpportunityLineItem", one)
    assert sums() == (20, 4, True)
    sandbox.undelete(one)
    assert sums() == (35, 7, True)
    refused(
        sandbox.post("sobjects/OpportunityLineItem", {"OpportunityId": deal, "Quantity": 1}),
        "FIELD_INTEGRITY_EXCEPTION",
    )
    sandbox.remove("Opportunity", deal)
    assert sandbox.query("SELECT Id FROM OpportunityLineItem") == []


def test_a_person_is_once_in_a_campaign(sandbox):
    campaign = sandbox.create("Campaign", Name="C")
    lead = sandbox.create("Lead", LastName="L", Company="C")
    body = {"CampaignId": campaign, "LeadId": lead, "Status": "Responded"}
    member = sandbox.retrieve("CampaignMember", sandbox.create("CampaignMember", **body))
    assert (member["HasResponded"], member["Type"], member["LeadOrContactId"]) == (True, "Lead", lead)
    refused(sandbox.post("sobjects/CampaignMember", body), "DUPLICATE_VALUE")
    refused(sandbox.post("sobjects/CampaignMember", {"CampaignId": campaign}), "REQUIRED_FIELD_MISSING")


def test_an_event_has_a_time_however_it_is_given(sandbox):
    made = sandbox.create(
        "Event", Subject="S", ActivityDateTime="2026-05-01T10:00:00Z", DurationInMinutes=90
    )
    row = sandbox.retrieve("Event", made)
    assert row["EndDateTime"] == "2026-05-01T11:30:00.000+0000" and row["ActivityDate"] == "2026-05-01"
    start, end = "2026-05-02T08:00:00Z", "2026-05-02T09:00:00Z"
    made = sandbox.create("Event", Subject="S", StartDateTime=start, EndDateTime=end)
    assert sandbox.retrieve("Event", made)["DurationInMinutes"] == 60
    refused(sandbox.post("sobjects/Event", {"Subject": "S"}), "REQUIRED_FIELD_MISSING")
    body = {"Subject": "S", "StartDateTime": end, "EndDateTime": start}
    refused(sandbox.post("sobjects/Event", body), "FIELD_INTEGRITY_EXCEPTION")
