"use strict";
// The clients that came before jsforce 3, and beside it, as their users use them.

const assert = require("node:assert/strict");
const nforce = require("nforce");
const { check, door, oauth2, password, runAll, token, url, username, version } =
  require("./checks.js");

const FORCES = {
  "jsforce 1": require("jsforce1"),
  "jsforce 2": require("jsforce2"),
  "jsforce-node": require("@jsforce/jsforce-node"),
};

function connect(jsforce) {
  return new jsforce.Connection({ instanceUrl: url, accessToken: token, version });
}

function codes(promise, code) {
  return assert.rejects(Promise.resolve(promise), (error) => {
    assert.equal(error.errorCode ?? error.name, code, error.message);
    return true;
  });
}

for (const [name, jsforce] of Object.entries(FORCES)) {
  const conn = connect(jsforce);

  check(`${name}: signs in with user name and password`, async () => {
    const redirectUri = "http://localhost/callback"; // jsforce 2 wants one
    const other = new jsforce.Connection({ oauth2: { ...oauth2, redirectUri }, version });
    await other.login(username, password);
    assert.equal((await other.identity()).username, username);
    await other.logout();
  });

  check(`${name}: signs in by SOAP`, async () => {
    const other = new jsforce.Connection({ loginUrl: url, version });
    const who = await other.login(username, password);
    assert.match(who.organizationId, /^00D/);
  });

  check(`${name}: creates, reads, changes, upserts and deletes`, async () => {
    const accounts = conn.sobject("Account");
    const { id } = await accounts.create({ Name: "Old", External_Id__c: `${name} 1` });
    await accounts.update({ Id: id, Phone: "1" });
    assert.equal((await accounts.retrieve(id)).Phone, "1");
    await accounts.upsert({ External_Id__c: `${name} 1`, Phone: "2" }, "External_Id__c");
    assert.equal((await accounts.retrieve([id]))[0].Phone, "2");
    assert.equal((await accounts.destroy(id)).success, true);
    await codes(accounts.retrieve(id), "NOT_FOUND");
  });

  check(`${name}: describes, and tells of limits and of what was used`, async () => {
    assert.ok((await conn.describeGlobal()).sobjects.length > 10);
    assert.equal((await conn.sobject("Contact").describe()).keyPrefix, "003");
    assert.ok((await conn.limits()).DailyApiRequests.Max > 0);
    assert.ok(conn.limitInfo.apiUsage.used > 0);
    assert.ok(Array.isArray(await conn.recent()));
    assert.deepEqual(await conn.tabs(), []);
    assert.deepEqual(await conn.quickActions(), []);
  });

  check(`${name}: queries through all pages`, async () => {
    await door("load", { object: "Lead", count: 2500 });
    const page = await conn.query("SELECT Id FROM Lead");
    assert.equal(page.records.length, 2000);
    assert.ok((await conn.queryMore(page.nextRecordsUrl)).records.length > 0);
    let count = 0;
    await new Promise((resolve, reject) => {
      const query = conn.query("SELECT Id FROM Lead");
      query.on("record", () => count++).on("end", resolve).on("error", reject);
      query.run({ autoFetch: true, maxFetch: 100000 });
    });
    assert.equal(count, page.totalSize);
    await codes(conn.query("SELECT Nope FROM Lead"), "INVALID_FIELD");
  });

  check(`${name}: searches`, async () => {
    await conn.sobject("Account").create({ Name: "Haystack needle" });
    const found = await conn.search("FIND {needle} IN NAME FIELDS RETURNING Account(Id, Name)");
    assert.ok((found.searchRecords ?? found).length > 0);
  });

  check(`${name}: loads, queries and deletes by Bulk API 1.0`, async () => {
    conn.bulk.pollInterval = 100;
    conn.bulk.pollTimeout = 30000;
    const rows = Array.from({ length: 300 }, (_, n) => ({ Name: `${name} bulk ${n}`, Fax: n }));
    const loaded = await conn.bulk.load("Account", "insert", [...rows, { Name: "", Fax: 1 }]);
    assert.equal(loaded.filter((each) => each.success).length, 300);
    assert.match(String(loaded[300].errors[0]), /REQUIRED_FIELD_MISSING/);
    const soql = `SELECT Id FROM Account WHERE Name LIKE '${name} bulk%'`;
    const stream = await conn.bulk.query(soql);
    const found = await new Promise((resolve, reject) => {
      const records = [];
      stream.on("record", (record) => records.push(record));
      stream.on("end", () => resolve(records));
      stream.on("error", reject);
    });
    assert.equal(found.length, 300);
    const gone = await conn.bulk.load("Account", "delete", found.map(({ Id }) => ({ Id })));
    assert.ok(gone.every((each) => each.success));
  });

  check(`${name}: hears of a PushTopic`, async () => {
    const topic = `T${Object.keys(FORCES).indexOf(name)}`;
    await conn.sobject("PushTopic").create({
      Name: topic, Query: "SELECT Id, Name FROM Contact", ApiVersion: 60,
    });
    const message = await new Promise((resolve, reject) => {
      const subscription = conn.streaming.topic(topic).subscribe(resolve);
      subscription
        .then(() => conn.sobject("Contact").create({ LastName: topic }))
        .then(null, reject);
    });
    assert.equal(message.sobject.Name, topic);
  });

  check(`${name}: is told honestly that there is no Apex`, async () => {
    await codes(conn.apex.get("/nothing/"), "NOT_FOUND");
  });
}

// ---- nforce ----

const org = nforce.createConnection({
  clientId: oauth2.clientId,
  clientSecret: oauth2.clientSecret,
  redirectUri: "http://localhost/callback",
  apiVersion: `v${version}`,
  environment: "production",
  loginUri: `${url}/services/oauth2/token`,
  mode: "single",
});

check("nforce: signs in, writes, reads and deletes", async () => {
  await org.authenticate({ username, password });
  const account = nforce.createSObject("Account", { Name: "N", External_Id__c: "nforce 1" });
  const { id } = await org.insert({ sobject: account });
  account.set("id", id);
  account.set("phone", "1");
  await org.update({ sobject: account });
  const read = await org.getRecord({ type: "Account", id });
  assert.equal(read.get("phone"), "1");
  const found = await org.query({ query: "SELECT Id, Name FROM Account WHERE Name = 'N'" });
  assert.equal(found.totalSize, 1);
  await org.delete({ sobject: account });
});

check("nforce: describes, upserts, searches", async () => {
  assert.ok((await org.getSObjects()).sobjects.length > 10);
  assert.equal((await org.getDescribe("Account")).keyPrefix, "001");
  const account = nforce.createSObject("Account", { Name: "U" });
  account.setExternalId("External_Id__c", "nforce 2");
  await org.upsert({ sobject: account });
  const found = await org.query({
    query: "SELECT Id FROM Account WHERE External_Id__c = 'nforce 2'", fetchAll: true,
  });
  assert.equal(found.records?.length ?? found.length, 1);
  assert.equal((await org.getIdentity()).username, username);
});

runAll();
