// Changes as they are captured, the newest on top.

import { get, withQuery } from "/dashboard/api.js";
import { field, h, select } from "/dashboard/dom.js";
import { entryState, time } from "/dashboard/format.js";

const EVERY_MS = 2000;
const KEPT = 300;

function drawChange(entry) {
  const values = Object.entries(entry.values ?? {}).slice(0, 8)
    .map(([name, value]) => h("span", { class: "pair" }, h("b", {}, name), "=", value === null ? h("em", {}, "null") : value));
  return h("li", {}, h("span", { class: "when" }, time(entry.created_at)), " ",
    h("strong", {}, `${entry.action} ${entry.table_name} ${entry.record_id ?? ""}`), " ", entryState(entry.state), " ", values);
}

export async function show(area, context) {
  const list = h("ol", { class: "tail", id: "changes" });
  const status = h("p", { class: "note", role: "status" }, "Listening…");
  const pause = h("button", { type: "button", id: "pause" }, "Pause");
  const mappings = (await get(`${context.path}/mappings`)).results;
  const which = select("table", [["", "all tables"], ...mappings.map((each) => [each.table_name, each.table_name])], "");
  let after = null;
  let isPaused = false;
  let stopped = false;
  let timer = null;

  const say = () => (status.textContent = isPaused ? "Paused: nothing is lost, it is shown when you go on." : "Listening: new changes come on top; their states are those of when they came.");
  const read = async () => {
    const table = which.value;
    const page = await get(withQuery(`${context.path}/tail`, { after, table, limit: after === null ? 20 : 100 }));
    // While we asked, another table may have been chosen.
    if (stopped || table !== which.value) return;
    after = page.next;
    for (const entry of page.results) list.prepend(drawChange(entry));
    while (list.children.length > KEPT) list.lastChild.remove();
    say();
  };
  const again = async () => {
    try {
      if (!isPaused) await read();
    } catch (error) {
      status.textContent = `No answer: ${error.message}`;
    }
    if (!stopped) timer = setTimeout(again, EVERY_MS);
  };
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    say();
  });
  which.addEventListener("change", () => {
    after = null;
    list.replaceChildren();
  });
  area.append(h("h1", {}, "Live tail"), h("div", { class: "filters" }, field("Table", which), pause), status, list);
  await again();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
