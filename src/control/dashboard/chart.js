// Throughput by the minute: bars of what was sent and what failed, a line of what was captured. The
// same numbers stand in a table below, for who does not see the picture.

import { h, svg, table } from "/dashboard/dom.js";
import { number, time } from "/dashboard/format.js";

const HEIGHT = 180;
const LEFT = 44;
const BOTTOM = 22;
const TOP = 10;

// One unit is one pixel, so that the letters have their size on a telephone too.
const findWidth = () => Math.min(Math.max(document.documentElement.clientWidth - 80, 280), 1200);

// The next 1, 2 or 5 times a power of ten.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function drawAxes(top, minutes, y, width) {
  const marks = top % 2 === 0 ? [0, top / 2, top] : [0, top];
  const every = Math.ceil(minutes.length / 4);
  return [
    marks.map((mark) => [
      svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(mark), y2: y(mark) }),
      svg("text", { class: "tick end", x: LEFT - 6, y: y(mark) + 4 }, number(mark)),
    ]),
    minutes.map((minute, i) => i % every === 0 &&
      svg("text", { class: "tick", x: LEFT + (i * (width - LEFT)) / minutes.length, y: HEIGHT - 6 }, clock.format(new Date(minute.at)))),
  ];
}

function drawBars(minute, x, width, y) {
  const base = y(0);
  const bar = (kind, from, to) => to > from &&
    svg("rect", { class: kind, x, width, y: y(to), height: Math.max(base - y(to - from), 1) });
  return svg("g", {},
    svg("title", {}, `${clock.format(new Date(minute.at))}: ${number(minute.captured)} captured, ${number(minute.sent)} sent, ${number(minute.failed)} failed`),
    svg("rect", { class: "hit", x, width, y: TOP, height: base - TOP }),
    bar("sent", 0, minute.sent),
    bar("failed", minute.sent, minute.sent + minute.failed));
}

export function chart(minutes) {
  const width = findWidth();
  const top = roundUp(Math.max(1, ...minutes.map((each) => Math.max(each.captured, each.sent + each.failed))));
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  const step = (width - LEFT) / minutes.length;
  const line = minutes.map((each, i) => `${LEFT + (i + 0.5) * step},${y(each.captured)}`).join(" ");
  const sum = (name) => minutes.reduce((total, each) => total + each[name], 0);
  const legend = [["captured", "Captured"], ["sent", "Sent"], ["failed", "Failed"]];

  return h("figure", { class: "chart" },
    svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label":
      `Changes per minute in the last hour: ${legend.map(([name]) => `${number(sum(name))} ${name}`).join(", ")}` },
      drawAxes(top, minutes, y, width),
      minutes.map((each, i) => drawBars(each, LEFT + i * step + 1, Math.max(step - 2, 1), y)),
      svg("polyline", { class: "captured", points: line })),
    h("figcaption", {}, legend.map(([name, label]) =>
      h("span", { class: `key ${name}` }, `${label}: ${number(sum(name))} in the last hour`))),
    h("details", { "data-key": "numbers" }, h("summary", {}, "Numbers"),
      table("Changes per minute", ["Minute", "Captured", "Sent", "Failed"],
        minutes.filter((each) => each.captured + each.sent + each.failed > 0).reverse()
          .map((each) => [time(each.at), number(each.captured), number(each.sent), number(each.failed)]),
        "Nothing in the last hour.")));
}
