// Elements, dialogs and notices. Whatever comes from outside enters as text: there is no way here
// to make markup of a string.

import { ApiError } from "/dashboard/api.js";

const SVG = "http://www.w3.org/2000/svg";

function setAttribute(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (typeof value === "function") element.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) setAttribute(element, name, value);
  for (const child of children.flat(Infinity))
    if (child !== undefined && child !== null && child !== false) element.append(child);
  return element;
}

// h("button", { class: "quiet", onclick: f }, "Text", element, [more])
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// A click is a press and a release of one element: what was replaced between them would not be clicked.
let isPressed = false;
for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"])
  document.addEventListener(kind, (event) => { isPressed = (event.buttons & 1) === 1; }, true);

// Replaces what an area shows; the keyboard's focus stays on what has the same data-key. While the pointer
// is pressed what is there stays until the next time.
export function swap(area, ...children) {
  if (isPressed && area.hasChildNodes()) return;
  const key = area.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = [...area.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key);
  area.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  for (const details of area.querySelectorAll("details[data-key]"))
    details.open = details.open || open.includes(details.dataset.key);
  if (key !== undefined)
    [...area.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key)?.focus();
}

export function notice(text, kind = "done") {
  const element = h("div", { class: `notice ${kind}` }, text);
  const close = () => element.remove();
  element.append(h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: close }, "×"));
  document.getElementById("notices").append(element);
  if (kind === "done") setTimeout(close, 6000);
}

// Does what a click asks for: once at a time, and says what went wrong.
export async function act(button, work) {
  if (button) button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiError)) console.error(error);
    if (error.status !== 401) notice(error.message, "failed");
  } finally {
    if (button) button.disabled = false;
  }
}

export function button(label, work, attributes = {}) {
  return h("button", { type: "button", "data-key": label, ...attributes, onclick: (event) => act(event.currentTarget, work) }, label);
}

// A dialog that answers true or false; Escape is false.
export function ask({ title, text, confirm, isDangerous = false, content = null }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        text.split("\n").map((line) => h("p", {}, line)),
        content,
        h("div", { class: "row end" },
          h("button", { value: "no", autofocus: true }, "Cancel"),
          h("button", { value: "yes", class: isDangerous ? "danger" : "primary" }, confirm))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// A dialog that shows something until it is closed.
export function show(title, ...content) {
  const dialog = h("dialog", { class: "wide", "aria-labelledby": "dialog-title" },
    h("form", { method: "dialog" },
      h("div", { class: "row spread" },
        h("h2", { id: "dialog-title" }, title),
        h("button", { autofocus: true }, "Close")),
      content));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// rows: arrays of cells; a cell is a text, an element or { content, class }. Where it is narrow a row is
// a card, and each cell says its head.
export function table(caption, heads, rows, empty) {
  const cell = (each, i) => {
    const isFull = each !== null && typeof each === "object" && "content" in each && !(each instanceof Node);
    return h("td", { class: isFull ? each.class : null, "data-head": heads[i] }, isFull ? each.content : each);
  };
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell))))));
}

export function field(label, control, help = null) {
  return h("label", { class: "field" }, h("span", {}, label), control, help && h("small", {}, help));
}

export function select(name, options, value) {
  return h("select", { name },
    options.map(([each, label]) => h("option", { value: each, selected: each === value }, label)));
}
