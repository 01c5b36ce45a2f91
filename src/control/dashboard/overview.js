// How it goes, on one page, kept up to date while it is looked at.

import { get } from "/dashboard/api.js";
import { chart } from "/dashboard/chart.js";
import { h, swap, table } from "/dashboard/dom.js";
import { ago, bytes, count, duration, number, state, time } from "/dashboard/format.js";

const EVERY_MS = 5000;

function tile(label, value, note, kind = "") {
  return h("div", { class: `tile ${kind}` }, h("h2", {}, label), h("p", { class: "value" }, value), note && h("p", { class: "note" }, note));
}

const roleWords = { archive: "captures", push: "sends", pull: "reads from Salesforce", listen: "hears of changes in Salesforce", housekeeper: "tidies the log", watch: "watches and tells" };

function drawRoles(roles) {
  return h("ul", { class: "row plain" }, Object.entries(roles).sort().map(([name, isUp]) =>
    h("li", {}, h("span", { class: `badge ${isUp ? "good" : "warn"}`, title: roleWords[name] }, `${name}: ${isUp ? "running" : "not running"}`))));
}

// The state is what was asked of the connection; whether the organisation answers is told beneath it.
function drawConnection({ unread }, connection) {
  const failing = Object.entries(unread).sort(([, one], [, other]) => one.since.localeCompare(other.since));
  if (failing.length === 0) return tile("Connection", state(connection.state), connection.sf_info?.domain ?? "not signed in to Salesforce yet");
  const [name, { since, reason }] = failing[0];
  const others = failing.length > 1 ? ` and ${count(failing.length - 1, "other mapping")}` : "";
  return tile("Connection", state(connection.state), [`${name}${others} cannot be read since `, time(since), `: ${reason}`], "bad");
}

function drawTiles(status, { api }, connection) {
  const { slot, entries } = status;
  const pending = (entries?.NEW ?? 0) + (entries?.PENDING ?? 0);
  const failed = entries?.FAILED ?? 0;
  const used = api.max ? Math.round((100 * api.used) / api.max) : 0;
  // The log may be locked for a moment: then nobody can count.
  const counted = (value, drawn) => (entries === undefined ? "unknown" : value === 0 ? "none" : drawn);
  return h("div", { class: "tiles" },
    drawConnection(status, connection),
    tile("Behind PostgreSQL", bytes(status.archive_lag_bytes), ["read last ", ago(new Date(status.last_progress * 1000).toISOString())], slot.active ? "" : "bad"),
    tile("Pending", counted(pending, count(pending, "change")), pending > 0 ? `the oldest waits for ${duration(status.oldest_pending)}` : "captured, not sent yet"),
    tile("Errors", counted(failed, h("a", { href: "#/explorer?view=log&state=FAILED", "data-key": "failed" }, count(failed, "change"))), "refused by Salesforce", failed > 0 ? "bad" : ""),
    tile("In doubt", status.in_doubt === 0 ? "none" : count(status.in_doubt, "write"), "sent, and not answered"),
    tile("API requests", api.max ? `${used} %` : "unknown",
      api.max ? [`${number(api.used)} of ${number(api.max)} in 24 hours, seen `, ago(api.seen_at)] : "not told by Salesforce yet", used >= 90 ? "bad" : ""),
    tile("WAL kept for us", slot.exists ? bytes(slot.restart_lag_bytes ?? 0) : "no slot", slot.exists ? `its state is ${slot.wal_status}` : "", slot.exists ? "" : "bad"));
}

function drawReasons({ is_ready: isReady, reasons }) {
  if (isReady) return null;
  return h("section", { class: "problem" },
    h("h2", {}, "Changes do not go through"),
    h("ul", {}, reasons.map((reason) => h("li", {}, reason))));
}

function drawMappings(mappings) {
  return table("Mappings", ["Object", "State", "Rows", "Pending", "Errors"],
    mappings.map((each) => [
      h("a", { href: `#/mappings/${encodeURIComponent(each.id)}`, "data-key": each.id }, each.object_name),
      state(each.state), number(each.counts.db), number(each.counts.pending), number(each.counts.errors)]),
    "Nothing is mapped yet: Mappings, Create.");
}

// A cause is a rule and, where it is of one, a mapping: "SHOULD_HAVE_NO_WRITE_ERRORS Account".
function drawMessage({ cause, message }) {
  const [, object] = cause.split(" ");
  return object ? `${object}: ${message}` : message;
}

function drawNotifications(notifications) {
  const open = notifications.filter((each) => each.acknowledged_at === null);
  if (open.length === 0) return h("p", { class: "empty" }, "Nothing to tell.");
  return [
    h("ul", { class: "plain" }, open.slice(0, 10).map((each) => h("li", {},
      h("span", { class: `badge ${each.resolved_at ? "plain" : "bad"}` }, each.resolved_at ? "Over" : "Now"), " ",
      drawMessage(each), " ", h("small", {}, ago(each.created_at))))),
    h("p", {}, h("a", { href: "#/settings", "data-key": "notifications" }, "All notifications")),
  ];
}

async function draw(area, context) {
  const [status, statistics, connection, notifications] = await Promise.all([
    get("/status"),
    get(`${context.path}/statistics`),
    get(`${context.path}?deep=true`),
    get(`${context.path}/notifications?page_size=50`),
  ]);
  swap(area,
    h("h1", {}, "Overview"),
    drawReasons(status),
    drawTiles(status, statistics, connection),
    drawRoles(status.roles),
    h("section", {}, h("h2", {}, "Changes per minute, PostgreSQL to Salesforce"), chart(statistics.throughput)),
    h("div", { class: "columns" },
      h("section", {}, h("h2", {}, "Mappings"), drawMappings(connection.mappings)),
      h("section", {}, h("h2", {}, "Notifications"), drawNotifications(notifications.results))));
}

// Calls draw now and again; what fails later is said in its place until it works again.
export async function refresh(area, every, drawOnce) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const content = h("div", {});
  let timer = null;
  let stopped = false;
  area.append(problem, content);
  await drawOnce(content);
  const again = async () => {
    try {
      if (!document.hidden) await drawOnce(content);
      problem.hidden = true;
    } catch (error) {
      problem.textContent = `This is not up to date: ${error.message}`;
      problem.hidden = false;
    }
    if (!stopped) timer = setTimeout(again, every);
  };
  timer = setTimeout(again, every);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

export function show(area, context) {
  return refresh(area, EVERY_MS, (content) => draw(content, context));
}
