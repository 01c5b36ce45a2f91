"use strict";
// jsforce, as its users use it.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const jsforce = require("jsforce");
const { StreamingExtension } = require("jsforce/lib/api/streaming");
const { check, door, oauth2, password, refreshToken, runAll, token, url, username, version } =
  require("./checks.js");

const conn = new jsforce.Connection({ instanceUrl: url, accessToken: token, version });

async function refused(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.errorCode ?? error.name, code, error.message);
    return true;
  });
}

function names(prefix, count) {
  return Array.from({ length: count }, (_, index) => ({ Name: `${prefix} ${index}` }));
}

// ---- sessions ----

check("signs in with user name and password", async () => {
  const other = new jsforce.Connection({ oauth2, version });
  const who = await other.login(username, password);
  assert.equal(who.organizationId.slice(0, 3), "00D");
  assert.equal((await other.identity()).username, username);
});

check("signs in with client credentials", async () => {
  const other = new jsforce.Connection({ oauth2, version });
  await other.authorize({ grant_type: "client_credentials" });
  assert.equal((await other.query("SELECT Id FROM Organization")).totalSize, 1);
});

check("signs in with a signed assertion", async () => {
  const { privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    iss: oauth2.clientId, sub: username, aud: url, exp: Math.floor(Date.now() / 1000) + 180,
  };
  const text = `${encode({ alg: "RS256" })}.${encode(claims)}`;
  const signature = crypto.sign("RSA-SHA256", Buffer.from(text), privateKey).toString("base64url");
  const other = new jsforce.Connection({ oauth2, version });
  await other.authorize({
    grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
    assertion: `${text}.${signature}`,
  });
  assert.equal((await other.identity()).username, username);
});

check("signs in through the login page, with PKCE", async () => {
  const redirectUri = "http://localhost:1717/OauthRedirect";
  const other = new jsforce.Connection({
    oauth2: { ...oauth2, redirectUri, useVerifier: true }, version,
  });
  const page = new URL(other.oauth2.getAuthorizationUrl({ scope: "api refresh_token" }));
  assert.match(await (await fetch(page)).text(), /<form/);
  const body = new URLSearchParams([...page.searchParams, ["username", username], ["pw", password]]);
  const answer = await fetch(new URL(page.pathname, url), {
    method: "POST", body, redirect: "manual",
  });
  const back = new URL(answer.headers.get("location"));
  assert.equal(back.origin + back.pathname, redirectUri);
  await other.authorize(back.searchParams.get("code"));
  assert.equal((await other.query("SELECT Id FROM Organization")).totalSize, 1);
  assert.ok(other.refreshToken);
});

check("signs in by SOAP, as it does without a client id", async () => {
  const other = new jsforce.Connection({ loginUrl: url, version });
  await other.login(username, password);
  assert.equal((await other.query("SELECT Id FROM Organization")).totalSize, 1);
  await assert.rejects(new jsforce.Connection({ loginUrl: url, version }).login(username, "wrong"),
    /INVALID_LOGIN/);
});

check("says which credentials are wrong", async () => {
  await refused(new jsforce.Connection({ oauth2 }).login(username, "wrong"), "invalid_grant");
});

check("refreshes a session that has expired", async () => {
  const other = new jsforce.Connection({
    oauth2, instanceUrl: url, accessToken: "00Dxx!expired", refreshToken, version,
  });
  let refreshed = 0;
  other.on("refresh", () => refreshed++);
  assert.equal((await other.query("SELECT Id FROM Organization")).totalSize, 1);
  assert.equal(refreshed, 1);
});

check("signs out", async () => {
  const other = new jsforce.Connection({ oauth2, version });
  await other.login(username, password);
  const ended = other.accessToken;
  await other.logout();
  const late = new jsforce.Connection({ instanceUrl: url, accessToken: ended, version });
  await refused(late.query("SELECT Id FROM Organization"), "INVALID_SESSION_ID");
});

// ---- records ----

check("identity, versions, limits", async () => {
  const who = await conn.identity();
  assert.match(who.user_id, /^005\w{15}$/);
  const versions = await conn.request("/services/data");
  assert.ok(versions.some((each) => each.version === version));
  const limits = await conn.request(`/services/data/v${version}/limits`);
  assert.equal(limits.DailyApiRequests.Max, conn.limitInfo.apiUsage.limit);
  assert.ok(conn.limitInfo.apiUsage.used > 0);
});

check("describes the organisation and an object", async () => {
  const all = await conn.describeGlobal();
  assert.ok(all.sobjects.some((each) => each.name === "Account"));
  const account = await conn.describe("Account");
  const key = account.fields.find((field) => field.name === "External_Id__c");
  assert.ok(key.externalId && key.unique && key.idLookup);
});

check("creates, reads, updates and deletes a record", async () => {
  const made = await conn.sobject("Account").create({ Name: "One", AnnualRevenue: 5 });
  assert.equal(made.success, true);
  await conn.sobject("Account").update({ Id: made.id, Name: "Two", AnnualRevenue: null });
  const account = await conn.sobject("Account").retrieve(made.id);
  assert.deepEqual([account.Name, account.AnnualRevenue], ["Two", null]);
  await conn.sobject("Account").destroy(made.id);
  await refused(conn.sobject("Account").retrieve(made.id), "NOT_FOUND");
});

check("is told what is wrong with a record", async () => {
  await refused(conn.sobject("Contact").create({ FirstName: "A" }), "REQUIRED_FIELD_MISSING");
  await refused(conn.sobject("Account").create({ Nope__c: 1 }), "INVALID_FIELD");
  await refused(conn.query("SELECT Nope FROM Account"), "INVALID_FIELD");
  await refused(conn.query("SELEC Id FROM Account"), "MALFORMED_QUERY");
});

check("upserts by an external id", async () => {
  const record = { External_Id__c: "up-1", Name: "Up" };
  const first = await conn.sobject("Account").upsert(record, "External_Id__c");
  const again = await conn.sobject("Account").upsert({ ...record, Name: "Up 2" }, "External_Id__c");
  assert.deepEqual([first.created ?? true, again.created ?? false], [true, false]);
  const found = await conn.sobject("Account").find({ External_Id__c: "up-1" });
  assert.deepEqual(found.map((each) => each.Name), ["Up 2"]);
});

check("works on collections of more than 200", async () => {
  const made = await conn
    .sobject("Account")
    .create(names("Many", 450), { allowRecursive: true });
  assert.equal(made.filter((each) => each.success).length, 450);
  const ids = made.map((each) => each.id);
  const changed = await conn.sobject("Account").update(
    ids.map((Id) => ({ Id, Phone: "1" })), { allowRecursive: true });
  assert.ok(changed.every((each) => each.success));
  const read = await conn.sobject("Account").retrieve(ids.slice(0, 3));
  assert.deepEqual(read.map((each) => each.Phone), ["1", "1", "1"]);
  const upserted = await conn.sobject("Account").upsert(
    [{ External_Id__c: "c1", Name: "C1" }, { External_Id__c: "c2", Name: "C2" }],
    "External_Id__c");
  assert.ok(upserted.every((each) => each.success));
  const gone = await conn.sobject("Account").destroy(ids.slice(0, 200));
  assert.ok(gone.every((each) => each.success));
});

check("hears of each record's refusal in a collection", async () => {
  const results = await conn.sobject("Contact").create([{ LastName: "Good" }, { FirstName: "Bad" }]);
  assert.deepEqual(results.map((each) => each.success), [true, false]);
  assert.equal(results[1].errors[0].statusCode, "REQUIRED_FIELD_MISSING");
});

check("pages through a long result", async () => {
  await door("load", { object: "Lead", count: 4500 });
  const first = await conn.query("SELECT Id FROM Lead");
  assert.deepEqual([first.totalSize, first.records.length, first.done], [4500, 2000, false]);
  const second = await conn.queryMore(first.nextRecordsUrl);
  assert.equal(second.records.length, 2000);
  const all = await conn.query("SELECT Id FROM Lead").run({ autoFetch: true, maxFetch: 10000 });
  assert.equal(all.records?.length ?? all.length, 4500);
});

check("queries with parents, children, conditions and order", async () => {
  const { id } = await conn.sobject("Account").create({ Name: "Parent" });
  await conn.sobject("Contact").create([
    { LastName: "B", AccountId: id }, { LastName: "A", AccountId: id },
  ]);
  const contacts = await conn
    .sobject("Contact")
    .find({ AccountId: id }, "Id, LastName, Account.Name, Account.Owner.Name")
    .sort("LastName");
  assert.deepEqual(contacts.map((each) => each.LastName), ["A", "B"]);
  assert.equal(contacts[0].Account.Name, "Parent");
  const [account] = await conn
    .sobject("Account")
    .find({ Id: id }, "Id, Name")
    .include("Contacts")
    .select("Id, LastName")
    .end();
  assert.equal(account.Contacts.totalSize, 2);
  const deleted = await conn.sobject("Account").destroy(id);
  assert.equal(deleted.success, true);
  const kept = await conn.query(`SELECT Id FROM Account WHERE Id = '${id}'`, { scanAll: true });
  assert.equal(kept.totalSize, 1);
});

check("asks what was updated and deleted", async () => {
  const { id } = await conn.sobject("Account").create({ Name: "Fresh" });
  const start = new Date(Date.now() - 3600000).toISOString();
  const end = new Date(Date.now() + 120000).toISOString();
  assert.ok((await conn.updated("Account", start, end)).ids.includes(id));
  await conn.sobject("Account").destroy(id);
  const { deletedRecords } = await conn.deleted("Account", start, end);
  assert.ok(deletedRecords.some((each) => each.id === id));
});

check("reaches the retries that it has", async () => {
  await door("faults", { match: { method: "GET", path: "/query" }, status: 503, times: 1 });
  assert.equal((await conn.query("SELECT Id FROM Organization")).totalSize, 1);
});

// ---- Bulk API 2.0 ----

check("loads and queries by Bulk API 2.0", async () => {
  conn.bulk2.pollInterval = 100;
  const input = [...names("Bulk", 500), { Name: "" }].map((each) => ({ ...each, Phone: "1" }));
  const results = await conn.bulk2.loadAndWaitForResults({
    object: "Account", operation: "insert", input,
  });
  assert.equal(results.successfulResults.length, 500);
  assert.match(results.successfulResults[0].sf__Id, /^001\w{15}$/);
  assert.equal(results.failedResults.length, 1);
  assert.match(results.failedResults[0].sf__Error, /^REQUIRED_FIELD_MISSING:/);
  const stream = await conn.bulk2.query("SELECT Id, Name FROM Account WHERE Name LIKE 'Bulk %'");
  const rows = await stream.toArray();
  assert.equal(rows.length, 500);
  const deleted = await conn.bulk2.loadAndWaitForResults({
    object: "Account", operation: "delete", input: rows.map(({ Id }) => ({ Id })),
  });
  assert.equal(deleted.successfulResults.length, 500);
});

check("follows a query record by record, and takes all pages", async () => {
  let count = 0;
  await new Promise((resolve, reject) => {
    conn.query("SELECT Id FROM Lead").on("record", () => count++).on("end", resolve)
      .on("error", reject).run({ autoFetch: true, maxFetch: 10000 });
  });
  assert.equal(count, 4500);
});

check("finds by conditions, in order, a part of them, and counts", async () => {
  const leads = conn.sobject("Lead");
  const found = await leads.find({ Id: { $ne: null }, CreatedDate: jsforce.SfDate.TODAY }, "Id, Name")
    .sort({ LastName: 1, Id: -1 }).limit(3).skip(2);
  assert.equal(found.length, 3);
  assert.equal(await leads.count({ Id: { $ne: null } }), 4500);
  assert.equal((await leads.findOne({ LastName: { $like: "%" } }, ["Id"])).Id.slice(0, 3), "00Q");
  assert.equal((await leads.find({ Id: { $in: found.map((each) => each.Id) } })).length, 3);
});

check("updates and deletes what a query finds", async () => {
  await conn.sobject("Account").create(names("Found", 3));
  const changed = await conn.sobject("Account").find({ Name: { $like: "Found %" } })
    .update({ Phone: "${Name}" });
  assert.deepEqual(changed.map((each) => each.success), [true, true, true]);
  assert.equal(await conn.sobject("Account").count({ Phone: "Found 1" }), 1);
  const gone = await conn.sobject("Account").find({ Name: { $like: "Found %" } }).destroy();
  assert.equal(gone.length, 3);
});

check("keeps what it was described", async () => {
  const other = new jsforce.Connection({ instanceUrl: url, accessToken: token, version });
  const first = await other.describe$("Account");
  await door("faults", { match: { path: "/describe" }, status: 400, times: 1, body: [] });
  assert.equal((await other.describe$("Account")).name, first.name);
  await fetch(`${url}/_sandbox/faults`, { method: "DELETE" });
});

// ---- streaming ----

/** The first `count` events of a channel, once `act` has been done. */
function hear(streaming, channel, count, act) {
  return new Promise((resolve, reject) => {
    const heard = [];
    const subscription = streaming.subscribe(channel, (event) => {
      heard.push(event);
      if (heard.length === count) {
        subscription.cancel();
        resolve(heard);
      }
    });
    subscription.then(act).catch(reject);
  });
}

check("hears of changes that come after it subscribes", async () => {
  const streaming = conn.streaming.createClient([]);
  const [event] = await hear(streaming, "/data/AccountChangeEvent", 1, () =>
    conn.sobject("Account").create({ Name: "Live" }));
  assert.equal(event.payload.Name, "Live");
  assert.equal(event.payload.ChangeEventHeader.changeType, "CREATE");
  streaming.disconnect();
});

check("hears of what came before, by replay", async () => {
  const channel = "/data/ContactChangeEvent";
  const { id } = await conn.sobject("Contact").create({ LastName: "Before" });
  const replay = new StreamingExtension.Replay(channel, -2);
  const streaming = conn.streaming.createClient([replay]);
  const events = await new Promise((resolve, reject) => {
    const heard = [];
    const subscription = streaming.subscribe(channel, (event) => {
      heard.push(event);
      if (event.payload.ChangeEventHeader.recordIds.includes(id)) resolve(heard);
    });
    subscription.then(() => {}, reject);
  });
  assert.ok(events.length > 1);
  streaming.disconnect();
});

check("hears of a PushTopic", async () => {
  await conn.sobject("PushTopic").create({
    Name: "Big", Query: "SELECT Id, Name FROM Account WHERE AnnualRevenue > 10", ApiVersion: 60,
  });
  const message = await new Promise((resolve, reject) => {
    const subscription = conn.streaming.topic("Big").subscribe(resolve);
    subscription
      .then(() => conn.sobject("Account").create({ Name: "Large", AnnualRevenue: 11 }))
      .catch(reject);
  });
  assert.equal(message.event.type, "created");
  assert.equal(message.sobject.Name, "Large");
});

check("is told that its session is no good", async () => {
  const other = new jsforce.Connection({ instanceUrl: url, accessToken: "00Dxx!no", version });
  const failure = await new Promise((resolve) => {
    const watch = new StreamingExtension.AuthFailure(resolve);
    other.streaming.createClient([watch]).subscribe("/data/ChangeEvents", () => {});
  });
  assert.match(JSON.stringify(failure), /401::Authentication invalid/);
});

// ---- custom objects and fields ----

check("makes, reads, changes and deletes custom objects and fields", async () => {
  const made = await conn.metadata.create("CustomObject", {
    fullName: "Meeting__c", label: "Meeting", pluralLabel: "Meetings",
    nameField: { type: "AutoNumber", label: "No.", displayFormat: "M-{000}" },
    deploymentStatus: "Deployed", sharingModel: "ReadWrite",
    fields: [{ fullName: "Place__c", label: "Place", type: "Text", length: 40 }],
  });
  assert.deepEqual([made.success, made.fullName], [true, "Meeting__c"]);
  const fields = await conn.metadata.upsert("CustomField", [
    { fullName: "Meeting__c.Account__c", label: "Account", type: "Lookup", referenceTo: "Account",
      relationshipName: "Meetings" },
    { fullName: "Meeting__c.Mood__c", label: "Mood", type: "Picklist",
      valueSet: { restricted: true, valueSetDefinition: { sorted: false, value: [
        { fullName: "Good", default: true, label: "Good" },
        { fullName: "Bad", default: false, label: "Bad & worse" }] } } },
  ]);
  assert.deepEqual(fields.map((each) => [each.success, each.created]), [[true, true], [true, true]]);
  const account = await conn.sobject("Account").create({ Name: "Host" });
  await conn.sobject("Meeting__c").create({ Place__c: "Here", Account__c: account.id });
  const row = (await conn.query("SELECT Name, Mood__c, Account__r.Name FROM Meeting__c")).records[0];
  assert.deepEqual([row.Name, row.Mood__c, row.Account__r.Name], ["M-001", "Good", "Host"]);
  const read = await conn.metadata.read("CustomObject", "Meeting__c");
  assert.deepEqual(read.fields.map((each) => each.type), ["Text", "Lookup", "Picklist"]);
  const changed = await conn.metadata.update("CustomField", {
    fullName: "Meeting__c.Place__c", label: "Where", type: "Text", length: 80 });
  assert.equal(changed.success, true);
  const description = await conn.sobject("Meeting__c").describe();
  const place = description.fields.find((each) => each.name === "Place__c");
  assert.deepEqual([place.label, place.length], ["Where", 80]);
  const listed = await conn.metadata.list({ type: "CustomObject" });
  assert.ok(listed.some((each) => each.fullName === "Meeting__c"));
  assert.equal((await conn.metadata.describe()).metadataObjects[0].xmlName, "CustomObject");
  const no = await conn.metadata.create("CustomField", {
    fullName: "Account.Where__c", label: "Where", type: "Location" });
  assert.equal(no.success, false);
  assert.match(no.errors[0].message, /Location is not supported/);
  assert.equal((await conn.metadata.delete("CustomField", "Meeting__c.Place__c")).success, true);
  await refused(conn.query("SELECT Place__c FROM Meeting__c"), "INVALID_FIELD");
  assert.equal((await conn.metadata.delete("CustomObject", ["Meeting__c"]))[0].success, true);
  await refused(conn.query("SELECT Id FROM Meeting__c"), "INVALID_TYPE");
});

check("is refused metadata without a session", async () => {
  const accessToken = "00DdL0000000000!AQnone";
  const other = new jsforce.Connection({ instanceUrl: url, accessToken, version });
  await assert.rejects(other.metadata.describe(), /INVALID_SESSION_ID/);
});

check("makes, finds, changes and deletes a field by the Tooling API", async () => {
  const field = await conn.tooling.sobject("CustomField").create({
    FullName: "Account.Priority__c",
    Metadata: { type: "Number", label: "Priority", precision: 3, scale: 0 },
  });
  assert.equal(field.success, true);
  const found = await conn.tooling.query(
    "SELECT Id, EntityDefinition.QualifiedApiName FROM CustomField " +
    "WHERE DeveloperName = 'Priority'");
  assert.equal(found.records[0].Id, field.id);
  assert.equal(found.records[0].EntityDefinition.QualifiedApiName, "Account");
  const kept = await conn.tooling.sobject("CustomField").retrieve(field.id);
  assert.equal(kept.Metadata.precision, 3);
  const names = await conn.query("SELECT QualifiedApiName FROM FieldDefinition " +
    "WHERE EntityDefinition.QualifiedApiName = 'Account' AND QualifiedApiName LIKE '%__c'");
  assert.ok(names.records.some((each) => each.QualifiedApiName === "Priority__c"));
  await conn.tooling.sobject("CustomField").update({
    Id: field.id, Metadata: { type: "Number", label: "Urgency", precision: 4, scale: 0 } });
  assert.ok((await conn.tooling.describe("CustomField")).fields.length > 5);
  await conn.tooling.sobject("CustomField").destroy(field.id);
  await refused(conn.query("SELECT Priority__c FROM Account"), "INVALID_FIELD");
});

runAll();
