// How numbers, times and states are told: with their units, in the reader's zone, in words.

import { now } from "/dashboard/api.js";
import { h } from "/dashboard/dom.js";

const numbers = new Intl.NumberFormat();
const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const number = (value) => numbers.format(value);
export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

export function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${numbers.format(unit === 0 ? value : Math.round(value * 10) / 10)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// The reader's time, with UTC for who points at it.
export function time(text) {
  if (!text) return "never";
  const date = new Date(text);
  return h("time", { datetime: text, title: `${text.replace("T", " ").replace("Z", "")} UTC` }, times.format(date));
}

export function ago(text) {
  if (!text) return "never";
  const date = new Date(text);
  return h("time", { datetime: text, title: `${text.replace("T", " ").replace("Z", "")} UTC` },
    `${duration(Math.max(0, (now() - date) / 1000))} ago`);
}

// Every state that is shown: its words, and how it stands. What is not here is shown as it is.
const states = {
  // Mappings
  DATA_SYNCED: ["OK", "good"],
  INITIAL: ["Creating", "busy"],
  RESYNC: ["Loading new columns", "busy"],
  RELOAD_TABLE: ["Reloading", "busy"],
  SCHEMA_CHANGED: ["Altering the table", "busy"],
  POLLING_SF_CHANGES: ["Polling for changes", "good"],
  POLLING_SF_BULK: ["Polling by Bulk", "good"],
  POLLING_SF_FOR_DELETES: ["Polling for deletions", "good"],
  WAIT_BULK_LOAD: ["Waiting for a Bulk load", "busy"],
  WAIT_BULK_UPDATE: ["Waiting for a Bulk update", "busy"],
  LOADING_BULK_JOB: ["Storing a Bulk result", "busy"],
  ABORTED: ["Aborted", "bad"],
  SYSTEM_ERROR: ["Stopped by an error", "bad"],
  // Connections
  IDLE: ["OK", "good"],
  NEW: ["New", "busy"],
  PAUSED: ["Paused", "warn"],
  POLLING_DB_CHANGES: ["Sending changes", "good"],
  RECOVERY: ["Re-enabling", "busy"],
  IMPORT_CONFIGURATION: ["Importing", "busy"],
  DB_UNAVAILABLE: ["Database unavailable", "bad"],
  UNAUTHORIZED: ["Salesforce refused the sign-in", "bad"],
  NEED_AUTHENTICATION: ["Needs a sign-in to Salesforce", "bad"],
};

// Entries of the log, and rows by their _hc_lastop.
const entryStates = {
  NEW: ["New", "busy"],
  PENDING: ["Pending", "busy"],
  SUCCESS: ["Sent", "good"],
  MERGED: ["Merged", "good"],
  FAILED: ["Failed", "bad"],
  IGNORE: ["Not for Salesforce", "plain"],
  IGNORED: ["Given up", "plain"],
  READONLY: ["Read-only", "plain"],
  REQUEUE: ["Queued again", "busy"],
  REQUEUED: ["Queued again", "plain"],
};

function badge([words, kind], name) {
  return h("span", { class: `badge ${kind}`, title: name }, words);
}

export const state = (name) => badge(states[name] ?? [name, "plain"], name);
export const entryState = (name) => badge(entryStates[name] ?? [name ?? "unknown", "plain"], name ?? "");

export function rowState(name) {
  if (!name) return "";
  const kind = /FAILED|ERROR/.test(name) ? "bad" : /PENDING/.test(name) ? "busy" : "good";
  return badge([name.charAt(0) + name.slice(1).toLowerCase().replaceAll("_", " "), kind], name);
}

export const entryStateNames = Object.keys(entryStates);
