// Linked views of the report. BokehJS draws; what is selected is kept here, for all views alike.
// Names of cells, labels and genes become text (textContent, glyphs), never markup.
"use strict";
(() => {
  const doc = JSON.parse(document.getElementById("data").textContent);
  const n = doc.cells.length;
  const byId = (id) => document.getElementById(id);
  const model = (name, values) => new (Bokeh.Models.get(name))(values);

  // ---- Data ----

  function bytes(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
    const binary = atob(text);
    const found = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) found[i] = binary.charCodeAt(i);
    return found.buffer;
  }
  const floats = (text) => new Float32Array(bytes(text));
  const codes = (text) => new Uint8Array(bytes(text)); // 255: none

  const numbers = doc.numbers.map((entry) => ({ ...entry, values: floats(entry.values) }));
  const categories = doc.categories.map((entry) => ({ ...entry, codes: codes(entry.codes) }));
  for (const gene of doc.genes) {
    const stored = new Uint16Array(bytes(gene.values)); // 65535: none
    const values = Float32Array.from(stored, (v) => (v === 65535 ? NaN : (v / 65534) * gene.high));
    numbers.push({ name: gene.name, gene: true, low: 0, high: gene.high || 1, values });
  }
  const score = numbers[0].values;
  const potency = categories[0];
  const everything = { name: "All cells", names: ["all cells"], codes: new Uint8Array(n) };
  const groupings = categories.length > 1 ? categories.slice(1) : [everything];

  // What is not to be seen, or turns the direction of writing, is shown as an escape.
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
  const shown = (name) =>
    name.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
  const cut = (name, most) => (name.length > most ? name.slice(0, most - 1) + "…" : name);
  const count = (k) => k.toLocaleString("en-US");
  const percent = (k, of) => (of ? `${((100 * k) / of).toFixed(1)} %` : "–");
  const figure = (v, digits = 3) => (Number.isNaN(v) ? "–" : v.toFixed(digits));

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") made.addEventListener("click", value);
      else if (name === "style") Object.assign(made.style, value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // ---- Selection ----

  let selected = new Uint8Array(n);
  let nSelected = 0;
  let coloured = numbers[0];
  let grouping = groupings[0];
  const views = []; // functions that show the selection

  function select(mask, { add = false } = {}) {
    if (add) for (let i = 0; i < n; i++) mask[i] |= selected[i];
    selected = mask;
    nSelected = 0;
    for (let i = 0; i < n; i++) nSelected += mask[i];
    for (const view of views) view();
  }
  function where(test) {
    const mask = new Uint8Array(n);
    for (let i = 0; i < n; i++) if (test(i)) mask[i] = 1;
    return mask;
  }
  const clear = () => select(new Uint8Array(n));
  const adds = (event) => ({ add: event.shiftKey || event.ctrlKey || event.metaKey });

  // ---- Map ----

  const PAPER = { background_fill_color: "#f7f7f8", border_fill_color: null };
  const TEXT = { text_font_size: "12px", text_font: "sans-serif", text_color: "#111" };
  const quietAxis = { axis_label_text_font_style: "normal", axis_label_text_font: "sans-serif",
    major_label_text_font: "sans-serif", minor_tick_line_color: null };
  const axesOf = (figure) => [figure.below[0], figure.left[0]];
  const plain = (text) => model("PlainText", { text });
  const figures = new Set();
  let map = null;

  function ramp(stops, size = 256) {
    const parts = stops.map((s) => [1, 3, 5].map((k) => parseInt(s.slice(k, k + 2), 16)));
    return Array.from({ length: size }, (_, i) => {
      const at = (i / (size - 1)) * (parts.length - 1);
      const k = Math.min(Math.floor(at), parts.length - 2);
      const mixed = parts[k].map((v, c) => Math.round(v + (parts[k + 1][c] - v) * (at - k)));
      return "#" + mixed.map((v) => v.toString(16).padStart(2, "0")).join("");
    });
  }

  const paletteOf = (what) => ramp(doc.palettes[what.gene ? "gene" : what.palette], 240);
  function coloursOf(what) {
    if (what.names)
      return { palette: what.colors, low: -0.5, high: what.names.length - 0.5 };
    return { palette: paletteOf(what), low: what.low, high: what.high };
  }
  function valuesOf(what) {
    if (!what.names) return what.values;
    return Float32Array.from(what.codes, (k) => (k === 255 ? NaN : k));
  }

  function drawMap() {
    const x = floats(doc.map.x);
    const y = floats(doc.map.y);
    const range = (values) => {
      let low = Infinity, high = -Infinity;
      for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
      const rim = (high - low || 1) * 0.04;
      return model("Range1d", { start: low - rim, end: high + rim });
    };
    const source = model("ColumnDataSource", { data: { x, y, v: valuesOf(coloured) } });
    const mapper = model("LinearColorMapper", { ...coloursOf(coloured), nan_color: doc.missing });
    const figure = Bokeh.Plotting.figure({
      height: 560, sizing_mode: "stretch_width", x_range: range(x), y_range: range(y),
      tools: "pan,wheel_zoom,box_zoom,box_select,lasso_select,tap,reset,save",
      active_drag: "lasso_select", active_scroll: "wheel_zoom", ...PAPER,
    });
    figure.toolbar.logo = null;
    figure.toolbar_location = "above";
    figures.add(figure);
    axesOf(figure).forEach((axis, k) =>
      axis.setv({ ...quietAxis, axis_label: plain(cut(shown(doc.map.axes[k]), 60)) }));
    for (const grid of figure.center) grid.visible = false;
    const many = n > 8000;
    const cells = figure.scatter({ field: "x" }, { field: "y" }, {
      // Squares are drawn faster than circles, and this small they look alike.
      source, marker: n > 50000 ? "square" : "circle", size: n > 50000 ? 2.2 : many ? 3.5 : n > 1500 ? 5.5 : 8,
      fill_color: { field: "v", transform: mapper },
      line_color: many ? null : "#404040", line_width: 0.4,
      nonselection_fill_color: "#c9c9cf", nonselection_line_color: null,
      nonselection_fill_alpha: n > 2000 ? 0.35 : 0.6,
    });
    const names = model("ColumnDataSource", { data: { x: [], y: [], text: [] } });
    const titles = figure.text({ field: "x" }, { field: "y" }, { field: "text" }, {
      source: names, ...TEXT, text_font_style: "bold", text_align: "center",
      text_baseline: "middle",
      background_fill_color: "#fff", background_fill_alpha: 0.8, border_line_color: null, padding: 2,
    });
    map = { x, y, source, mapper, figure, names, titles, cells };
    let busy = false;
    source.selected.properties.indices.change.connect(() => {
      if (busy) return;
      busy = true;
      const mask = new Uint8Array(n);
      for (const i of source.selected.indices) mask[i] = 1;
      select(mask);
      busy = false;
    });
    views.push(() => {
      if (busy) return;
      busy = true;
      const indices = [];
      for (let i = 0; i < n; i++) if (selected[i]) indices.push(i);
      source.selected.indices = indices;
      busy = false;
    });
    hover(figure, byId("map"));
    byId("zoom-in").addEventListener("click", () => zoom(0.7));
    byId("zoom-out").addEventListener("click", () => zoom(1 / 0.7));
    byId("zoom-all").addEventListener("click", () => {
      for (const r of [figure.x_range, figure.y_range]) r.reset();
    });
    return Bokeh.Plotting.show(figure, byId("map"));
  }

  function zoom(factor) {
    for (const r of [map.figure.x_range, map.figure.y_range]) {
      const middle = (r.start + r.end) / 2, half = ((r.end - r.start) / 2) * factor;
      r.setv({ start: middle - half, end: middle + half });
    }
  }

  // The nearest cell under the pointer, by a grid over the map.
  function hover(figure, place) {
    const SIDE = 200;
    const { x, y } = map;
    const { start: x0, end: x1 } = figure.x_range, { start: y0, end: y1 } = figure.y_range;
    const column = (v) => Math.min(SIDE - 1, Math.max(0, Math.floor(((v - x0) / (x1 - x0)) * SIDE)));
    const row = (v) => Math.min(SIDE - 1, Math.max(0, Math.floor(((v - y0) / (y1 - y0)) * SIDE)));
    const first = new Uint32Array(SIDE * SIDE + 1), order = new Uint32Array(n);
    const box = (i) => row(y[i]) * SIDE + column(x[i]);
    for (let i = 0; i < n; i++) if (!Number.isNaN(x[i])) first[box(i) + 1]++;
    for (let k = 0; k < SIDE * SIDE; k++) first[k + 1] += first[k];
    const next = first.slice();
    for (let i = 0; i < n; i++) if (!Number.isNaN(x[i])) order[next[box(i)]++] = i;
    const tip = byId("tip");
    let pointer = [0, 0];
    place.addEventListener("mousemove", (event) => { pointer = [event.clientX, event.clientY]; });
    place.addEventListener("mouseleave", () => { tip.hidden = true; });
    figure.on_event("mousemove", (event) => {
      const perX = (figure.x_range.end - figure.x_range.start) / (figure.inner_width || 500);
      const perY = (figure.y_range.end - figure.y_range.start) / (figure.inner_height || 500);
      let best = -1, nearest = 64; // pixels, squared
      for (let r = row(event.y - 8 * perY); r <= row(event.y + 8 * perY); r++)
        for (let c = column(event.x - 8 * perX); c <= column(event.x + 8 * perX); c++)
          for (let k = first[r * SIDE + c]; k < first[r * SIDE + c + 1]; k++) {
            const i = order[k];
            const d = ((x[i] - event.x) / perX) ** 2 + ((y[i] - event.y) / perY) ** 2;
            if (d < nearest) { nearest = d; best = i; }
          }
      tip.hidden = best < 0;
      if (best < 0) return;
      tip.replaceChildren(element("b", {}, element("bdi", {}, cut(shown(doc.cells[best]), 80))));
      for (const [name, value] of fieldsOf(best))
        tip.append(element("br"), `${cut(shown(name), 40)}: `, element("bdi", {}, cut(shown(value), 60)));
      const right = pointer[0] > window.innerWidth - 330;
      tip.style.left = `${pointer[0] + (right ? -310 : 14)}px`;
      tip.style.top = `${pointer[1] + 14}px`;
    });
  }

  function fieldsOf(i) {
    const found = numbers
      .filter((what) => !what.gene || what === coloured)
      .map((what) => [what.name, figure(what.values[i], what.gene ? 2 : 3)]);
    for (const what of categories)
      found.push([what.name, what.codes[i] === 255 ? "–" : what.names[what.codes[i]]]);
    return found;
  }

  function recolour() {
    if (map) {
      map.mapper.setv(coloursOf(coloured));
      map.source.data = { x: map.x, y: map.y, v: valuesOf(coloured) };
      nameGroups();
    }
    const legend = byId("legend");
    legend.replaceChildren(element("h3", {}, element("bdi", {}, cut(shown(coloured.name), 60))));
    if (!coloured.names) {
      const colors = paletteOf(coloured);
      const css = `linear-gradient(to right, ${colors.filter((_, i) => i % 8 === 0).join(", ")})`;
      legend.append(element("div", { class: "ramp", style: { background: css } }));
      legend.append(element("div", { class: "ends" }, coloured.low.toFixed(coloured.gene ? 0 : 2),
        element("span", {}, coloured.high.toFixed(2))));
      if (coloured.palette === "potency")
        legend.append(element("div", { class: "ends sixths" },
          ...potency.names.map((name) => element("span", {}, name))));
      if (coloured.gene) legend.append(element("p", {}, "log2(CPM + 1)"));
      return;
    }
    const sizes = tally(coloured, () => true);
    coloured.names.forEach((name, k) => {
      if (!sizes[k]) return;
      const swatch = element("span", { class: "swatch", style: { background: coloured.colors[k] } });
      legend.append(element("button", {
        type: "button", title: `Select these cells: ${shown(name)}`,
        onclick: (event) => select(where((i) => coloured.codes[i] === k), adds(event)),
      }, swatch, element("bdi", {}, cut(shown(name), 48)), element("span", { class: "n" }, count(sizes[k]))));
    });
  }

  function tally(what, test) {
    const sizes = new Array(what.names.length).fill(0);
    for (let i = 0; i < n; i++) if (what.codes[i] !== 255 && test(i)) sizes[what.codes[i]]++;
    return sizes;
  }

  function nameGroups() {
    const data = { x: [], y: [], text: [] };
    if (coloured.names && coloured.names.length <= 40 && byId("names").checked)
      coloured.names.forEach((name, k) => {
        const inside = [];
        for (let i = 0; i < n; i++)
          if (coloured.codes[i] === k && !Number.isNaN(map.x[i])) inside.push(i);
        if (!inside.length) return;
        const middle = (values) => quantile(Float32Array.from(inside, (i) => values[i]).sort(), 0.5);
        data.x.push(middle(map.x));
        data.y.push(middle(map.y));
        data.text.push(cut(shown(name), 24));
      });
    map.names.data = data;
  }

  // ---- Histogram ----

  const BINS = 60;
  function binned(test) {
    const found = new Array(BINS).fill(0);
    for (let i = 0; i < n; i++)
      if (!Number.isNaN(score[i]) && test(i))
        found[Math.min(BINS - 1, Math.max(0, Math.ceil(score[i] * BINS) - 1))]++;
    return found;
  }

  function scoreFigure(height, tools, more) {
    const figure = Bokeh.Plotting.figure({
      height, sizing_mode: "stretch_width", x_range: model("Range1d", { start: -0.01, end: 1.01 }), tools: "reset,save", ...PAPER, ...more,
    });
    figure.toolbar.logo = null;
    figures.add(figure);
    for (const axis of axesOf(figure)) axis.setv(quietAxis);
    const select = model("BoxSelectTool", { renderers: [], ...tools });
    figure.add_tools(select, model("BoxZoomTool", tools));
    figure.toolbar.active_drag = select;
    return figure;
  }

  function drawHistogram() {
    const left = Array.from({ length: BINS }, (_, k) => k / BINS);
    const right = left.map((v) => v + 1 / BINS);
    const all = binned(() => true);
    const figure = scoreFigure(190, { dimensions: "width" }, {
      y_range: model("Range1d", { start: 0, end: Math.max(1, ...all) * 1.05 }),
      x_axis_label: "CytoTRACE2_Score", y_axis_label: "cells",
    });
    const bar = (source, more) => figure.quad({
      left: { field: "left" }, right: { field: "right" }, top: { field: "top" }, bottom: 0, source, ...more,
    });
    const colors = left.map((_, k) => doc.potency_colors[Math.floor((6 * k) / BINS)]);
    bar(model("ColumnDataSource", { data: { left, right, top: all, colors } }),
      { fill_color: { field: "colors" }, line_color: "#666", line_width: 0.5 });
    const inside = model("ColumnDataSource", { data: { left, right, top: left.map(() => 0) } });
    bar(inside, { fill_color: "#111", line_color: null });
    figure.on_event("selectiongeometry", (event) => {
      const g = event.geometry;
      if (event.final && g.type === "rect")
        select(where((i) => score[i] >= g.x0 && score[i] <= g.x1));
    });
    views.push(() => {
      const top = nSelected ? binned((i) => selected[i]) : left.map(() => 0);
      inside.data = { left, right, top };
    });
    return Bokeh.Plotting.show(figure, byId("histogram"));
  }

  // ---- Boxes and violins ----

  function quantile(sorted, q) {
    const at = (sorted.length - 1) * q, k = Math.floor(at);
    const next = sorted[Math.min(k + 1, sorted.length - 1)];
    return sorted[k] + (next - sorted[k]) * (at - k);
  }
  function scoresBy(what, test) {
    const sizes = new Array(what.names.length).fill(0);
    const has = (i) => what.codes[i] !== 255 && !Number.isNaN(score[i]) && test(i);
    for (let i = 0; i < n; i++) if (has(i)) sizes[what.codes[i]]++;
    const found = sizes.map((size) => new Float32Array(size));
    const at = sizes.map(() => 0);
    for (let i = 0; i < n; i++) if (has(i)) { const k = what.codes[i]; found[k][at[k]++] = score[i]; }
    return found.map((values) => values.sort());
  }
  function outline(values, middle) {
    const POINTS = 121, spread = quantile(values, 0.75) - quantile(values, 0.25);
    const width = Math.max(0.008, 0.9 * (spread / 1.34 || 0.02) * values.length ** -0.2);
    const weight = new Float64Array(POINTS), density = new Float64Array(POINTS);
    for (const v of values) weight[Math.round(v * (POINTS - 1))]++;
    let most = 0;
    for (let k = 0; k < POINTS; k++) {
      for (let j = 0; j < POINTS; j++)
        if (weight[j]) density[k] += weight[j] * Math.exp(-0.5 * (((k - j) / (POINTS - 1)) / width) ** 2);
      most = Math.max(most, density[k]);
    }
    const xs = [], up = [], down = [];
    for (let k = 0; k < POINTS; k++) {
      const at = k / (POINTS - 1);
      if (at < values[0] - 0.01 || at > values[values.length - 1] + 0.01) continue;
      xs.push(at);
      up.push(middle + (0.42 * density[k]) / most);
      down.push(middle - (0.42 * density[k]) / most);
    }
    return [[...xs, ...xs.slice().reverse()], [...up, ...down.reverse()]];
  }

  let boxes = null, shownBoxes = null;
  function drawBoxes() {
    const all = scoresBy(grouping, () => true);
    const order = grouping.names.map((_, k) => k).filter((k) => all[k].length);
    order.sort((a, b) => quantile(all[a], 0.5) - quantile(all[b], 0.5) || b - a);
    const place = new Map(order.map((k, position) => [k, position]));
    const summary = (scores) => {
      const data = { y: [], low: [], q1: [], q2: [], q3: [], high: [], color: [] };
      for (const [k, position] of place) {
        const values = scores[k];
        if (!values.length) continue;
        const [q1, q2, q3] = [0.25, 0.5, 0.75].map((q) => quantile(values, q));
        const reach = 1.5 * (q3 - q1);
        data.y.push(position);
        data.low.push(values.find((v) => v >= q1 - reach));
        data.high.push(values.findLast ? values.findLast((v) => v <= q3 + reach) : values[values.length - 1]);
        data.q1.push(q1); data.q2.push(q2); data.q3.push(q3);
        data.color.push(doc.potency_colors[Math.min(5, Math.max(0, Math.ceil(q2 * 6) - 1))]);
      }
      const shifted = (by) => data.y.map((v) => v + by);
      return { ...data, bottom: shifted(-0.32), top: shifted(0.32), lower: shifted(-0.13), upper: shifted(0.13),
        // Of a few cells, too, there is something to see.
        left: data.q1.map((v) => v - 0.007), right: data.q3.map((v) => v + 0.007) };
    };
    const height = Math.min(1400, 90 + 26 * Math.max(2, order.length));
    const figure = scoreFigure(height, {}, {
      y_range: model("Range1d", { start: -0.6, end: order.length - 0.4 }),
      x_axis_label: "CytoTRACE2_Score",
    });
    const names = new Map(order.map((k) => [place.get(k), plain(cut(shown(grouping.names[k]), 28))]));
    axesOf(figure)[1].setv({
      ticker: model("FixedTicker", { ticks: order.map((k) => place.get(k)) }),
      major_label_overrides: names, major_tick_line_color: null,
    });
    for (const grid of figure.center) if (grid.axis === figure.left[0]) grid.visible = false;
    const source = model("ColumnDataSource", { data: summary(all) });
    const f = (field) => ({ field });
    if (byId("shape").value === "violins") {
      const drawn = order.map((k) => outline(all[k], place.get(k)));
      figure.patches(drawn.map((d) => d[0]), drawn.map((d) => d[1]), {
        fill_color: source.data.color, line_color: "#555", line_width: 0.7,
      });
      figure.segment(f("q1"), f("y"), f("q3"), f("y"), { source, line_color: "#333", line_width: 4 });
      figure.scatter(f("q2"), f("y"), { source, size: 7, fill_color: "#fff", line_color: "#333" });
    } else {
      figure.segment(f("low"), f("y"), f("high"), f("y"), { source, line_color: "#333" });
      figure.quad({ left: f("q1"), right: f("q3"), bottom: f("bottom"), top: f("top"), source,
        fill_color: f("color"), line_color: "#333" });
      figure.segment(f("q2"), f("bottom"), f("q2"), f("top"), { source, line_color: "#111", line_width: 3 });
    }
    const inside = model("ColumnDataSource", { data: summary(grouping.names.map(() => [])) });
    figure.quad({ left: f("left"), right: f("right"), bottom: f("lower"), top: f("upper"), source: inside,
      fill_color: "#111", line_color: "#fff", line_width: 0.5 });
    figure.segment(f("q2"), f("lower"), f("q2"), f("upper"), { source: inside, line_color: "#fff", line_width: 2 });
    const of = grouping;
    const inRow = (i, low, high) => place.has(of.codes[i]) &&
      place.get(of.codes[i]) >= low && place.get(of.codes[i]) <= high;
    figure.on_event("selectiongeometry", (event) => {
      const g = event.geometry;
      if (event.final && g.type === "rect")
        select(where((i) => score[i] >= g.x0 && score[i] <= g.x1 && inRow(i, g.y0 - 0.3, g.y1 + 0.3)));
    });
    figure.on_event("tap", (event) =>
      select(where((i) => !Number.isNaN(score[i]) && inRow(i, event.y - 0.5, event.y + 0.5))));
    boxes = () => {
      inside.data = summary(nSelected ? scoresBy(of, (i) => selected[i]) : of.names.map(() => []));
    };
    if (nSelected) boxes();
    // A place of its own: another drawing may be asked for before this one is there.
    const frame = element("div");
    byId("boxes").replaceChildren(frame);
    return Bokeh.Plotting.show(figure, frame).then((view) => {
      if (shownBoxes) {
        figures.delete(shownBoxes.model);
        shownBoxes.remove();
      }
      shownBoxes = view;
      if (!frame.isConnected) {
        figures.delete(figure);
        view.remove();
        shownBoxes = null;
      }
    });
  }
  views.push(() => boxes && boxes());

  // ---- Composition ----

  let segments = [];
  function drawComposition() {
    const rows = grouping.names.length;
    const cross = (test) => {
      const found = Array.from({ length: rows }, () => new Array(6).fill(0));
      for (let i = 0; i < n; i++)
        if (grouping.codes[i] !== 255 && potency.codes[i] !== 255 && test(i))
          found[grouping.codes[i]][potency.codes[i]]++;
      return found;
    };
    const all = cross(() => true);
    const body = byId("composition");
    body.replaceChildren();
    segments = [];
    const of = grouping;
    all.forEach((sizes, k) => {
      const total = sizes.reduce((a, b) => a + b, 0);
      if (!total) return;
      const bar = element("div", { class: "bar" });
      sizes.forEach((size, p) => {
        if (!size) return;
        const mark = element("span", { class: "mark" });
        const text = `${cut(shown(of.names[k]), 60)}, ${potency.names[p]}: ${count(size)} cells, ${percent(size, total)}`;
        const part = element("button", {
          type: "button", title: text, "aria-label": `Select ${text}`,
          style: { background: doc.potency_colors[p], width: `${(100 * size) / total}%` },
          onclick: (event) => select(where((i) => of.codes[i] === k && potency.codes[i] === p), adds(event)),
        }, mark);
        if (size / total > 0.09) {
          const short = potency.names[p].slice(0, size / total > 0.2 ? 99 : 4);
          part.append(element("span", { class: p === 0 || p === 5 ? "on-dark" : "" }, short));
        }
        segments.push([mark, k, p, size]);
        bar.append(part);
      });
      body.append(element("tr", {},
        element("th", { scope: "row" }, element("bdi", {}, cut(shown(of.names[k]), 48))),
        element("td", { class: "n" }, count(total)), element("td", { class: "wide" }, bar)));
    });
    showShares = () => {
      const inside = nSelected ? cross((i) => selected[i]) : null;
      for (const [mark, k, p, size] of segments)
        mark.style.width = inside ? `${(100 * inside[k][p]) / size}%` : "0";
    };
    showShares();
  }
  let showShares = () => {};
  views.push(() => showShares());

  // ---- The selected cells ----

  const LISTED = 100;
  const columns = () => [...numbers, ...categories];
  const cell = (what, i) =>
    what.names ? (what.codes[i] === 255 ? "" : what.names[what.codes[i]])
      : Number.isNaN(what.values[i]) ? "" : String(Number(what.values[i].toFixed(6)));

  function list() {
    byId("status").textContent = nSelected
      ? `${count(nSelected)} of ${count(n)} cells selected (${percent(nSelected, n)})`
      : `${count(n)} cells, none selected`;
    for (const id of ["clear", "copy", "download"]) byId(id).disabled = !nSelected;
    const table = byId("cells");
    table.replaceChildren();
    byId("listed").hidden = nSelected > 0;
    if (!nSelected) return;
    table.append(element("thead", {}, element("tr", {}, element("th", {}, "Cell"),
      ...columns().map((what) => element("th", {}, element("bdi", {}, cut(shown(what.name), 30)))))));
    const body = element("tbody");
    let listed = 0;
    for (let i = 0; i < n && listed < LISTED; i++)
      if (selected[i]) {
        listed++;
        body.append(element("tr", {}, element("td", {}, element("bdi", {}, cut(shown(doc.cells[i]), 60))),
          ...columns().map((what) => element("td", {}, element("bdi", {}, what.names
            ? cut(shown(cell(what, i)), 40) : figure(what.values[i]))))));
      }
    table.append(body);
    if (nSelected > LISTED)
      table.append(element("tfoot", {}, element("tr", {}, element("td", { colspan: columns().length + 1 },
        `and ${count(nSelected - LISTED)} more: Copy and Download have all of them`))));
  }
  views.push(list);

  // A spreadsheet would compute what begins like a formula.
  const field = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  function asCsv() {
    const lines = [["cell", ...columns().map((what) => what.name)].map(field).join(",")];
    for (let i = 0; i < n; i++)
      if (selected[i])
        lines.push([doc.cells[i], ...columns().map((what) => cell(what, i))].map(field).join(","));
    return lines.join("\r\n") + "\r\n";
  }
  function download() {
    const link = element("a", { download: "cells.csv" });
    link.href = URL.createObjectURL(new Blob([asCsv()], { type: "text/csv;charset=utf-8" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  async function copy() {
    const names = doc.cells.filter((_, i) => selected[i]).join("\n");
    let done = false;
    try {
      await navigator.clipboard.writeText(names);
      done = true;
    } catch {
      const area = element("textarea");
      area.value = names;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    byId("status").textContent = done
      ? `Names of ${count(nSelected)} cells copied` : "The browser does not allow copying: download them";
  }
  function find() {
    const words = byId("find").value.split(/[\s,;]+/).filter(Boolean);
    if (!words.length) return;
    const exact = new Set(words);
    let mask = where((i) => exact.has(doc.cells[i]));
    if (!mask.includes(1)) {
      const parts = words.map((word) => word.toLowerCase());
      mask = where((i) => parts.some((part) => doc.cells[i].toLowerCase().includes(part)));
    }
    select(mask);
    if (!nSelected) byId("status").textContent = "No cell has such a name";
  }

  // ---- Controls ----

  function fill(place, title, entries) {
    if (!entries.length) return;
    const part = element("optgroup", { label: title });
    for (const [value, name] of entries) part.append(element("option", { value }, cut(shown(name), 60)));
    place.append(part);
  }
  const pairs = (list, letter, test) =>
    list.map((what, k) => [`${letter}${k}`, what.name, what]).filter((entry) => test(entry[2]));
  const colour = byId("colour");
  fill(colour, "Scores", pairs(numbers, "n", (what) => !what.gene));
  fill(colour, "Groups", pairs(categories, "c", () => true));
  fill(colour, "Genes", pairs(numbers, "n", (what) => what.gene));
  colour.addEventListener("change", () => {
    coloured = (colour.value[0] === "n" ? numbers : categories)[Number(colour.value.slice(1))];
    recolour();
  });
  const group = byId("group");
  groupings.forEach((what, k) => group.append(element("option", { value: k }, cut(shown(what.name), 60))));
  group.addEventListener("change", () => {
    grouping = groupings[Number(group.value)];
    drawBoxes();
    drawComposition();
  });
  byId("shape").addEventListener("change", drawBoxes);
  byId("names").addEventListener("change", () => map && nameGroups());
  byId("clear").addEventListener("click", clear);
  byId("copy").addEventListener("click", copy);
  byId("download").addEventListener("click", download);
  byId("search").addEventListener("submit", (event) => { event.preventDefault(); find(); });
  byId("between").addEventListener("submit", (event) => {
    event.preventDefault();
    const low = Number(byId("low").value), high = Number(byId("high").value);
    select(where((i) => score[i] >= low && score[i] <= high));
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && nSelected) clear(); });
  const genes = byId("gene-group");
  if (genes) {
    const filter = () => {
      for (const row of document.querySelectorAll("#genes tbody tr"))
        row.hidden = genes.value !== "" && row.dataset.group !== genes.value;
    };
    genes.addEventListener("change", filter);
    filter();
  }

  for (const [event, visible] of [["beforeprint", false], ["afterprint", true]])
    window.addEventListener(event, () => { for (const figure of figures) figure.toolbar.visible = visible; });

  Bokeh.set_log_level("off");
  (async () => {
    if (doc.map) await drawMap();
    recolour();
    await drawHistogram();
    await drawBoxes();
    drawComposition();
    list();
    // For tests: what is selected, and that all is drawn.
    window.cytotrace2 = { select, where, asCsv, map, selected: () => selected };
    requestAnimationFrame(() => requestAnimationFrame(() => {
      document.documentElement.dataset.ready = Math.round(performance.now());
    }));
  })();
})();
