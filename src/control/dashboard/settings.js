// The connection as a whole: pausing, the configuration as a file, orphaned mappings,
// notifications, tokens.

import { get, post, remove } from "/dashboard/api.js";
import { act, ask, button, h, notice, table } from "/dashboard/dom.js";
import { count, state, time } from "/dashboard/format.js";

const MAX_FILE_BYTES = 16 * 1024 * 1024;

function section(title, ...content) {
  return h("section", {}, h("h2", {}, title), content);
}

function drawConnection(context, connection, redraw) {
  const isPaused = connection.state === "PAUSED";
  const call = (verb, done) => async () => {
    await post(`${context.path}/actions/${verb}`);
    await redraw();
    notice(done);
  };
  return section("Connection",
    h("p", {}, state(connection.state), " ", connection.sf_info?.domain ?? "not signed in to Salesforce yet"),
    context.may("operator")
      ? h("div", { class: "row" },
        isPaused ? button("Resume", call("resume", "Synchronisation goes on.")) : button("Pause", async () => {
          if (await ask({ title: "Pause synchronisation?", text: "Changes are still logged, and nothing is sent or read until it is resumed.", confirm: "Pause" }))
            await call("pause", "Synchronisation is paused.")();
        }),
        button("Try stopped mappings again", call("restart", "What stopped by an error is tried again.")))
      : h("p", { class: "note" }, "Pausing needs a token of the role operator."));
}

// ---- the configuration

// What an import would do, step by step.
function drawPlan(plan) {
  if (plan.steps.length === 0) return h("p", { id: "plan" }, "Nothing would change.");
  return h("div", { id: "plan" },
    table("Plan", ["Object", "What", ""], plan.steps.map((each) => [each.object_name, each.action, { class: "message", content: each.detail }]), ""),
    h("p", { class: "note" }, `${count(plan.records, "record")} to load, about ${count(plan.api_calls, "API request")}.`));
}

async function importFile(context, file, redraw) {
  if (file.size > MAX_FILE_BYTES) throw new Error("The file is larger than 16 MiB.");
  let configuration;
  try {
    configuration = JSON.parse(await file.text());
  } catch (error) {
    notice(`${file.name} is not JSON: ${error.message}`, "failed");
    return;
  }
  const plan = await post(`${context.path}/actions/plan`, configuration);
  if (!(await ask({ title: `Import ${file.name}?`, text: "It adds and edits mappings, and never deletes one:", content: drawPlan(plan), confirm: "Import" }))) return;
  await post(`${context.path}/actions/import`, configuration);
  await redraw();
  notice(`${file.name} is imported.`);
}

function drawConfiguration(context, redraw) {
  const input = h("input", { type: "file", id: "import-file", accept: "application/json,.json" });
  input.addEventListener("change", () => act(input, async () => {
    if (input.files.length > 0) await importFile(context, input.files[0], redraw);
    input.value = "";
  }));
  return section("Configuration",
    h("div", { class: "row" },
      h("a", { class: "button", id: "export", href: `${context.path}/actions/export`, download: `pgforce-${context.connection.schema_name}.json` }, "Export"),
      context.may("admin") && h("label", { class: "file" }, "Import a file ", input)),
    h("p", { class: "note" }, "The plan of an import is shown before anything is done."));
}

// ---- orphaned mappings

function drawOrphans(context, mappings, redraw) {
  const orphans = mappings.filter((each) => each.is_orphan);
  const removeThem = (those) => async () => {
    if (!(await ask({ title: `Remove ${count(those.length, "orphaned mapping")}?`, confirm: "Remove", isDangerous: true,
      text: `Their tables are dropped where there are any: ${those.map((each) => each.object_name).join(", ")}. This cannot be undone.` }))) return;
    for (const each of those) await remove(`/api/v3/mappings/${each.id}`);
    await redraw();
    notice(`${count(those.length, "orphaned mapping is", "orphaned mappings are")} removed.`);
  };
  return section("Orphaned mappings",
    h("p", { class: "note" }, "Mappings whose object was removed or renamed in the organisation."),
    table("Orphaned mappings", ["Object", "Why", ""], orphans.map((each) => [each.object_name, { class: "message", content: each.state_description ?? "" },
      context.may("admin") && button("Remove", removeThem([each]))]), "There are none."),
    orphans.length > 1 && context.may("admin") && button("Remove all", removeThem(orphans), { class: "danger" }));
}

// ---- notifications

function drawNotifications(context, notifications, redraw) {
  const open = notifications.filter((each) => each.acknowledged_at === null);
  return section("Notifications",
    table("Notifications", ["Since", "Over", "About", "Message", "Seen"],
      notifications.map((each) => [time(each.created_at), each.resolved_at ? time(each.resolved_at) : h("span", { class: "badge bad" }, "Now"),
        each.cause, { class: "message", content: each.message }, each.acknowledged_at ? time(each.acknowledged_at) : "no"]), "There are none."),
    open.length > 0 && context.may("operator") && button("Acknowledge all", async () => {
      await post(`${context.path}/notifications/acknowledge`);
      await redraw();
    }));
}

async function drawTokens(context) {
  if (!context.may("admin")) return null;
  const tokens = await get(`${context.path}/tokens`);
  return section("Tokens",
    table("Tokens", ["Name", "Role", "Made"], tokens.results.map((each) => [each.name, each.role, time(each.created_at)]),
      "None is stored: who is signed in uses PGFORCE_API_TOKEN."),
    h("p", { class: "note" }, "pgforce token create NAME ROLE makes one, pgforce token revoke NAME ends one at once."));
}

async function draw(area, context) {
  const redraw = () => draw(area, context);
  const [connection, notifications] = await Promise.all([get(`${context.path}?deep=true`), get(`${context.path}/notifications?page_size=100`)]);
  const tokens = await drawTokens(context);
  area.replaceChildren(h("h1", {}, "Settings"), drawConnection(context, connection, redraw), drawConfiguration(context, redraw),
    drawOrphans(context, connection.mappings, redraw), drawNotifications(context, notifications.results, redraw), tokens ?? "");
}

export async function show(area, context) {
  await draw(area, context);
}
