// The axis of time: which part of the recording is in sight, and where on the screen a moment is.

const PAD = 10;
const narrow = window.matchMedia("(max-width: 600px)");
let GUTTER = narrow.matches ? 84 : 150; // room for names

function makeScale(model) {
  const view = { from: 0, to: 1 };
  const scale = { view, width: 0, xOf, momentOf, axisMarks, reset, zoom, place, pan };

  function whole() {
    // What is before the first entry is of no interest.
    const length = Math.max(model.end - model.first, 1e-3);
    const margin = Math.max(length * 0.015, 1e-4);
    return { from: model.first - margin, to: model.first + length + margin };
  }

  function xOf(moment) {
    return GUTTER + ((moment - view.from) / (view.to - view.from)) * (scale.width - GUTTER - PAD);
  }

  function momentOf(x) {
    return view.from + ((x - GUTTER) / (scale.width - GUTTER - PAD)) * (view.to - view.from);
  }

  function axisMarks() {
    const target = (view.to - view.from) / Math.max((scale.width - GUTTER) / 110, 1);
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

  function reset() {
    Object.assign(view, whole());
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
  }

  function pan(share) { place(view.from + share * (view.to - view.from), view.to - view.from); }

  reset();
  return scale;
}
