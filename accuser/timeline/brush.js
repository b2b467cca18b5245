// What is drawn again and again: texts, lines, bars and signs, in the colors of the page.

function makeBrush(context, scale) {
  const colors = {};
  let hatch = null;

  function recolor() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ground", "raised", "sunk", "line", "text", "quiet", "accent", "event", "notable", "alarming",
      "good", "late", "gone", "bad", "session", "starting", "block-light", "block-text"]) {
      colors[name] = style.getPropertyValue(`--${name}`).trim();
    }
    hatch = striped(colors.late);
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

  function font(size, weight = "") { context.font = `${weight} ${size}px system-ui, "Noto Sans", sans-serif`; }

  function line(x1, y1, x2, y2) {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  function cut(text, room) {
    if (context.measureText(text).width <= room) return text;
    while (text.length > 1 && context.measureText(`${text}…`).width > room) text = text.slice(0, -1);
    return `${text}…`;
  }

  function bar(x, y, w, h) {
    const left = Math.max(x, -20), right = Math.min(x + w, scale.width + 20);
    context.beginPath();
    context.roundRect(left, y, Math.max(right - left, 1), h, 4);
    context.fill();
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

  function drawSpan(x, y, size, outcome) {
    const color = colors[outcome];
    context.fillStyle = color;
    context.strokeStyle = color;
    if (outcome === "good" || outcome === "session") { bar(x, y, size, 12); return; }
    if (outcome === "late") context.fillStyle = hatch;
    context.globalAlpha = outcome === "late" ? 0.32 : 0.22;
    bar(x, y, size, 12);
    context.globalAlpha = 1;
    context.setLineDash(outcome === "gone" ? [4, 3] : []);
    const left = Math.max(x, -20);
    context.beginPath();
    context.roundRect(left + 0.5, y + 0.5, Math.max(Math.min(x + size, scale.width + 20) - left - 1, 1), 11, 3);
    context.stroke();
    context.setLineDash([]);
  }

  return { colors, recolor, blockColor, font, line, cut, bar, mark, flag, drawSpan };
}
