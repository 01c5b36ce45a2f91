// Calls to the API. A browser's session is a cookie that this page cannot read; what changes
// something carries JSON and a header that no other site can send.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The time by the server's clock, as its last answer told it to the second: the reader's may be wrong.
let aheadMs = 0;
export const now = () => Date.now() + aheadMs;

function noteTime(response) {
  const at = Date.parse(response.headers.get("Date"));
  if (!Number.isNaN(at)) aheadMs = at - Date.now();
}

async function readAnswer(response) {
  const text = await response.text();
  let json = null;
  try {
    json = text === "" ? null : JSON.parse(text);
  } catch {
    throw new ApiError(response.status, "the answer is not JSON");
  }
  return json;
}

async function call(method, path, body) {
  const options = { method, headers: {}, cache: "no-store" };
  if (method !== "GET") {
    options.headers = { "Content-Type": "application/json", "X-Pgforce": "dashboard" };
    options.body = JSON.stringify(body ?? {});
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError(0, "pgforce does not answer: is `pgforce serve` running?");
  }
  noteTime(response);
  const json = await readAnswer(response);
  if (response.ok) return json;
  if (response.status === 401 && path !== "/login") document.dispatchEvent(new Event("signed-out"));
  throw new ApiError(response.status, json?.message ?? `the status ${response.status}`);
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const remove = (path) => call("DELETE", path);

// "/path?a=1&b=2" of those parameters that say something.
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}
