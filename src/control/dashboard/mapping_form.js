// Creating and editing a mapping: which object, how it is synchronised, which fields.

import { get, patch, post } from "/dashboard/api.js";
import { act, ask, field, h, notice, select } from "/dashboard/dom.js";
import { count } from "/dashboard/format.js";

// Without these nothing can be synchronised; the stamp is the first that an object has.
const STAMPS = ["SystemModstamp", "LastModifiedDate", "CreatedDate"];
const USUAL = ["CreatedDate", "Name"];

const holds = (text, search) => (text ?? "").toLowerCase().includes(search.toLowerCase());
const matches = (each, search) => holds(each.name, search) || holds(each.label, search);

function neededNames(fields) {
  const names = fields.map((each) => each.name);
  const stamp = STAMPS.find((each) => names.includes(each));
  return new Set(["Id", "IsDeleted", stamp].filter((each) => names.includes(each)));
}

function searchBox(label, onInput) {
  return field(label, h("input", { type: "search", name: "search", autocomplete: "off", oninput: (event) => onInput(event.target.value) }));
}

// ---- which object

function drawObject(object, mapped, choose) {
  const taken = mapped.has(object.name);
  const why = taken ? "mapped already" : object.is_mappable ? null : object.reason;
  return h("li", {},
    h("button", { type: "button", class: "choice", disabled: why !== null, "data-name": object.name, onclick: (event) => act(event.currentTarget, () => choose(object)) },
      h("strong", {}, object.label ?? object.name), " ", h("code", {}, object.name), why && h("small", {}, ` – ${why}`)));
}

export async function create(area, context) {
  area.append(h("h1", {}, "Create mapping"), h("p", { class: "note" }, "Asking Salesforce which objects there are…"));
  const [objects, mappings] = await Promise.all([get(`${context.path}/schemas`), get(`${context.path}/mappings`)]);
  const mapped = new Set(mappings.results.map((each) => each.object_name));
  const list = h("ul", { class: "choices" });
  const total = h("p", { class: "note", role: "status" });
  const choose = async (object) => {
    const schema = await get(`${context.path}/schemas/${encodeURIComponent(object.name)}`);
    drawForm(area, context, { objectName: object.name, fields: schema.fields, config: null, mapping: null });
  };
  const filter = (search) => {
    const found = objects.results.filter((each) => matches(each, search));
    total.textContent = count(found.length, "object");
    list.replaceChildren(...found.map((each) => drawObject(each, mapped, choose)));
  };
  area.replaceChildren(h("p", {}, h("a", { href: "#/mappings" }, "Mappings")), h("h1", {}, "Create mapping"),
    searchBox("Search objects", filter), total, list);
  filter("");
  area.querySelector("input").focus();
}

export async function edit(area, context, mapping) {
  area.append(h("h1", {}, `Edit ${mapping.object_name}`), h("p", { class: "note" }, "Asking Salesforce which fields there are…"));
  let fields = [];
  try {
    fields = (await get(`${context.path}/schemas/${encodeURIComponent(mapping.object_name)}`)).fields;
  } catch (error) {
    // An object that is gone: its fields are all missing, and the form says so.
    if (error.status !== 409 && error.status !== 404 && error.status !== 422) throw error;
    notice(error.message, "failed");
  }
  drawForm(area, context, { objectName: mapping.object_name, fields, config: mapping.config, mapping });
}

// ---- how

function drawOptions(config, fields) {
  const identifiers = fields.filter((each) => each.is_external_id && each.is_unique).map((each) => each.name);
  if (config.upsert_field && !identifiers.includes(config.upsert_field)) identifiers.push(config.upsert_field);
  const number = (name, value, min, max) => h("input", { type: "number", name, value: String(value), min, max, required: true });
  return h("fieldset", { class: "options" }, h("legend", {}, "Synchronisation"),
    field("Access", select("access", [["read_only", "Read only: Salesforce to PostgreSQL"], ["read_write", "Read and write: both ways"]], config.access ?? "read_only")),
    field("Poll every (seconds)", number("sf_polling_seconds", config.sf_polling_seconds ?? 600, 1, 86400)),
    field("API requests per day at most", number("sf_max_daily_api_calls", config.sf_max_daily_api_calls ?? 30000, 1, 100000000)),
    field("Unique identifier", select("upsert_field", [["", "none"], ...identifiers.map((each) => [each, each])], config.upsert_field ?? ""),
      "Finds a record again whose create was not answered. Must be an external id, and unique."),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "sf_notify_enabled", checked: Boolean(config.sf_notify_enabled) }), " Be told of changes at once (change events)"));
}

// ---- which fields

// What is known of each field: mapped, needed, missing, and why it cannot be chosen.
function makeChoices({ fields, config, mapping }) {
  const changed = mapping?.organisation?.changed ?? [];
  const needed = neededNames(fields);
  // A configuration may spell names in another case than the organisation.
  const known = new Set(fields.map((each) => each.name.toLowerCase()));
  const mapped = new Map(Object.keys(config?.fields ?? {}).map((name) => [name.toLowerCase(), name]));
  const indexed = new Set(Object.keys(config?.indexes ?? {}).map((name) => name.toLowerCase()));
  const missing = [...mapped.values()].filter((name) => !known.has(name.toLowerCase())).map((name) => ({ name, label: null, type: "", isMissing: true }));
  return [...missing, ...fields].map((each) => ({
    ...each,
    isNeeded: needed.has(each.name),
    isChanged: changed.includes(each.name),
    isChecked: !each.isMissing && (needed.has(each.name) || (config ? mapped.has(each.name.toLowerCase()) : USUAL.includes(each.name))),
    key: mapped.get(each.name.toLowerCase()) ?? each.name,
    isIndexed: config ? indexed.has(each.name.toLowerCase()) : ["Id", ...STAMPS].includes(each.name) && needed.has(each.name),
  }));
}

function drawNote(choice) {
  if (choice.isMissing) return h("span", { class: "missing" }, "missing in the organisation: saving removes its column");
  if (choice.is_mappable === false) return choice.reason;
  if (choice.isChanged) return h("span", { class: "missing" }, "of another type now: save without it, then map it again");
  if (choice.isNeeded) return "needed for synchronisation";
  if (choice.is_required) return "Salesforce needs it to create a record";
  return "";
}

function drawChoice(choice, isLocked) {
  const off = choice.isMissing || choice.is_mappable === false;
  choice.box = h("input", { type: "checkbox", name: "field", value: choice.name, checked: choice.isChecked, disabled: off || choice.isNeeded, "aria-label": `Map ${choice.name}` });
  choice.index = h("input", { type: "checkbox", name: "index", value: choice.name, checked: choice.isIndexed && !off, disabled: off || isLocked(choice) || !choice.isChecked, "aria-label": `Index ${choice.name}` });
  choice.box.addEventListener("change", () => {
    choice.index.disabled = !choice.box.checked || isLocked(choice);
    if (!choice.box.checked) choice.index.checked = false;
  });
  choice.row = h("tr", { class: choice.isMissing ? "missing" : off ? "off" : null },
    h("td", {}, choice.box), h("td", {}, choice.name, choice.label && h("small", {}, ` ${choice.label}`)), h("td", {}, choice.type),
    h("td", {}, choice.index), h("td", {}, drawNote(choice)));
  return choice.row;
}

function drawFields(choices, config) {
  const isUnique = (choice) => choice.name === "Id" || config?.indexes?.[choice.key]?.unique === true;
  const total = h("p", { class: "note", role: "status" });
  const rows = choices.map((each) => drawChoice(each, isUnique));
  const say = () => (total.textContent = `${count(choices.filter((each) => each.box.checked).length, "field")} of ${choices.length} chosen`);
  const filter = (search) => choices.forEach((each) => (each.row.hidden = !matches(each, search)));
  say();
  return h("fieldset", { onchange: say }, h("legend", {}, "Fields"), searchBox("Search fields", filter), total,
    h("div", { class: "scroll" }, h("table", { class: "fields" },
      h("thead", {}, h("tr", {}, ["Mapped", "Field", "Type", "Indexed", "Note"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows))));
}

// What the server is asked for: everything an earlier configuration says stays, but for what is here.
function makeConfig(form, choices, before) {
  const data = new FormData(form);
  const config = { ...(before ?? {}) };
  const indexes = {};
  const fields = {};
  for (const each of choices) {
    if (!each.box.checked) continue;
    fields[each.key] = before?.fields?.[each.key] ?? {};
    if (each.index.checked) indexes[each.key] = before?.indexes?.[each.key] ?? { unique: each.name === "Id" };
  }
  config.access = data.get("access");
  config.sf_polling_seconds = Number(data.get("sf_polling_seconds"));
  config.sf_max_daily_api_calls = Number(data.get("sf_max_daily_api_calls"));
  config.sf_notify_enabled = data.get("sf_notify_enabled") !== null;
  delete config.upsert_field;
  delete config.revision;
  delete config.applied_at;
  const upsert = data.get("upsert_field");
  if (upsert !== "") {
    config.upsert_field = upsert;
    fields[upsert] ??= {};
    indexes[upsert] = { unique: true };
  }
  return { ...config, fields, indexes };
}

async function mayDrop(config, before, objectName) {
  const lost = Object.keys(before?.fields ?? {}).filter((name) => !(name in config.fields));
  return lost.length === 0 || ask({ title: `Remove ${count(lost.length, "column")} of ${objectName}?`, confirm: "Save and remove", isDangerous: true,
    text: `These columns are dropped with their values: ${lost.join(", ")}` });
}

async function save(context, form, choices, { objectName, config: before, mapping }) {
  const config = makeConfig(form, choices, before);
  const unwritable = choices.filter((each) => each.is_required && !each.box.checked && !each.isMissing && each.is_mappable).map((each) => each.name);
  if (config.access === "read_write" && unwritable.length > 0 &&
    !(await ask({ title: "Save without them?", confirm: "Save", text: `Salesforce needs these to create a record, and they are not mapped: ${unwritable.join(", ")}. Rows that are inserted will be refused.` })))
    return;
  if (!(await mayDrop(config, before, objectName))) return;
  const saved = mapping === null
    ? await post(`${context.path}/mappings`, { object_name: objectName, config })
    : await patch(`/api/v3/mappings/${mapping.id}`, { config });
  notice(mapping === null ? `${objectName} is mapped.` : `The mapping ${objectName} is saved.`);
  location.hash = `#/mappings/${encodeURIComponent(saved.id)}`;
}

function drawForm(area, context, what) {
  const choices = makeChoices(what);
  const isNew = what.mapping === null;
  const submit = h("button", { class: "primary", id: "save" }, "Save");
  const missing = choices.filter((each) => each.isMissing).length;
  const form = h("form", { class: "mapping" },
    drawOptions(what.config ?? {}, what.fields), drawFields(choices, what.config),
    h("div", { class: "row end sticky" },
      h("a", { class: "button", href: isNew ? "#/mappings" : `#/mappings/${encodeURIComponent(what.mapping.id)}` }, "Cancel"), submit));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(submit, () => save(context, form, choices, what));
  });
  area.replaceChildren(h("p", {}, h("a", { href: "#/mappings" }, "Mappings")),
    h("h1", {}, isNew ? `Map ${what.objectName}` : `Edit ${what.objectName}`),
    missing > 0 ? h("p", { class: "missing", role: "alert" }, `${count(missing, "mapped field is", "mapped fields are")} missing in the organisation.`) : "", form);
  form.querySelector("select").focus();
}
