// Rows of the mapped tables with their status; the log and its archive; what is done about entries
// that Salesforce refused. What is chosen stands in the address, so that it can be passed on.

import { get, post, withQuery } from "/dashboard/api.js";
import { act, ask, button, field, h, notice, select, show as showDialog, table } from "/dashboard/dom.js";
import { entryState, entryStateNames, rowState, time } from "/dashboard/format.js";

const OWN_COLUMNS = ["id", "sfid", "_hc_lastop", "_hc_err"];
const VIEWS = [["rows", "Rows"], ["log", "Log"], ["archive", "Log archive"]];

// ---- one of them, whole

function drawValues(values, old = null) {
  const names = Object.keys(values ?? old ?? {});
  if (names.length === 0) return h("p", { class: "empty" }, "No values.");
  return table("Values", old === null ? ["Column", "Value"] : ["Column", "Before", "After"],
    names.map((name) => {
      const cell = (value) => (value === null ? h("em", {}, "null") : (value ?? ""));
      return old === null ? [name, cell(values[name])] : [name, cell(old[name]), cell(values?.[name])];
    }), "");
}

function openRow(place, row) {
  const dialog = showDialog(`${place.table} ${row.id}`,
    h("p", {}, h("a", { href: withQuery("#/explorer", { view: "log", table: place.table, record: row.id }), onclick: () => dialog.close() }, "Its changes in the log")),
    drawValues(row));
}

function openEntry(entry) {
  const facts = [["State", entryState(entry.state)], ["Captured", time(entry.created_at)], ["Processed", time(entry.processed_at)],
    ["Salesforce id", entry.sfid ?? "none yet"], ["Made by", entry.origin], ["Message", entry.sf_message]];
  showDialog(`${entry.action} of ${entry.table_name} ${entry.record_id ?? ""}, entry ${entry.id}`,
    h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    entry.is_large ? h("p", { class: "note" }, "Its values are too large to be shown here: query the log for them.") : drawValues(entry.values, entry.old));
}

// ---- rows

function drawRows(place, page) {
  const columns = [...OWN_COLUMNS.filter((name) => page.columns.includes(name)), ...page.columns.filter((name) => !OWN_COLUMNS.includes(name))];
  return table(`Rows of ${place.table}`, ["", ...columns.map((name) => (name === "_hc_lastop" ? "status" : name === "_hc_err" ? "error" : name))],
    page.results.map((row) => [
      h("button", { type: "button", class: "quiet", onclick: () => openRow(place, row) }, "Show"),
      ...columns.map((name) => ({ class: "cell", content: name === "_hc_lastop" ? rowState(row[name]) : (row[name] ?? "") }))]),
    "No such rows.");
}

async function loadRows(context, place, after) {
  if (!place.table) return { page: { next: null }, drawn: h("p", { class: "empty" }, "Nothing is mapped yet.") };
  const page = await get(withQuery(`${context.path}/tables/${encodeURIComponent(place.table)}/rows`,
    { after, status: place.status, id: place.record, sfid: place.sfid }));
  return { page, drawn: drawRows(place, page) };
}

// ---- the log

async function settle(context, place, verb, choice, area) {
  const done = await post(`${context.path}/actions/${verb}`, choice);
  await load(area, context, place);
  if (verb === "ignore") notice(`${done.ignored} given up.`);
  else notice(`${done.requeued} queued again${done.rowless > 0 ? `; ${done.rowless} left, because their row or mapping is gone` : ""}.`);
}

function drawEntryActions(context, place, entry, area) {
  const open = h("button", { type: "button", class: "quiet", onclick: () => openEntry(entry) }, "Show");
  if (entry.state !== "FAILED" || !context.may("operator")) return open;
  return h("div", { class: "row" }, open,
    button("Requeue", () => settle(context, place, "retry", { id: entry.id }, area)),
    button("Ignore", async () => {
      if (await ask({ title: "Give this change up?", text: "It is not sent, and what waits for it goes on. Salesforce keeps what it has.", confirm: "Ignore" }))
        await settle(context, place, "ignore", { id: entry.id }, area);
    }));
}

function drawLog(context, place, page, area) {
  return table("Log", ["", "Entry", "Captured", "State", "Action", "Table", "Record", "Message", "Salesforce id"],
    page.results.map((entry) => [drawEntryActions(context, place, entry, area), String(entry.id), time(entry.created_at), entryState(entry.state),
      entry.action ?? "", entry.table_name ?? "", entry.record_id ?? "", { class: "message", content: entry.sf_message ?? "" }, entry.sfid ?? ""]),
    "No such entries.");
}

// What an <input type="datetime-local"> says, in the reader's zone, as UTC.
const asUtc = (text) => (text ? new Date(text).toISOString() : "");

async function loadLog(context, place, before, area) {
  const page = await get(withQuery(`${context.path}/log`, {
    before, archive: place.view === "archive" ? "true" : "", table: place.table, state: place.state, record: place.record,
    sfid: place.sfid, since: asUtc(place.since), until: asUtc(place.until) }));
  return { page, drawn: drawLog(context, place, page, area) };
}

// ---- the page

function drawMore(page, area, more) {
  if (page.next === null) return null;
  return h("p", {}, button("More", async () => {
    const next = await more(page.next);
    area.querySelector(".more")?.remove();
    area.append(next.drawn, h("div", { class: "more" }, drawMore(next.page, area, more)));
  }));
}

async function load(area, context, place) {
  const read = (key) => (place.view === "rows" ? loadRows(context, place, key) : loadLog(context, place, key, area));
  const { page, drawn } = await read();
  area.replaceChildren(drawn, h("div", { class: "more" }, drawMore(page, area, read)));
}

function drawAll(context, place, area) {
  if (place.view === "rows" || place.state !== "FAILED" || !context.may("operator")) return null;
  const choice = place.table ? { mapping: place.table } : { all: true };
  const which = place.table ? `of ${place.table}` : "of all tables";
  return h("div", { class: "row" },
    button("Requeue all", async () => {
      if (await ask({ title: `Requeue all refused changes ${which}?`, text: "Those of the log and of its archive, whatever else is chosen here.", confirm: "Requeue all" }))
        await settle(context, place, "retry", choice, area);
    }),
    button("Ignore all", async () => {
      if (await ask({ title: `Give up all refused changes ${which}?`, text: "Those of the log and of its archive, whatever else is chosen here. They are not sent.", confirm: "Ignore all", isDangerous: true }))
        await settle(context, place, "ignore", choice, area);
    }, { class: "danger" }));
}

function drawFilters(place, tables) {
  const isRows = place.view === "rows";
  const text = (name, type = "text") => h("input", { type, name, value: place[name] ?? "", autocomplete: "off" });
  const form = h("form", { class: "filters", role: "search" },
    field("Show", select("view", VIEWS, place.view)),
    field("Table", select("table", isRows ? tables.map((each) => [each, each]) : [["", "all"], ...tables.map((each) => [each, each])], place.table ?? "")),
    isRows
      ? field("Status", select("status", [["", "all"], ["SYNCED", "Synced"], ["PENDING", "Pending"], ["INSERTED", "Inserted"], ["UPDATED", "Updated"], ["FAILED", "Failed"]], place.status ?? ""))
      : field("State", select("state", [["", "all"], ...entryStateNames.map((each) => [each, each])], place.state ?? "")),
    field("Record (id)", h("input", { type: "number", name: "record", min: "1", value: place.record ?? "" })),
    field("Salesforce id", text("sfid")),
    !isRows && field("Since", text("since", "datetime-local")), !isRows && field("Until", text("until", "datetime-local")),
    h("button", { class: "primary", id: "apply" }, "Show"));
  const go = () => {
    const chosen = Object.fromEntries(new FormData(form));
    const next = withQuery("#/explorer", chosen);
    if (next === location.hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = next;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  // The filters themselves depend on what is shown.
  form.elements.view.addEventListener("change", go);
  return form;
}

export async function show(area, context, { query }) {
  const place = Object.fromEntries(query);
  const mappings = (await get(`${context.path}/mappings`)).results;
  const tables = mappings.filter((each) => !each.is_orphan).map((each) => each.table_name);
  place.view = VIEWS.some(([name]) => name === place.view) ? place.view : "rows";
  if (place.view === "rows" && !place.table) place.table = tables[0];
  const found = h("div", { id: "found" });
  area.append(h("h1", {}, "Explorer"), drawFilters(place, tables), drawAll(context, place, found) ?? "", found);
  await act(null, () => load(found, context, place));
}
