"use strict";
// The two CometD clients of the Bayeux world: the reference one, and faye.

const assert = require("node:assert/strict");
require("cometd-nodejs-client").adapt();
const { CometD } = require("cometd");
const faye = require("faye");
const { check, door, runAll, token, url, version } = require("./checks.js");

const ACCOUNTS = "/data/AccountChangeEvent";

async function create(name) {
  const answer = await fetch(`${url}/services/data/v${version}/sobjects/Account`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ Name: name }),
  });
  assert.equal(answer.status, 201);
}

/** A client of the reference implementation, with its hands shaken. */
function open(options = {}) {
  const cometd = new CometD();
  cometd.unregisterTransport("websocket");
  cometd.configure({
    url: `${url}/cometd/${version}`,
    requestHeaders: { Authorization: `OAuth ${token}` },
    appendMessageTypeToURL: false,
    logLevel: "error",
    ...options,
  });
  return new Promise((resolve, reject) =>
    cometd.handshake((reply) =>
      reply.successful ? resolve(cometd) : reject(Object.assign(new Error("refused"), { reply }))));
}

function subscribe(cometd, channel, replay, onEvent) {
  return new Promise((resolve, reject) =>
    cometd.subscribe(channel, onEvent, { ext: { replay: { [channel]: replay } } }, (reply) =>
      reply.successful ? resolve(reply) : reject(new Error(reply.error))));
}

check("cometd: hears an event while its connect is held", async () => {
  const cometd = await open();
  const heard = new Promise((resolve, reject) =>
    subscribe(cometd, ACCOUNTS, -1, resolve).then(() => create("Held"), reject));
  const message = await heard;
  assert.equal(message.data.payload.Name, "Held");
  assert.ok(message.data.event.replayId > 0);
  await new Promise((resolve) => cometd.disconnect(resolve));
});

check("cometd: the kind of message may stand in the path", async () => {
  const cometd = await open({ appendMessageTypeToURL: true });
  await new Promise((resolve) => cometd.disconnect(resolve));
});

check("cometd: goes on from a replay id", async () => {
  for (const name of ["R1", "R2", "R3"]) await create(name);
  const first = await open();
  const ids = await new Promise((resolve, reject) => {
    const seen = {};
    subscribe(first, ACCOUNTS, -2, ({ data }) => {
      seen[data.payload.Name] = data.event.replayId;
      if (data.payload.Name === "R3") resolve(seen);
    }).catch(reject);
  });
  await new Promise((resolve) => first.disconnect(resolve));
  const second = await open();
  const names = await new Promise((resolve, reject) => {
    const seen = [];
    subscribe(second, ACCOUNTS, ids.R1, ({ data }) => {
      seen.push(data.payload.Name);
      if (data.payload.Name === "R3") resolve(seen);
    }).catch(reject);
  });
  assert.deepEqual(names, ["R2", "R3"]);
  await new Promise((resolve) => second.disconnect(resolve));
});

check("cometd: is refused a replay id that is no more", async () => {
  const cometd = await open();
  await assert.rejects(subscribe(cometd, ACCOUNTS, 999999999, () => {}), /400::The replayId/);
  await assert.rejects(subscribe(cometd, "/topic/None", -1, () => {}), /does not exist/);
  await new Promise((resolve) => cometd.disconnect(resolve));
});

check("cometd: shakes hands again when it has become unknown", async () => {
  const cometd = await open();
  const again = new Promise((resolve) =>
    cometd.addListener("/meta/handshake", (reply) => resolve(reply)));
  await door("events/forget");
  assert.equal((await again).successful, true);
  await new Promise((resolve) => cometd.disconnect(resolve));
});

check("cometd: is told that its session is no good", async () => {
  const headers = { Authorization: "OAuth 00Dxx!no" };
  await assert.rejects(open({ requestHeaders: headers }), ({ reply }) => {
    assert.equal(reply.error, "403::Handshake denied");
    assert.equal(reply.ext.sfdc.failureReason, "401::Authentication invalid");
    return true;
  });
});

check("faye: tries WebSocket, settles for polling, hears events", async () => {
  const client = new faye.Client(`${url}/cometd/${version}`);
  client.setHeader("Authorization", `OAuth ${token}`);
  const message = await new Promise((resolve, reject) =>
    client.subscribe(ACCOUNTS, resolve).then(() => create("Faye"), reject));
  assert.equal(message.payload.Name, "Faye");
  client.disconnect();
});

runAll();
