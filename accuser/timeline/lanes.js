// The canvas: a lane for each daemon, on a common axis of time. It is as large as what is in sight of the
// lanes; `below` is how far they are scrolled.

const AXIS = 30;
const TALLEST = 0.62; // of the window

function makeLanes(model, onChosen) {
  const canvas = document.getElementById("lanes");
  const stage = document.getElementById("stage");
  const tip = document.getElementById("tip");
  const context = canvas.getContext("2d");
  const scale = makeScale(model);
  const brush = makeBrush(context, scale);
  const rows = [], spans = [];
  const lane = makeLane(model, scale, brush, context, { rows, spans });
  const { view } = scale;
  const { colors, font, line } = brush;
  let selected = -1, hovered = -1, pointer = null, pending = false;
  let height = 0, tops = [], bottom = 0, below = 0;

  function later() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(); });
  }

  function arrange() {
    rows.splice(0, rows.length, ...model.daemons.map(() => ({ event: [], block: [], line: [], mark: [] })));
    const waits = new Set();
    for (const index of model.shown) {
      const lane = rows[model.daemon[index]];
      const kind = model.kind[index];
      if (kind === EVENT || kind === MALFORMED) {
        (model.block.has(index) ? lane.block : lane.event).push(index);
      } else if (kind === LINE) lane.line.push(index);
      else if (model.begun.has(index)) waits.add(index);
      else lane.mark.push(index);
    }
    spans.splice(0, spans.length, ...model.spans.map((all) => all.filter((span) => waits.has(span.index))));
    later();
  }

  function resize() {
    GUTTER = narrow.matches ? 84 : 150;
    const width = scale.width = stage.clientWidth;
    tops = [];
    bottom = AXIS;
    model.daemons.forEach((_, daemon) => {
      tops.push(bottom);
      const stacked = model.spans[daemon].reduce((most, span) => Math.max(most, span.row + 1), 0);
      bottom += waitsTop(model, daemon) + stacked * LANE.waitRow + (stacked ? 8 : 2);
    });
    const ratio = window.devicePixelRatio || 1;
    height = Math.min(bottom, Math.max(window.innerHeight * (narrow.matches ? 0.36 : TALLEST), AXIS + 100));
    stage.style.height = `${height + 2}px`;
    document.getElementById("rest").style.height = `${bottom - height}px`;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw();
  }

  function draw() {
    const { width } = scale;
    if (!width) return;
    below = stage.scrollTop;
    context.fillStyle = colors.raised;
    context.fillRect(0, 0, width, height);
    context.textBaseline = "middle";
    const marks = scale.axisMarks();
    context.save();
    context.translate(0, -below);
    drawGrid(marks);
    tops.forEach((top, number) => {
      const end = tops[number + 1] ?? bottom;
      if (top < below + height && end > below) lane.draw(number, top, end);
    });
    drawFailure();
    drawPointer();
    context.restore();
    drawAxis(marks);
  }

  function drawGrid(marks) {
    context.strokeStyle = colors.line;
    context.globalAlpha = 0.6;
    for (const { x } of marks) line(x, AXIS - 6, x, bottom);
    context.globalAlpha = 1;
  }

  function drawAxis(marks) {
    context.fillStyle = colors.raised;
    context.fillRect(0, 0, scale.width, AXIS);
    font(11.5);
    context.textAlign = "center";
    context.fillStyle = colors.quiet;
    for (const { x, text } of marks) if (x < scale.width - 24) context.fillText(text, x, AXIS / 2);
    context.textAlign = "left";
    context.strokeStyle = colors.line;
    line(0, AXIS + 0.5, scale.width, AXIS + 0.5);
  }

  function drawFailure() {
    if (model.failure < 0) return;
    const x = Math.round(scale.xOf(model.time[model.failure])) + 0.5;
    if (x < GUTTER) return;
    context.strokeStyle = colors.bad;
    context.setLineDash([5, 3]);
    line(x, AXIS - 6, x, bottom);
    context.setLineDash([]);
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
      const box = lane.boxOf(index, tops[model.daemon[index]]);
      if (box.x + box.w < GUTTER - 10 || box.x > scale.width + 10) continue;
      context.strokeStyle = colors.accent;
      context.lineWidth = thick;
      context.beginPath();
      context.roundRect(box.x - 4, box.y - 4, box.w + 8, box.h + 8, 6);
      context.stroke();
      context.lineWidth = 1;
    }
  }

  function hit(x, y) {
    const number = tops.findLastIndex((top) => top <= y);
    if (number < 0 || x < GUTTER - 8 || y < AXIS + below) return -1;
    return lane.hit(number, x, y - tops[number]);
  }

  function zoom(factor, around) { scale.zoom(factor, around); later(); }

  function pan(share) { scale.pan(share); later(); }

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
      const share = (pointer.x - dragged.start.x) / (scale.width - GUTTER - PAD);
      dragged.moved ||= Math.abs(pointer.x - dragged.start.x) > 3;
      if (dragged.moved) scale.place(dragged.from - share * (view.to - view.from), view.to - view.from);
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
  canvas.addEventListener("dblclick", (event) => zoom(0.3, scale.momentOf(point(event).x)));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const across = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (Math.abs(across) > Math.abs(event.deltaY) || event.shiftKey) pan(across / 900);
    else zoom(Math.exp(Math.min(Math.max(event.deltaY, -120), 120) / 300), scale.momentOf(point(event).x));
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

  return {
    arrange, zoom, pan,
    recolor: () => { brush.recolor(); later(); },
    whole: () => { scale.reset(); later(); },
    select(index) {
      selected = index;
      if (index >= 0) {
        const moment = model.time[index], size = view.to - view.from;
        if (moment < view.from || moment > view.to) scale.place(moment - size / 2, size);
        const top = tops[model.daemon[index]] ?? 0;
        const end = tops[model.daemon[index] + 1] ?? bottom;
        if (top - AXIS < stage.scrollTop) stage.scrollTop = top - AXIS;
        else if (end > stage.scrollTop + stage.clientHeight) stage.scrollTop = end - stage.clientHeight;
      }
      later();
    },
  };
}
