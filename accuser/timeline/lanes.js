// The canvas: a lane for each daemon, on a common axis of time.
// Drawing takes time that grows with the width, not with the number of entries. The canvas is as large as
// what is in sight of the lanes; `below` is how far they are scrolled.

const AXIS = 30, GUTTER = 150, PAD = 10;
// Where the rows of a lane are: the middles, but of `session` and `wait` the top.
const LANE = { session: 9, block: 41, event: 64, line: 82, wait: 94, waitRow: 14 };
const TALLEST = 0.62; // of the window

function makeLanes(model, onChosen) {
  const canvas = document.getElementById("lanes");
  const stage = document.getElementById("stage");
  const tip = document.getElementById("tip");
  const context = canvas.getContext("2d");
  const view = { from: 0, to: 1 };
  let selected = -1, hovered = -1, pointer = null, colors = {}, width = 0, height = 0, tops = [], bottom = 0, below = 0, hatch = null;
  let rows = [];  // of each daemon: {event, block, line, mark}, each a list of indices in order
  let spans = []; // of each daemon: waits that are shown
  let pending = false;

  const whole = () => {
    const margin = Math.max(model.end * 0.015, 1e-4);
    return { from: -margin, to: Math.max(model.end, 1e-3) + margin };
  };
  const xOf = (moment) => GUTTER + ((moment - view.from) / (view.to - view.from)) * (width - GUTTER - PAD);
  const momentOf = (x) => view.from + ((x - GUTTER) / (width - GUTTER - PAD)) * (view.to - view.from);

  function later() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(); });
  }

  function arrange() {
    rows = model.daemons.map(() => ({ event: [], block: [], line: [], mark: [] }));
    const waits = new Set();
    for (const index of model.shown) {
      const lane = rows[model.daemon[index]];
      const kind = model.kind[index];
      if (kind === EVENT || kind === MALFORMED) {
        (model.block.has(index) ? lane.block : lane.event).push(index);
      } else if (kind === LINE) lane.line.push(index);
      else if (kind === WAIT) waits.add(index);
      else lane.mark.push(index);
    }
    spans = model.spans.map((all) => all.filter((span) => waits.has(span.index)));
    later();
  }

  function resize() {
    width = stage.clientWidth;
    tops = [];
    bottom = AXIS;
    model.daemons.forEach((_, daemon) => {
      tops.push(bottom);
      const stacked = model.spans[daemon].reduce((most, span) => Math.max(most, span.row + 1), 0);
      bottom += LANE.wait + stacked * LANE.waitRow + (stacked ? 8 : 2);
    });
    const scale = window.devicePixelRatio || 1;
    height = Math.min(bottom, Math.max(window.innerHeight * TALLEST, AXIS + 100));
    stage.style.height = `${height + 2}px`;
    document.getElementById("rest").style.height = `${bottom - height}px`;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    draw();
  }

  function recolor() {
    const style = getComputedStyle(document.documentElement);
    colors = {};
    for (const name of ["ground", "raised", "sunk", "line", "text", "quiet", "accent", "event", "notable", "alarming",
      "good", "late", "gone", "bad", "session", "starting", "block-light", "block-text"]) {
      colors[name] = style.getPropertyValue(`--${name}`).trim();
    }
    hatch = striped(colors.late);
    later();
  }

  function striped(color) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const brush = tile.getContext("2d");
    brush.strokeStyle = color;
    brush.lineWidth = 2;
    brush.beginPath();
    for (const shift of [-8, 0, 8]) { brush.moveTo(shift - 1, 9); brush.lineTo(shift + 9, -1); }
    brush.stroke();
    return context.createPattern(tile, "repeat");
  }

  // Neighbours in the order of appearance get hues far from each other.
  const blockColor = (block) => `hsl(${(block * 137.5 + 215) % 360} 58% ${colors["block-light"]})`;

  function draw() {
    if (!width) return;
    below = stage.scrollTop;
    context.fillStyle = colors.raised;
    context.fillRect(0, 0, width, height);
    context.textBaseline = "middle";
    const marks = axisMarks();
    context.save();
    context.translate(0, -below);
    drawGrid(marks);
    model.daemons.forEach((daemon, number) => {
      if (tops[number] < below + height && (tops[number + 1] ?? bottom) > below) drawLane(daemon, number);
    });
    drawPointer();
    context.restore();
    drawAxis(marks);
  }

  function font(size, weight = "") { context.font = `${weight} ${size}px system-ui, "Noto Sans", sans-serif`; }

  function axisMarks() {
    const target = (view.to - view.from) / Math.max((width - GUTTER) / 110, 1);
    const power = 10 ** Math.floor(Math.log10(target));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= target);
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    const marks = [];
    for (let count = Math.ceil(view.from / step); count * step <= view.to; count += 1) {
      const x = Math.round(xOf(count * step)) + 0.5;
      if (x >= GUTTER) marks.push({ x, text: `${(count * step).toFixed(digits)} s` });
    }
    return marks;
  }

  function drawGrid(marks) {
    context.strokeStyle = colors.line;
    context.globalAlpha = 0.6;
    for (const { x } of marks) line(x, AXIS - 6, x, bottom);
    context.globalAlpha = 1;
  }

  function drawAxis(marks) {
    context.fillStyle = colors.raised;
    context.fillRect(0, 0, width, AXIS);
    font(11.5);
    context.textAlign = "center";
    context.fillStyle = colors.quiet;
    for (const { x, text } of marks) if (x < width - 24) context.fillText(text, x, AXIS / 2);
    context.textAlign = "left";
    context.strokeStyle = colors.line;
    line(0, AXIS + 0.5, width, AXIS + 0.5);
  }

  function line(x1, y1, x2, y2) {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  function drawLane(daemon, number) {
    const top = tops[number];
    context.save();
    context.beginPath();
    context.rect(GUTTER - 8, top, width - GUTTER + 8, (tops[number + 1] ?? bottom) - top);
    context.clip();
    drawSessions(number, top);
    drawBlocks(number, top);
    drawEvents(number, top);
    drawLines(number, top);
    drawWaits(number, top);
    drawMarks(number, top);
    context.restore();
    context.strokeStyle = colors.line;
    line(0, top + 0.5, width, top + 0.5);
    context.fillStyle = colors.text;
    font(13.5, "600");
    context.fillText(cut(daemon.name, GUTTER - 28), 14, top + 18);
    context.fillStyle = colors.quiet;
    font(11.5);
    if (daemon.protocol) context.fillText(cut(daemon.protocol, GUTTER - 28), 14, top + 32);
    const labels = [["block", rows[number].block.length], ["event", rows[number].event.length], ["line", rows[number].line.length], ["wait", spans[number].length]];
    context.textAlign = "right";
    font(10.5);
    for (const [row, size] of labels) {
      if (size) context.fillText(`${row}s`.replace("lines", "output"), GUTTER - 16, top + LANE[row] + (row === "wait" ? 7 : 0));
    }
    context.textAlign = "left";
  }

  function cut(text, room) {
    if (context.measureText(text).width <= room) return text;
    while (text.length > 1 && context.measureText(`${text}…`).width > room) text = text.slice(0, -1);
    return `${text}…`;
  }

  function drawSessions(number, top) {
    for (const session of model.sessions[number]) {
      const from = xOf(session.from), to = xOf(session.to ?? model.end);
      if (to < 0 || from > width) continue;
      const ready = session.ready === null ? to : xOf(session.ready);
      context.fillStyle = colors.starting;
      bar(from, top + LANE.session, Math.max(to - from, 2), 18);
      context.fillStyle = colors.session;
      if (to > ready) bar(ready, top + LANE.session, Math.max(to - ready, 2), 18);
      const left = Math.max(session.ready === null ? from : ready + 6, GUTTER) + 8;
      context.fillStyle = colors.quiet;
      font(11);
      const text = `session ${session.number}`;
      if (Math.min(to, width) - left > context.measureText(text).width + 26) context.fillText(text, left, top + LANE.session + 9.5);
    }
  }

  function bar(x, y, w, h) {
    const left = Math.max(x, -20), right = Math.min(x + w, width + 20);
    context.beginPath();
    context.roundRect(left, y, Math.max(right - left, 1), h, 4);
    context.fill();
  }

  // Calls `one(index, x, room)` for entries that are apart, or `many(x, size, tone)` for a column of pixels.
  function sweep(indices, one, many) {
    const first = placeOf(model, indices, momentOf(GUTTER - 12));
    const last = placeOf(model, indices, momentOf(width + 12));
    if (last - first <= (width - GUTTER) / 3) {
      for (let place = first; place < last; place += 1) {
        const x = xOf(model.time[indices[place]]);
        const next = place + 1 < indices.length ? xOf(model.time[indices[place + 1]]) : Infinity;
        one(indices[place], x, next - x);
      }
      return;
    }
    let place = first;
    for (let x = GUTTER - 12; x < width + 12 && place < last; x += 2) {
      const end = placeOf(model, indices, momentOf(x + 2));
      if (end > place) many(x, end - place, indices[place]);
      place = end;
    }
  }

  function density(size) { return Math.min(0.35 + Math.log10(size + 1) * 0.3, 1); }

  function drawEvents(number, top) {
    const y = top + LANE.event;
    let free = -Infinity;
    font(11.5);
    sweep(rows[number].event, (index, x, room) => {
      const tone = model.tones[model.name[index]];
      mark(x, y, tone);
      const label = model.label(index).replace(/\.v\d+$/, "");
      const fits = context.measureText(label).width + 20;
      if (x > free && (room > fits || (tone === 1 && room > 60))) {
        context.fillStyle = tone === 1 ? colors.notable : tone === 2 ? colors.alarming : colors.quiet;
        context.fillText(cut(label, room - 16), x + 9, y + 0.5);
      }
      free = Math.max(free, x + 6);
    }, (x, size) => {
      context.fillStyle = colors.event;
      const height = 6 + Math.min(Math.log2(size + 1) * 3, 16);
      context.globalAlpha = density(size);
      context.fillRect(x, y - height / 2, 2, height);
      context.globalAlpha = 1;
    });
    // What matters is never lost in a crowd.
    for (const index of rare(number)) mark(xOf(model.time[index]), y, model.tones[model.name[index]]);
  }

  function rare(number) {
    const { event } = rows[number];
    const first = placeOf(model, event, view.from), last = placeOf(model, event, view.to);
    if (last - first <= (width - GUTTER) / 3) return [];
    const found = [];
    let before = -Infinity;
    for (let place = first; place < last; place += 1) {
      const index = event[place];
      if (!model.tones[model.name[index]]) continue;
      const x = xOf(model.time[index]);
      if (x - before < 1) continue;
      before = x;
      found.push(index);
    }
    return found;
  }

  function mark(x, y, tone) {
    context.beginPath();
    if (tone === 1) {
      context.fillStyle = colors.notable;
      context.moveTo(x, y - 7); context.lineTo(x + 7, y); context.lineTo(x, y + 7); context.lineTo(x - 7, y);
      context.closePath();
      context.fill();
    } else if (tone === 2) {
      context.strokeStyle = colors.alarming;
      context.lineWidth = 2.5;
      context.arc(x, y, 4.5, 0, 7);
      context.stroke();
      context.lineWidth = 1;
    } else {
      context.fillStyle = colors.event;
      context.arc(x, y, 3.6, 0, 7);
      context.fill();
    }
  }

  function drawBlocks(number, top) {
    const y = top + LANE.block;
    sweep(rows[number].block, (index, x, room) => {
      const [, level] = model.blocks[model.block.get(index)];
      context.fillStyle = blockColor(model.block.get(index));
      // Each is to be seen; the last of a crowd has its level written on it.
      if (room < 16) { context.fillRect(x - 8, y - 8, Math.max(room - 1, 2), 16); return; }
      context.beginPath();
      context.roundRect(x - 8, y - 8, 16, 16, 3.5);
      context.fill();
      context.strokeStyle = colors.raised;
      context.stroke();
      if (level !== null && level < 1000) {
        context.fillStyle = colors["block-text"];
        font(level > 99 ? 8 : 10, "700");
        context.textAlign = "center";
        context.fillText(level, x, y + 0.5);
        context.textAlign = "left";
      }
    }, (x, size, index) => {
      context.fillStyle = blockColor(model.block.get(index));
      context.fillRect(x, y - 8, 2, 16);
    });
  }

  function drawLines(number, top) {
    const y = top + LANE.line;
    context.fillStyle = colors.quiet;
    const tick = (x, alpha) => {
      context.globalAlpha = alpha;
      context.fillRect(x, y - 4, 1.5, 8);
    };
    sweep(rows[number].line, (index, x) => tick(x, 0.7), (x, size) => tick(x, density(size)));
    context.globalAlpha = 1;
  }

  function drawWaits(number, top) {
    font(10.5);
    const filled = new Map();
    for (const span of spans[number]) {
      const from = xOf(span.from), to = xOf(span.to);
      if (to < GUTTER - 12 || from > width + 12) continue;
      // Of many within a pixel one is drawn.
      if (to - from < 1 && filled.get(span.row) === Math.round(to)) continue;
      filled.set(span.row, Math.round(to));
      const outcome = OUTCOMES[model.label(span.index)] ?? "bad";
      const y = top + LANE.wait + span.row * LANE.waitRow, size = Math.max(to - from, 3);
      drawSpan(from, y, size, outcome);
      const room = Math.min(to, width) - Math.max(from, GUTTER) - 10;
      if (room > 40) {
        context.fillStyle = outcome === "good" ? colors.raised : colors.text;
        context.fillText(cut(model.said(span.index).what.replace(/\.v\d+$/, ""), room), Math.max(from, GUTTER) + 5, y + 6.5);
      }
    }
  }

  function drawSpan(x, y, size, outcome) {
    const color = colors[outcome];
    context.fillStyle = color;
    context.strokeStyle = color;
    if (outcome === "good") { bar(x, y, size, 12); return; }
    if (outcome === "late") context.fillStyle = hatch;
    context.globalAlpha = outcome === "late" ? 0.32 : 0.22;
    bar(x, y, size, 12);
    context.globalAlpha = 1;
    context.setLineDash(outcome === "gone" ? [4, 3] : []);
    const left = Math.max(x, -20);
    context.beginPath();
    context.roundRect(left + 0.5, y + 0.5, Math.max(Math.min(x + size, width + 20) - left - 1, 1), 11, 3);
    context.stroke();
    context.setLineDash([]);
  }

  function drawMarks(number, top) {
    const y = top + LANE.session + 9;
    sweep(rows[number].mark, (index, x, room) => {
      const kind = model.kind[index], session = model.sessions[number].find((one) => one.number === model.session[index]);
      if (kind === READY) { flag(x, y, colors.good); return; }
      if (kind === START) { context.fillStyle = colors.accent; context.fillRect(x - 1, y - 9, 2.5, 18); return; }
      if (kind === EXIT) {
        context.fillStyle = session?.status < 0 ? colors.bad : colors.text;
        context.fillRect(x - 1, y - 9, 2.5, 18);
        return;
      }
      context.fillStyle = kind === RESTART ? colors.accent : colors.late;
      context.beginPath();
      context.moveTo(x - 5, y - 9); context.lineTo(x + 5, y - 9); context.lineTo(x, y + 1);
      context.closePath();
      context.fill();
      font(10.5, "600");
      const text = kind === RESTART ? "restart" : model.label(index).replace("SIG", "");
      if (room > context.measureText(text).width + 14) context.fillText(text, x + 7, y);
    }, (x) => { context.fillStyle = colors.late; context.fillRect(x, y - 9, 2, 18); });
  }

  function flag(x, y, color) {
    context.strokeStyle = color;
    context.fillStyle = color;
    context.lineWidth = 2;
    line(x, y - 9, x, y + 9);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, y - 9); context.lineTo(x + 8, y - 5.5); context.lineTo(x, y - 2);
    context.fill();
  }

  // Where an entry is drawn, as a box.
  function boxOf(index) {
    const top = tops[model.daemon[index]], x = xOf(model.time[index]), kind = model.kind[index];
    if (kind === WAIT) {
      const span = model.spans[model.daemon[index]].find((one) => one.index === index);
      return { x: xOf(span.from), y: top + LANE.wait + span.row * LANE.waitRow, w: Math.max(x - xOf(span.from), 3), h: 12 };
    }
    const y = top + (kind === EVENT || kind === MALFORMED ? (model.block.has(index) ? LANE.block : LANE.event) : kind === LINE ? LANE.line : LANE.session + 9);
    return { x: x - 8, y: y - 8, w: 16, h: 16 };
  }

  function drawPointer() {
    if (pointer !== null && pointer.x > GUTTER) {
      context.strokeStyle = colors.accent;
      context.globalAlpha = 0.5;
      line(Math.round(pointer.x) + 0.5, AXIS - 6, Math.round(pointer.x) + 0.5, bottom);
      context.globalAlpha = 1;
    }
    for (const [index, thick] of [[hovered, 1.5], [selected, 2.5]]) {
      if (index < 0) continue;
      const box = boxOf(index);
      if (box.x + box.w < GUTTER - 10 || box.x > width + 10) continue;
      context.strokeStyle = colors.accent;
      context.lineWidth = thick;
      context.beginPath();
      context.roundRect(box.x - 4, box.y - 4, box.w + 8, box.h + 8, 6);
      context.stroke();
      context.lineWidth = 1;
    }
  }

  // What is drawn at a point: the nearest entry of its row.
  function hit(x, y) {
    if (x < GUTTER - 8 || y < AXIS + below) return -1;
    let number = tops.length - 1;
    while (number >= 0 && tops[number] > y) number -= 1;
    if (number < 0) return -1;
    const within = y - tops[number];
    if (within >= LANE.wait - 1) {
      const row = Math.floor((within - LANE.wait + 1) / LANE.waitRow);
      let found = -1;
      for (const span of spans[number]) {
        if (span.row === row && xOf(span.from) - 3 <= x && x <= Math.max(xOf(span.to), xOf(span.from) + 3) + 3) found = span.index;
      }
      return found;
    }
    const lane = rows[number];
    const indices = within < 31 ? lane.mark : within < 53 ? lane.block : within < 74 ? lane.event : lane.line;
    const place = placeOf(model, indices, momentOf(x));
    let best = -1, nearest = 9;
    for (const index of [indices[place - 1], indices[place]]) {
      if (index === undefined) continue;
      const distance = Math.abs(xOf(model.time[index]) - x);
      if (distance < nearest) { nearest = distance; best = index; }
    }
    return best;
  }

  function zoom(factor, around = (view.from + view.to) / 2) {
    const limits = whole();
    const size = Math.min(Math.max((view.to - view.from) * factor, 2e-5), limits.to - limits.from);
    const share = (around - view.from) / (view.to - view.from);
    place(around - share * size, size);
  }

  function place(from, size) {
    const limits = whole();
    view.from = Math.min(Math.max(from, limits.from), limits.to - size);
    view.to = view.from + size;
    later();
  }

  function pan(share) { place(view.from + share * (view.to - view.from), view.to - view.from); }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top + below };
  }

  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragged = { start: point(event), from: view.from, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    pointer = point(event);
    if (dragged) {
      const share = (pointer.x - dragged.start.x) / (width - GUTTER - PAD);
      dragged.moved ||= Math.abs(pointer.x - dragged.start.x) > 3;
      if (dragged.moved) place(dragged.from - share * (view.to - view.from), view.to - view.from);
    }
    hovered = dragged?.moved ? -1 : hit(pointer.x, pointer.y);
    canvas.style.cursor = dragged?.moved ? "grabbing" : hovered < 0 ? "default" : "pointer";
    showTip();
    later();
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = point(event);
    if (dragged && !dragged.moved) {
      const index = hit(at.x, at.y);
      if (index >= 0) onChosen(index);
    }
    dragged = null;
  });
  canvas.addEventListener("pointercancel", () => { dragged = null; });
  canvas.addEventListener("pointerleave", () => { pointer = null; hovered = -1; showTip(); later(); });
  canvas.addEventListener("dblclick", (event) => zoom(0.3, momentOf(point(event).x)));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const across = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (Math.abs(across) > Math.abs(event.deltaY) || event.shiftKey) pan(across / 900);
    else zoom(Math.exp(Math.min(Math.max(event.deltaY, -120), 120) / 300), momentOf(point(event).x));
  }, { passive: false });

  function showTip() {
    tip.hidden = hovered < 0;
    if (hovered < 0) return;
    const text = brief(model, hovered);
    tip.textContent = `${seconds(model.time[hovered])}  ${model.label(hovered)}  ${text.length > 140 ? `${text.slice(0, 140)}…` : text}`;
    const room = stage.clientWidth - tip.offsetWidth - 8;
    const fits = pointer.y + 18 + tip.offsetHeight < below + height;
    tip.style.left = `${Math.max(Math.min(pointer.x + 12, room), 4)}px`;
    tip.style.top = `${fits ? pointer.y + 18 : Math.max(pointer.y - tip.offsetHeight - 12, 2)}px`;
  }

  stage.addEventListener("scroll", later);
  window.addEventListener("resize", resize);
  new ResizeObserver(resize).observe(stage);
  Object.assign(view, whole());

  return {
    arrange, recolor, zoom, pan,
    whole: () => { Object.assign(view, whole()); later(); },
    select(index) {
      selected = index;
      if (index >= 0) {
        const moment = model.time[index], size = view.to - view.from;
        if (moment < view.from || moment > view.to) place(moment - size / 2, size);
        const top = tops[model.daemon[index]] ?? 0;
        const end = tops[model.daemon[index] + 1] ?? bottom;
        if (top - AXIS < stage.scrollTop) stage.scrollTop = top - AXIS;
        else if (end > stage.scrollTop + stage.clientHeight) stage.scrollTop = end - stage.clientHeight;
      }
      later();
    },
  };
}
