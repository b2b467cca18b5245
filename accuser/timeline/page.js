// Puts the parts together: one selection, one filter, one search for the lanes, the list and the details.

const byId = (id) => document.getElementById(id);
const model = makeModel();
let selected = -1;
const lanes = makeLanes(model, select);
const list = makeList(model, select);

function select(index) {
  selected = index;
  lanes.select(index);
  list.select(index);
  showDetails();
  if (index >= 0) byId("live").textContent = describe(index);
}

function describe(index) {
  const daemon = model.daemons[model.daemon[index]].name;
  return `${daemon}, ${seconds(model.time[index])}, ${model.label(index)}, ${brief(model, index).slice(0, 160)}`;
}

function change() {
  choose(model);
  lanes.arrange();
  const place = rankOf(model.shown, selected);
  // What is selected is among what is shown: the next one there is, or nothing.
  if (selected >= 0 && model.shown[place] !== selected) select(model.shown[place] ?? model.shown[place - 1] ?? -1);
  else list.select(selected);
  const all = model.shown.length === model.count;
  byId("found").textContent = all ? "" : `${model.shown.length.toLocaleString("en")} of ${model.count.toLocaleString("en")}`;
  byId("filtered").textContent = model.hidden.size ? `−${model.hidden.size}` : "";
}

function showDetails() {
  const box = byId("details");
  box.replaceChildren();
  if (selected < 0) {
    box.append(element("p", "Choose an entry in the lanes or in the list: everything that was recorded of it is shown here."));
    return;
  }
  const said = model.said(selected);
  const { value, text, stdout, stderr, body, answer, message, ...facts } = said;
  box.append(element("h2", model.label(selected)));
  const terms = document.createElement("dl");
  const add = (term, fact) => {
    const place = document.createElement("dd");
    withHashes(place, fact);
    terms.append(element("dt", term), place);
  };
  const kind = model.kind[selected];
  if (!model.own[model.daemon[selected]]) add("daemon", `${model.daemons[model.daemon[selected]].name}, session ${model.session[selected]}`);
  add("time", `${model.time[selected].toFixed(6)} s, ${clock(model.started + model.time[selected])}`);
  add(model.own[model.daemon[selected]] ? "kind" : "what", KINDS[kind]);
  if (model.begun.has(selected)) add("lasted", seconds(model.time[selected] - model.begun.get(selected)));
  for (const [name, fact] of Object.entries(facts)) {
    if (fact !== null && fact !== "") add(name, Array.isArray(fact) ? fact.join(name === "place" ? " > " : " ") : String(fact));
  }
  if (model.block.has(selected)) {
    const [, level] = model.blocks[model.block.get(selected)];
    if (level !== null) add("level", String(level));
  }
  box.append(terms);
  const printed = [message, stderr, stdout, body && `sent: ${body}`, answer].filter(Boolean).join("\n");
  if (value !== undefined || text !== undefined || printed) {
    const whole = document.createElement("pre");
    whole.tabIndex = 0;
    whole.setAttribute("aria-label", "value");
    withHashes(whole, text ?? (value === undefined ? printed : JSON.stringify(value, null, 2)));
    box.append(whole);
  }
  box.scrollTop = 0;
}

// Texts with their hashes as buttons, which search for all else that has the hash.
const HASH = /\b(?:B[1-9A-HJ-NP-Za-km-z]{50}|o[1-9A-HJ-NP-Za-km-z]{50}|id[1-9A-HJ-NP-Za-km-z]{28})\b/;
function withHashes(place, text) {
  for (const part of text.split(new RegExp(`(${HASH.source})`))) {
    if (!HASH.test(part)) { place.append(part); continue; }
    const button = element("button", part);
    button.type = "button";
    button.className = "hash";
    button.title = "Show what has this hash";
    button.addEventListener("click", () => {
      byId("search").value = part;
      model.query = part;
      change();
    });
    place.append(button);
  }
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function clock(epoch) {
  return `${new Date(epoch * 1000).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

function fillFilter() {
  const counts = new Map();
  for (let index = 0; index < model.count; index += 1) counts.set(model.name[index], (counts.get(model.name[index]) ?? 0) + 1);
  const boxes = byId("kinds");
  for (const [name, count] of [...counts].sort((a, b) => model.names[a[0]].localeCompare(model.names[b[0]]))) {
    const label = document.createElement("label");
    const check = document.createElement("input");
    check.type = "checkbox";
    check.checked = true;
    check.dataset.name = name;
    label.append(check, element("span", model.names[name]), element("span", count.toLocaleString("en")));
    boxes.append(label);
  }
  boxes.addEventListener("change", (event) => {
    const name = Number(event.target.dataset.name);
    if (event.target.checked) model.hidden.delete(name); else model.hidden.add(name);
    change();
  });
  const tick = (checked) => {
    for (const check of boxes.querySelectorAll("input")) {
      check.checked = checked;
      if (checked) model.hidden.delete(Number(check.dataset.name)); else model.hidden.add(Number(check.dataset.name));
    }
    change();
  };
  byId("all").addEventListener("click", () => tick(true));
  byId("none").addEventListener("click", () => tick(false));
}

// What the test failed with stays in sight, whatever is looked at.
function showFailure() {
  if (model.failure < 0) return;
  const { error, message } = model.said(model.failure);
  const button = byId("failed");
  button.firstElementChild.textContent = `${error}: ${message}`.replace(/\s+/g, " ").trim();
  button.hidden = false;
  button.addEventListener("click", toFailure);
}

function toFailure() {
  const name = model.name[model.failure];
  if (model.shown[rankOf(model.shown, model.failure)] !== model.failure) {
    byId("search").value = model.query = "";
    model.hidden.delete(name);
    byId("kinds").querySelector(`[data-name="${name}"]`).checked = true;
    change();
  }
  select(model.failure);
}

// To the next entry that is shown, in the lane of the selected one.
function step(by) {
  const { shown } = model;
  let place = rankOf(shown, selected);
  if (selected < 0) return select(shown[by > 0 ? 0 : shown.length - 1] ?? -1);
  if (shown[place] !== selected && by > 0) place -= 1;
  const lane = model.daemon[selected];
  for (place += by; place >= 0 && place < shown.length; place += by) {
    if (model.daemon[shown[place]] === lane) return select(shown[place]);
  }
}

// To the entry of another lane that is nearest in time.
function cross(by) {
  if (selected < 0) return step(1);
  const { shown, daemons } = model;
  for (let lane = model.daemon[selected] + by; lane >= 0 && lane < daemons.length; lane += by) {
    const place = rankOf(shown, selected);
    let before = place - 1, after = place;
    while (before >= 0 && model.daemon[shown[before]] !== lane) before -= 1;
    while (after < shown.length && model.daemon[shown[after]] !== lane) after += 1;
    const candidates = [shown[before], shown[after]].filter((one) => one !== undefined);
    if (candidates.length === 0) continue;
    const away = (index) => Math.abs(model.time[index] - model.time[selected]);
    return select(candidates.reduce((best, one) => (away(one) < away(best) ? one : best)));
  }
}

const KEYS = {
  "+": () => lanes.zoom(0.5, center()), "=": () => lanes.zoom(0.5, center()),
  "-": () => lanes.zoom(2, center()), "0": () => lanes.whole(),
};
const LANE_KEYS = {
  ArrowRight: (event) => (event.shiftKey ? lanes.pan(0.2) : step(1)),
  ArrowLeft: (event) => (event.shiftKey ? lanes.pan(-0.2) : step(-1)),
  ArrowUp: () => cross(-1), ArrowDown: () => cross(1),
  Home: () => select(model.shown[0] ?? -1), End: () => select(model.shown[model.shown.length - 1] ?? -1),
  Enter: () => byId("details").focus(),
};
const center = () => (selected >= 0 ? model.time[selected] : undefined);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  if (event.key === "Escape") {
    if (byId("filter").open) { byId("filter").open = false; byId("filter").firstElementChild.focus(); }
    else if (target === byId("search")) { byId("search").value = ""; model.query = ""; change(); byId("lanes").focus(); }
    else if (byId("details").contains(target)) byId("list").focus();
    return;
  }
  if (target instanceof HTMLInputElement) return;
  const action = (target === byId("lanes") && LANE_KEYS[event.key]) || KEYS[event.key];
  if (action) { event.preventDefault(); action(event); }
  else if (event.key === "/") { event.preventDefault(); byId("search").focus(); byId("search").select(); }
});
byId("search").addEventListener("input", (event) => { model.query = event.target.value; change(); });
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && model.shown.length) {
    const place = rankOf(model.shown, selected + 1);
    select(model.shown[place % model.shown.length]);
  }
});
byId("zoom-in").addEventListener("click", () => lanes.zoom(0.5, center()));
byId("zoom-out").addEventListener("click", () => lanes.zoom(2, center()));
byId("whole").addEventListener("click", () => lanes.whole());

const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => lanes.recolor());
byId("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  lanes.recolor();
});
document.addEventListener("click", (event) => {
  if (!byId("filter").contains(event.target)) byId("filter").open = false;
});

const others = model.own.filter((own) => !own).length;
byId("summary").textContent = `${others} daemons, ${model.count.toLocaleString("en")} entries, ${seconds(model.end)}`;
if (window.matchMedia("(any-pointer: fine)").matches) byId("search").placeholder += "  ( / )";
byId("summary").title = `begun at ${clock(model.started)}`;
fillFilter();
showFailure();
lanes.recolor();
change();
showDetails();
// Whoever opens the page of a failed test wants to know what was then.
if (model.failure >= 0) select(model.failure);
