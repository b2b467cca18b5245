// The list of entries: only the rows in sight exist. It says the same as the lanes, in words.

// On a narrow screen a row has two lines.
let ROW = narrow.matches ? 44 : 24;
const MARGIN = 8;
// Browsers cut elements that are higher; above it a step of the scroll bar is more than a row.
const HIGHEST = 8e6;

function makeList(model, onChosen) {
  const box = document.getElementById("list");
  const rows = document.getElementById("rows");
  let selected = -1;
  let drawn = "";
  let clicked = false;

  const height = () => Math.min(model.shown.length * ROW, HIGHEST);
  const topRow = () => {
    const room = Math.max(height() - box.clientHeight, 1);
    const last = Math.max(model.shown.length - box.clientHeight / ROW, 0);
    return height() < HIGHEST ? box.scrollTop / ROW : (box.scrollTop / room) * last;
  };

  function draw(force) {
    const top = topRow();
    const first = Math.max(Math.floor(top) - MARGIN, 0);
    const last = Math.min(Math.ceil(top + box.clientHeight / ROW) + MARGIN, model.shown.length);
    const state = `${first} ${last} ${selected} ${box.scrollTop}`;
    if (!force && state === drawn) return;
    drawn = state;
    rows.style.height = `${height()}px`;
    const fragment = document.createDocumentFragment();
    for (let place = first; place < last; place += 1) fragment.append(row(place, box.scrollTop + (place - top) * ROW));
    rows.replaceChildren(fragment);
    const active = rows.querySelector('[aria-selected="true"]');
    if (active) box.setAttribute("aria-activedescendant", active.id);
    else box.removeAttribute("aria-activedescendant");
  }

  function row(place, top) {
    const index = model.shown[place];
    const element = document.createElement("div");
    element.className = "row" + ["", " notable", " alarming"][model.tones[model.name[index]]];
    element.id = `row-${index}`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-setsize", model.shown.length);
    element.setAttribute("aria-posinset", place + 1);
    element.setAttribute("aria-selected", index === selected);
    element.style.top = `${top}px`;
    const cells = [["time", seconds(model.time[index])], ["daemon", model.daemons[model.daemon[index]].name],
      ["name", model.label(index)], ["said", brief(model, index).slice(0, 300)]];
    for (const [kind, text] of cells) {
      const cell = document.createElement("span");
      cell.className = kind;
      cell.textContent = text;
      element.append(cell, " ");
    }
    return element;
  }

  // In the middle, where what was before and after is seen too.
  function show(place) {
    const room = box.clientHeight / ROW;
    const last = Math.max(model.shown.length - room, 1);
    const wanted = Math.min(Math.max(place + 0.5 - room / 2, 0), last);
    box.scrollTop = height() < HIGHEST ? wanted * ROW : (wanted / last) * (height() - box.clientHeight);
  }

  narrow.addEventListener("change", () => { ROW = narrow.matches ? 44 : 24; draw(true); });
  box.addEventListener("scroll", () => draw(false));
  new ResizeObserver(() => draw(true)).observe(box);
  rows.addEventListener("click", (event) => {
    const element = event.target.closest(".row");
    if (!element) return;
    // What is clicked on stays under the pointer.
    clicked = true;
    onChosen(Number(element.id.slice(4)));
    clicked = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || model.shown.length === 0) return;
    const page = Math.max(Math.floor(box.clientHeight / ROW) - 1, 1);
    const at = rankOf(model.shown, selected);
    const there = model.shown[at] === selected;
    const to = { ArrowDown: there ? at + 1 : at, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: Infinity }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onChosen(model.shown[Math.min(Math.max(to, 0), model.shown.length - 1)]);
  });

  return {
    // Also when what is shown has changed.
    select(index) {
      selected = index;
      rows.style.height = `${height()}px`;
      const place = rankOf(model.shown, index);
      if (model.shown[place] === index && !clicked) show(place);
      draw(true);
    },
  };
}
