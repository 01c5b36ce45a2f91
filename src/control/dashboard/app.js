// The page's frame: who is signed in, which connection, which view. A view is a module with
// show(area, context, path), which answers a function that stops it, or nothing.

import { get, post } from "/dashboard/api.js";
import { act, h, notice } from "/dashboard/dom.js";
import * as explorer from "/dashboard/explorer.js";
import * as mappings from "/dashboard/mappings.js";
import * as overview from "/dashboard/overview.js";
import * as settings from "/dashboard/settings.js";
import * as tail from "/dashboard/tail.js";

const views = [
  ["overview", "Overview", overview],
  ["mappings", "Mappings", mappings],
  ["explorer", "Explorer", explorer],
  ["tail", "Live tail", tail],
  ["settings", "Settings", settings],
];
const ranks = ["viewer", "operator", "admin"];

const bar = document.getElementById("bar");
const view = document.getElementById("view");
let context = null;
let stop = null;
let turn = 0;

function makeContext(session, connection) {
  return {
    session,
    connection,
    path: `/api/v3/connections/${encodeURIComponent(connection.id)}`,
    may: (role) => ranks.indexOf(session.role) >= ranks.indexOf(role),
  };
}

function drawFrame() {
  bar.hidden = false;
  document.getElementById("connection").textContent = context.connection.display_name;
  document.getElementById("who").textContent = `${context.session.name} (${context.session.role})`;
  document.getElementById("nav").replaceChildren(
    ...views.map(([name, label]) => h("a", { href: `#/${name}`, id: `nav-${name}` }, label)));
}

function end() {
  stop?.();
  stop = null;
}

// "#/mappings/ID/edit?x=1" is { name: "mappings", parts: ["ID", "edit"], query }
function readPlace() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parts] = path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  return { name: name ?? "overview", parts, query: new URLSearchParams(query) };
}

async function draw() {
  const mine = ++turn;
  const place = readPlace();
  const [name, label, module] = views.find((each) => each[0] === place.name) ?? views[0];

  end();
  document.title = `${label} – pgforce`;
  for (const [each] of views) {
    const link = document.getElementById(`nav-${each}`);
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const area = h("div", {});
  view.replaceChildren(area);
  try {
    const stopThis = await module.show(area, context, place);
    if (mine === turn) stop = stopThis;
    else stopThis?.();
  } catch (error) {
    if (error.status !== 401) area.append(h("p", { class: "problem", role: "alert" }, error.message));
  }
}

function drawLogin() {
  context = null;
  turn++;
  end();
  bar.hidden = true;
  document.title = "Sign in – pgforce";
  const token = h("input", { type: "password", name: "token", id: "token", autocomplete: "off", required: true });
  const submit = h("button", { class: "primary" }, "Sign in");
  const problem = h("p", { class: "problem", role: "alert" });
  const form = h("form", { class: "login" },
    h("h1", {}, "pgforce"),
    h("label", { class: "field" }, h("span", {}, "Token"), token,
      h("small", {}, "pgforce token create NAME viewer, operator or admin prints one.")),
    problem, submit);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = "";
    try {
      await post("/login", { token: token.value });
      await start();
    } catch (error) {
      problem.textContent = error.status === 401 ? "This token is not valid." : error.message;
      token.value = "";
      token.focus();
    } finally {
      submit.disabled = false;
    }
  });
  view.replaceChildren(form);
  token.focus();
}

async function start() {
  const session = await get("/session");
  const connections = await get("/api/v3/connections");
  context = makeContext(session, connections.results[0]);
  drawFrame();
  await draw();
}

window.addEventListener("hashchange", () => {
  if (context !== null && location.hash.startsWith("#/")) draw().then(() => view.focus());
});
document.addEventListener("signed-out", () => {
  if (context !== null) notice("The session has ended: sign in again.", "failed");
  if (!view.querySelector(".login")) drawLogin();
});
document.getElementById("sign-out").addEventListener("click", (event) =>
  act(event.currentTarget, async () => {
    await post("/logout");
    drawLogin();
  }));

start().catch((error) => {
  if (error.status === 401) return;
  view.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message),
    h("button", { type: "button", onclick: () => location.reload() }, "Try again"));
});
