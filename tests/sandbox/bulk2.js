"use strict";
// node-sf-bulk2: jobs of the Bulk API 2.0, call by call.

const assert = require("node:assert/strict");
const { BulkAPI2 } = require("node-sf-bulk2");
const { check, runAll, token, url, version } = require("./checks.js");

const bulk = new BulkAPI2({ accessToken: token, instanceUrl: url, apiVersion: version });

/** What a job tells of itself once it has ended. */
async function ended(read) {
  for (;;) {
    const info = await read();
    if (["JobComplete", "Failed", "Aborted"].includes(info.state)) return info;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

check("inserts what is uploaded, and gets the results", async () => {
  const job = await bulk.createDataUploadJob({ object: "Account", operation: "insert" });
  await bulk.uploadJobData(job.contentUrl, 'Name,Phone\n"One, Ltd",1\nTwo,2\n,3\n');
  await bulk.closeOrAbortJob(job.id, "UploadComplete");
  const info = await ended(() => bulk.getIngestJobInfo(job.id));
  assert.deepEqual([info.state, info.numberRecordsProcessed, info.numberRecordsFailed],
    ["JobComplete", 3, 1]);
  assert.match(await bulk.getResults(job.id, 0), /One, Ltd/);
  assert.match(await bulk.getResults(job.id, 1), /REQUIRED_FIELD_MISSING/);
  await bulk.deleteIngestJob(job.id);
});

check("inserts in one call", async () => {
  const job = await bulk.createDataUploadJobWithData(
    { object: "Account", operation: "insert" }, "Name\nThree\n");
  const info = await ended(() => bulk.getIngestJobInfo(job.id));
  assert.equal(info.numberRecordsProcessed - info.numberRecordsFailed, 1);
});

check("queries, page by page", async () => {
  const query = "SELECT Id, Name FROM Account WHERE Name IN ('One, Ltd', 'Two', 'Three')";
  const job = await bulk.submitBulkQueryJob({ operation: "query", query });
  await ended(() => bulk.getBulkQueryJobInfo(job.id));
  let locator;
  const rows = [];
  do {
    const page = await bulk.getBulkQueryResults(job.id, locator, 2);
    rows.push(...page.data.trim().split("\n").slice(1));
    locator = page.headers["sforce-locator"];
  } while (locator && locator !== "null");
  assert.equal(rows.length, 3);
  await bulk.deleteBulkQueryJob(job.id);
});

runAll();
