// A lane: what one daemon did, in rows. Drawing takes time that grows with the width, not with the number
// of entries.

// Where the rows are: the middles, but of `session` and `wait` the top.
const LANE = { session: 9, block: 41, event: 64, line: 82, wait: 94, waitRow: 14 };
// The test has neither blocks nor events nor output: its actions follow its marks.
const waitsTop = (model, number) => (model.own[number] ? 36 : LANE.wait);

const BURST = 5; // pixels: nearer events are one heap

// `rows` and `spans` are what is shown of each daemon: lists of indices in order, and waits.
function makeLane(model, scale, brush, context, { rows, spans }) {
  const { view, xOf, momentOf } = scale;
  const { colors, blockColor, font, line, cut, bar, mark, flag, drawSpan } = brush;

  function draw(number, top, end) {
    const daemon = model.daemons[number];
    context.save();
    context.beginPath();
    context.rect(GUTTER - 8, top, scale.width - GUTTER + 8, end - top);
    context.clip();
    drawSessions(number, top);
    drawBlocks(number, top);
    drawEvents(number, top);
    drawLines(number, top);
    drawWaits(number, top);
    drawMarks(number, top);
    context.restore();
    context.strokeStyle = colors.line;
    line(0, top + 0.5, scale.width, top + 0.5);
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
      const title = row === "line" ? "output" : row === "wait" && model.own[number] ? "actions" : `${row}s`;
      if (size) context.fillText(title, GUTTER - 16, top + (row === "wait" ? waitsTop(model, number) + 7 : LANE[row]));
    }
    context.textAlign = "left";
  }

  function drawSessions(number, top) {
    for (const session of model.sessions[number]) {
      const from = xOf(session.from), to = xOf(session.to ?? model.end);
      if (to < 0 || from > scale.width) continue;
      const ready = session.ready === null ? to : xOf(session.ready);
      context.fillStyle = colors.starting;
      bar(from, top + LANE.session, Math.max(to - from, 2), 18);
      context.fillStyle = colors.session;
      if (to > ready) bar(ready, top + LANE.session, Math.max(to - ready, 2), 18);
      const left = Math.max(session.ready === null ? from : ready + 6, GUTTER) + 8;
      context.fillStyle = colors.quiet;
      font(11);
      const text = `session ${session.number}`;
      if (Math.min(to, scale.width) - left > context.measureText(text).width + 26) context.fillText(text, left, top + LANE.session + 9.5);
    }
  }

  // Calls `one(index, x, room)` for entries that are apart, or `many(x, size, tone)` for a column of pixels.
  function sweep(indices, one, many) {
    const first = placeOf(model, indices, momentOf(GUTTER - 12));
    const last = placeOf(model, indices, momentOf(scale.width + 12));
    if (last - first <= (scale.width - GUTTER) / 3) {
      for (let place = first; place < last; place += 1) {
        const x = xOf(model.time[indices[place]]);
        const next = place + 1 < indices.length ? xOf(model.time[indices[place + 1]]) : Infinity;
        one(indices[place], x, next - x);
      }
      return;
    }
    let place = first;
    for (let x = GUTTER - 12; x < scale.width + 12 && place < last; x += 2) {
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
    drawBursts(number, top);
    // What matters is never lost in a crowd.
    for (const index of rare(number)) mark(xOf(model.time[index]), y, model.tones[model.name[index]]);
  }

  function rare(number) {
    const { event } = rows[number];
    const first = placeOf(model, event, view.from), last = placeOf(model, event, view.to);
    if (last - first <= (scale.width - GUTTER) / 3) return [];
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
      if (to < GUTTER - 12 || from > scale.width + 12) continue;
      // Of many within a pixel one is drawn.
      if (to - from < 1 && filled.get(span.row) === Math.round(to)) continue;
      filled.set(span.row, Math.round(to));
      const outcome = OUTCOMES[model.label(span.index)] ?? "bad";
      const dark = outcome === "good";
      const y = top + waitsTop(model, number) + span.row * LANE.waitRow, size = Math.max(to - from, 3);
      drawSpan(from, y, size, outcome);
      const room = Math.min(to, scale.width) - Math.max(from, GUTTER) - 10;
      if (room > 40) {
        context.fillStyle = dark ? colors.raised : colors.text;
        context.fillText(cut(model.said(span.index).what.replace(/\.v\d+$/, ""), room), Math.max(from, GUTTER) + 5, y + 6.5);
      }
    }
  }

  function drawMarks(number, top) {
    const y = top + LANE.session + 9;
    sweep(rows[number].mark, (index, x, room) => {
      const kind = model.kind[index], session = model.sessions[number].find((one) => one.number === model.session[index]);
      if (kind === FAILURE || kind === STEP) { drawDeed(index, x, y, room); return; }
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

  function drawDeed(index, x, y, room) {
    const bad = model.kind[index] === FAILURE;
    context.fillStyle = bad ? colors.bad : colors.accent;
    if (bad) {
      context.beginPath();
      context.moveTo(x, y - 9); context.lineTo(x + 8, y + 7); context.lineTo(x - 8, y + 7);
      context.closePath();
      context.fill();
    } else context.fillRect(x - 1.5, y - 8, 3, 16);
    font(10.5, "600");
    // Half a word at the edge says less than the color.
    const fits = bad ? x + 10 + context.measureText("failure").width < scale.width : room > 40;
    if (fits) context.fillText(cut(bad ? "failure" : model.said(index).what, Math.max(room - 16, 44)), x + 10, y);
  }

  // Says how many entries are where they cannot be told apart.
  function drawBursts(number, top) {
    const indices = rows[number].event;
    const last = placeOf(model, indices, momentOf(scale.width + 12));
    let place = placeOf(model, indices, momentOf(GUTTER - 12));
    context.fillStyle = colors.quiet;
    font(9.5, "600");
    context.textAlign = "center";
    while (place < last) {
      const from = xOf(model.time[indices[place]]);
      let to = from, end = place;
      while (end < last) {
        // A column of pixels at a time: a step takes no longer for very many.
        const next = placeOf(model, indices, momentOf(to + BURST));
        if (next <= end) break;
        end = next;
        to = xOf(model.time[indices[end - 1]]);
        if (end >= last || xOf(model.time[indices[end]]) - to > BURST) break;
      }
      end = Math.max(end, place + 1);
      if (end - place > 2) context.fillText(`×${(end - place).toLocaleString("en")}`, Math.max((from + to) / 2, GUTTER + 12), top + LANE.event - 11);
      place = end;
    }
    context.textAlign = "left";
  }

  // Where an entry is drawn in a lane at `top`, as a box.
  function boxOf(index, top) {
    const x = xOf(model.time[index]), kind = model.kind[index];
    if (model.begun.has(index)) {
      const span = model.spans[model.daemon[index]].find((one) => one.index === index);
      return { x: xOf(span.from), y: top + waitsTop(model, model.daemon[index]) + span.row * LANE.waitRow, w: Math.max(x - xOf(span.from), 3), h: 12 };
    }
    const y = top + (kind === EVENT || kind === MALFORMED ? (model.block.has(index) ? LANE.block : LANE.event) : kind === LINE ? LANE.line : LANE.session + 9);
    return { x: x - 8, y: y - 8, w: 16, h: 16 };
  }

  // What is drawn at a point of a lane: the nearest entry of its row, or -1.
  function hit(number, x, within) {
    const waits = waitsTop(model, number) - 1;
    if (within >= waits) {
      const row = Math.floor((within - waits) / LANE.waitRow);
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

  return { draw, boxOf, hit };
}
