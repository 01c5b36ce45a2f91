// The list of mappings and one mapping: how its load goes, what can be done with it.

import { get, post, remove } from "/dashboard/api.js";
import { ask, button, h, notice, swap, table } from "/dashboard/dom.js";
import { ago, count, number, state } from "/dashboard/format.js";
import * as form from "/dashboard/mapping_form.js";
import { refresh } from "/dashboard/overview.js";

const EVERY_MS = 3000;

const link = (mapping, behind = "") => `#/mappings/${encodeURIComponent(mapping.id)}${behind}`;

// The rows a load has stored, of those Salesforce has.
function drawProgress({ load }) {
  if (!load) return null;
  const rate = load.rows_per_second ? `, ${number(load.rows_per_second)} rows/s` : "";
  // An organisation that could not count has "very many".
  const isCounted = load.rows_total < Number.MAX_SAFE_INTEGER;
  return h("span", { class: "load" },
    h("progress", isCounted ? { max: Math.max(load.rows_total, 1), value: load.rows_done, "aria-label": "Loaded" } : { "aria-label": "Loading" }),
    isCounted ? ` ${number(load.rows_done)} of ${count(load.rows_total, "row")}${rate}` : ` ${count(load.rows_done, "row")}, nobody knows of how many${rate}`);
}

function drawState(mapping) {
  return [state(mapping.state), mapping.is_orphan && h("span", { class: "badge bad" }, "Orphaned"), drawProgress(mapping)];
}

function salesforceRows(mapping) {
  if (!mapping.salesforce_count_date) return "not counted";
  return h("span", {}, number(mapping.counts.sf), " ", h("small", {}, "counted ", ago(mapping.salesforce_count_date)));
}

function drawList(area, context, mappings) {
  swap(area,
    h("div", { class: "row spread" }, h("h1", {}, "Mappings"),
      context.may("admin") && h("a", { class: "button primary", href: "#/mappings/new", id: "create" }, "Create mapping")),
    table("Mappings", ["Object", "State", "Access", "Salesforce rows", "PostgreSQL rows", "Pending", "Errors", "Last poll"],
      mappings.map((each) => [
        h("a", { href: link(each), "data-key": each.id }, each.object_name),
        drawState(each),
        each.access === "read_write" ? "read and write" : "read only",
        salesforceRows(each), number(each.counts.db), number(each.counts.pending), number(each.counts.errors),
        ago(each.times.sf_poll)]),
      "Nothing is mapped yet."));
}

async function abort(mapping) {
  if (await ask({ title: `Abort ${mapping.object_name}?`, confirm: "Abort",
    text: "Whatever runs on this mapping stops, and nothing more is read for it until it is reloaded or the connection is resumed. What is stored stays." }))
    await post(`/api/v3/mappings/${mapping.id}/actions/abort`);
}

async function reload(mapping) {
  if (await ask({ title: `Reload ${mapping.object_name}?`, confirm: "Reload",
    text: "All records are read again. Rows keep their id, and changes that wait to be sent stay." })) {
    await post(`/api/v3/mappings/${mapping.id}/actions/reload`, {});
    notice(`${mapping.object_name} is reloaded.`);
  }
}

async function reloadDestructively(mapping) {
  if (await ask({ title: `Empty and reload ${mapping.object_name}?`, confirm: "Empty and reload", isDangerous: true,
    text: `All ${count(mapping.counts.db, "row")} of ${mapping.table_name} are removed, and ${count(mapping.counts.pending, "change")} that wait to be sent are lost. Rows get new ids. This cannot be undone.` })) {
    await post(`/api/v3/mappings/${mapping.id}/actions/reload`, { destructive: true });
    notice(`${mapping.object_name} is emptied and reloaded.`);
  }
}

export async function deleteMapping(mapping) {
  const keeps = h("input", { type: "checkbox", id: "keep-table" });
  if (!(await ask({ title: `Delete the mapping ${mapping.object_name}?`, confirm: "Delete", isDangerous: true,
    text: `The table ${mapping.table_name} is dropped with its ${count(mapping.counts.db, "row")}, and ${count(mapping.counts.pending, "change")} that wait to be sent are lost. This cannot be undone.`,
    content: h("label", { class: "check" }, keeps, " Keep the table and its rows") })))
    return false;
  await remove(`/api/v3/mappings/${mapping.id}${keeps.checked ? "?keep_table=true" : ""}`);
  notice(`The mapping ${mapping.object_name} is deleted.`);
  return true;
}

function drawActions(context, mapping) {
  const counting = context.may("operator") && button("Count in Salesforce", async () => {
    const counted = await post(`/api/v3/mappings/${mapping.id}/actions/count`);
    notice(`Salesforce has ${count(counted.counts.sf, "record")} of ${mapping.object_name}.`);
  });
  if (!context.may("admin"))
    return [h("p", { class: "note" }, "Changing a mapping needs a token of the role admin."), counting && h("div", { class: "row" }, counting)];
  return h("div", { class: "row" },
    h("a", { class: "button", href: link(mapping, "/edit"), "data-key": "edit" }, "Edit"),
    counting,
    button("Reload", () => reload(mapping)),
    button("Abort", () => abort(mapping)),
    button("Empty and reload", () => reloadDestructively(mapping), { class: "danger" }),
    button("Delete", async () => {
      if (await deleteMapping(mapping)) location.hash = "#/mappings";
    }, { class: "danger" }));
}

function drawFacts(mapping) {
  const facts = [
    ["State", drawState(mapping)],
    ["Why", mapping.state_description],
    ["Table", h("a", { href: `#/explorer?view=rows&table=${encodeURIComponent(mapping.table_name)}`, "data-key": "table" }, mapping.table_name)],
    ["Access", mapping.access === "read_write" ? "read and write" : "read only"],
    ["Unique identifier", mapping.upsert_field ?? (mapping.access === "read_write" ? "none: a create whose answer is lost may be doubled" : "none")],
    ["Salesforce rows", salesforceRows(mapping)],
    ["PostgreSQL rows", number(mapping.counts.db)],
    ["Pending", count(mapping.counts.pending, "change")],
    ["Errors", h("a", { href: `#/explorer?view=log&state=FAILED&table=${encodeURIComponent(mapping.table_name)}`, "data-key": "errors" }, count(mapping.counts.errors, "change"))],
    ["Polled", ["every ", count(mapping.sf_polling_seconds, "second"), ", last ", ago(mapping.times.sf_poll), mapping.sf_notify_enabled ? ", and told of changes at once" : ""]],
    ["Has all changes up to", ago(mapping.changes_up_to)],
  ];
  return h("dl", { class: "facts" }, facts.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

// What the organisation has made of a field, as it was last looked at.
function drawNote(mapping, field) {
  const { missing = [], changed = [] } = mapping.organisation ?? {};
  if (missing.includes(field.name)) return { class: "missing", content: "missing in the organisation: its column keeps its values" };
  if (changed.includes(field.name)) return { class: "missing", content: "of another type in the organisation" };
  return field.is_filled ? "" : "values are being loaded";
}

function drawOffered(mapping) {
  const offered = mapping.organisation?.offered ?? [];
  if (offered.length === 0) return null;
  return h("details", { "data-key": "offered" }, h("summary", { "data-key": "offered-summary" }, `${count(offered.length, "field")} of the organisation not mapped`),
    h("p", { class: "note" }, offered.join(", ")));
}

function drawOne(area, context, mapping) {
  swap(area,
    h("p", {}, h("a", { href: "#/mappings", "data-key": "back" }, "Mappings")),
    h("h1", {}, mapping.object_name),
    drawActions(context, mapping),
    drawFacts(mapping),
    h("h2", {}, "Fields"),
    table("Fields", ["Field", "Type", "Column", "Column type", ""],
      mapping.fields.map((each) => [each.name, each.type, each.column, each.column_type, drawNote(mapping, each)]),
      "No fields: the organisation lacks the object."),
    drawOffered(mapping));
}

export async function show(area, context, { parts }) {
  const [id, verb] = parts;
  if (id === "new") return form.create(area, context);
  if (id !== undefined && verb === "edit") return form.edit(area, context, await get(`/api/v3/mappings/${encodeURIComponent(id)}`));
  if (id !== undefined)
    return refresh(area, EVERY_MS, async (content) => drawOne(content, context, await get(`/api/v3/mappings/${encodeURIComponent(id)}`)));
  return refresh(area, EVERY_MS, async (content) => drawList(content, context, (await get(`${context.path}/mappings`)).results));
}
