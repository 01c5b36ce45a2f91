// Changes as they are captured, the newest on top.

import { get, withQuery } from "/dashboard/api.js";
import { field, h, select } from "/dashboard/dom.js";
import { entryState, time } from "/dashboard/format.js";

const AGAIN_MS = 5000;
const KEPT = 300;

function drawChange(entry) {
  const values = Object.entries(entry.values ?? {}).slice(0, 8)
    .map(([name, value]) => h("span", { class: "pair" }, h("b", {}, name), "=", value === null ? h("em", {}, "null") : value));
  return h("li", {}, h("span", { class: "when" }, time(entry.created_at)), " ",
    h("strong", {}, `${entry.action} ${entry.table_name} ${entry.record_id ?? ""}`), " ", entryState(entry.state), " ", values);
}

// The server's words, as they come.
function listen(path, parameters, { onEntry, onOpen, onGone }) {
  const source = new EventSource(withQuery(path, parameters));
  source.addEventListener("open", onOpen);
  source.addEventListener("message", (event) => onEntry(JSON.parse(event.data)));
  source.addEventListener("error", () => onGone(source.readyState === EventSource.CLOSED));
  return () => source.close();
}

export async function show(area, context) {
  const list = h("ol", { class: "tail", id: "changes" });
  const status = h("p", { class: "note", role: "status" }, "Connecting…");
  const pause = h("button", { type: "button", id: "pause" }, "Pause");
  const mappings = (await get(`${context.path}/mappings`)).results;
  const which = select("table", [["", "all tables"], ...mappings.map((each) => [each.table_name, each.table_name])], "");
  let after = null;
  let close = () => {};
  let timer = null;

  const put = (entry) => {
    after = entry.id;
    list.prepend(drawChange(entry));
    while (list.children.length > KEPT) list.lastChild.remove();
  };
  const stop = () => {
    close();
    clearTimeout(timer);
  };
  // A browser goes on by itself after a break, but not after a refusal.
  const gone = (isRefused) => {
    status.textContent = "No answer: trying again.";
    if (!isRefused) return;
    stop();
    get("/session").catch(() => {});
    timer = setTimeout(start, AGAIN_MS);
  };
  const start = () => {
    stop();
    status.textContent = "Connecting…";
    close = listen(`${context.path}/tail`, { after, table: which.value, limit: after === null ? 20 : 200 },
      { onEntry: put, onGone: gone, onOpen: () => (status.textContent = "Listening: new changes come on top; their states are those of when they came.") });
  };
  pause.addEventListener("click", () => {
    const isPausing = pause.textContent === "Pause";
    pause.textContent = isPausing ? "Go on" : "Pause";
    if (!isPausing) return start();
    stop();
    status.textContent = "Paused: nothing is lost, it is shown when you go on.";
  });
  which.addEventListener("change", () => {
    after = null;
    list.replaceChildren();
    pause.textContent = "Pause";
    start();
  });
  area.append(h("h1", {}, "Live tail"), h("div", { class: "filters" }, field("Table", which), pause), status, list);
  start();
  return stop;
}
