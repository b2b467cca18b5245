// What was recorded, and what of it is shown. No part of this knows how it is drawn.

const KINDS = ["start", "ready", "event", "malformed", "line", "signal", "wait", "restart", "exit",
  "command", "rpc", "step", "phase", "failure"];
const [START, READY, EVENT, MALFORMED, LINE, SIGNAL, WAIT, RESTART, EXIT, COMMAND, RPC, STEP, PHASE, FAILURE] = KINDS.keys();
const OUTCOMES = { "wait: satisfied": "good", "wait: timed out": "late", "wait: cancelled": "gone",
  command: "good", rpc: "good", "step: done": "good", "step: cancelled": "gone", phase: "session" };

function makeModel() {
  const head = JSON.parse(document.getElementById("head").textContent);
  const all = document.getElementById("texts").textContent;
  const texts = all === "" ? [] : all.split("\n");
  const { columns, names, daemons } = head;
  const count = texts.length;
  // Times in seconds.
  const time = new Float64Array(count);
  for (let index = 0, now = 0; index < count; index += 1) {
    now += columns.time[index];
    time[index] = now / 1e6;
  }
  const begun = new Map(head.begun.map(([index, micros]) => [index, micros / 1e6]));
  const block = new Map(head.shows);
  const model = {
    title: head.title, started: head.started, daemons, names, tones: head.tones, blocks: head.blocks, count, texts,
    time, kind: columns.kind, daemon: columns.daemon, session: columns.session, name: columns.name, begun, block,
    end: count ? time[count - 1] : 0,
    first: 0,     // when it begins to be of interest
    failure: columns.kind.indexOf(FAILURE),  // index of what the test failed with, or -1
    own: daemons.map((one) => one.kind === "test"),  // which lane has what the test did
    hidden: new Set(), query: "",
    shown: [],    // indices that the filter lets through and the search finds
    sessions: daemons.map(() => []),
    spans: daemons.map(() => []),  // of waits: {index, from, to, row}
    said: (index) => JSON.parse(texts[index]),
    label: (index) => names[columns.name[index]],
  };
  model.first = count ? time[0] : 0;
  for (const [index, from] of begun) if (model.kind[index] !== PHASE) model.first = Math.min(model.first, from);
  readSessions(model);
  stackWaits(model);
  return model;
}

function readSessions(model) {
  for (let index = 0; index < model.count; index += 1) {
    const kind = model.kind[index];
    if (kind !== START && kind !== READY && kind !== EXIT) continue;
    const sessions = model.sessions[model.daemon[index]];
    const last = sessions[sessions.length - 1];
    if (kind === START) {
      sessions.push({ number: model.session[index], from: model.time[index], ready: null, to: null, status: null });
    } else if (last !== undefined && last.number === model.session[index]) {
      if (kind === READY) last.ready = model.time[index];
      else { last.to = model.time[index]; last.status = model.said(index).status; }
    }
  }
}

// Waits that overlap go below each other, as far as there is room.
const WAIT_ROWS = 5;
function stackWaits(model) {
  const ends = model.daemons.map(() => []);
  const byStart = [...model.begun].sort((a, b) => a[1] - b[1]);
  for (const [index, from] of byStart) {
    const daemon = model.daemon[index];
    const free = ends[daemon];
    let row = free.findIndex((end) => end <= from);
    if (row < 0) row = Math.min(free.length, WAIT_ROWS - 1);
    free[row] = Math.max(free[row] ?? 0, model.time[index]);
    model.spans[daemon].push({ index, from, to: model.time[index], row });
  }
}

function choose(model) {
  const { count, name, hidden, texts, names, daemons, daemon } = model;
  const query = model.query.trim().toLowerCase();
  const named = names.map((text) => text.toLowerCase().includes(query));
  const owned = daemons.map((one) => one.name.toLowerCase().includes(query));
  const finds = query === "" ? null : new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  const shown = [];
  for (let index = 0; index < count; index += 1) {
    if (hidden.has(name[index])) continue;
    if (finds === null || named[name[index]] || owned[daemon[index]] || finds.test(texts[index])) shown.push(index);
  }
  model.shown = shown;
}

// The first place in an ascending list of indices whose time is not before `moment`.
function placeOf(model, indices, moment) {
  let low = 0, high = indices.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (model.time[indices[middle]] < moment) low = middle + 1; else high = middle;
  }
  return low;
}

// The place of an index in an ascending list, or of the next one.
function rankOf(indices, index) {
  let low = 0, high = indices.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (indices[middle] < index) low = middle + 1; else high = middle;
  }
  return low;
}

function seconds(value) {
  return `${value.toFixed(value < 100 ? 3 : 2)} s`;
}

function brief(model, index) {
  const said = model.said(index);
  switch (model.kind[index]) {
    case EVENT: return JSON.stringify(said.value);
    case LINE: return said.text;
    case WAIT: return `${said.what}${said.where === null ? "" : ` where ${said.where}`}, ${seconds(model.time[index] - model.begun.get(index))}`;
    case EXIT: return `status ${said.status}`;
    case RESTART: return `after status ${said.status}, attempt ${said.attempt}`;
    case START: return (said.command ?? []).join(" ");
    case COMMAND: return `${said.name}: ${said.what}: ${said.status === null ? "did not end" : `status ${said.status}`}`;
    case RPC: return `${said.what}: ${said.status ?? "no answer"}`;
    case STEP: case PHASE: return said.what;
    case FAILURE: return said.what;
    default: return said.reason ?? "";
  }
}
