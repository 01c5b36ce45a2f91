"use strict";
// What the scripts share: checks that print one line each, and the organisation they run against.

const assert = require("node:assert/strict");

const DEADLINE_MS = 60000;
const checks = [];

exports.url = process.env.SANDBOX_URL;
exports.token = process.env.SANDBOX_TOKEN;
exports.version = "60.0";
exports.oauth2 = {
  loginUrl: exports.url,
  clientId: "sandbox-client",
  clientSecret: "sandbox-secret",
};
exports.username = "admin@sandbox.example";
exports.password = "sandbox-password";
exports.refreshToken = "sandbox-refresh";

exports.check = (name, run) => checks.push({ name, run });

/** Rejects when nothing has come of the promise in time: no check hangs. */
function bounded(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing came")), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Calls the fault door. */
exports.door = async (path, body) => {
  const answer = await fetch(`${exports.url}/_sandbox/${path}`, {
    method: "POST",
    body: JSON.stringify(body ?? {}),
  });
  assert.equal(answer.status, 200, await answer.text());
};

/** Runs every check, in order; the exit code says whether all went well. */
exports.runAll = async () => {
  let failures = 0;
  for (const { name, run } of checks) {
    try {
      await bounded(run());
      console.log(`ok      ${name}`);
    } catch (error) {
      failures++;
      console.log(`FAILED  ${name}: ${error.stack ?? error}`);
    }
  }
  process.exit(failures === 0 ? 0 : 1);
};
