"use strict";

const MOST_CHIPS = 400;
const CHIP_WINDOW = 200;
const LARGEST_THUMB = 64;
const LARGEST_CELL = 64;
const LARGEST_MAP = 720;
const DECADES = 6;
const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { layers, picture } = data;
const palette = Uint32Array.from(data.colours, pixel);

// What the address keeps. `pinned` is the index of a token on `side`; `head` is an index or "mean"; `without` says that
// special tokens are left out.
const state = { layer: 0, head: 0, side: "row", scale: "head", without: false, pinned: null };
// The weight of a cell that is left out: below every other.
const LEFT_OUT = -1;
// What the pointer is on: a token, { side, index }, and a cell of the map, { row, column }.
let hover = null;
let hoverCell = null;
// The map that is shown, and the largest weight in it.
let weights = new Float32Array(0);
let most = 0;

// The two sides of the map. In the canvas, `room` is left for labels and then the map is `length` long; `from` is
// the place, in cells, that comes first in view.
const axes = { row: makeAxis(data.rows, data.special.row), column: makeAxis(data.columns, data.special.column) };
let zoom = 1;

function makeAxis(texts, special) {
  const labels = texts.map((text) => text.trim() === "" ? "␣" : text);
  const first = new Map(labels.map((label, index) => [label, index]).reverse());
  const repeated = new Set(labels.filter((label, index) => first.get(label) !== index));
  return { labels, repeated, special: new Set(special), count: labels.length, room: 0, length: 0, from: 0 };
}

function isLeftOut({ side, index }) {
  return state.without && axes[side].special.has(index);
}

// ---- Small things ----

/** "#rrggbb" as the number that ImageData keeps, in the byte order of every browser's machine. */
function pixel(colour) {
  const rgb = Number.parseInt(colour.slice(1), 16);
  return (0xff000000 | (rgb & 0xff) << 16 | rgb & 0xff00 | rgb >> 16) >>> 0;
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(value, high));
}

function largest(values) {
  return values.reduce((a, b) => Math.max(a, b), 0);
}

function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size < 0.001 ? value.toExponential(1) : size < 0.01 ? value.toPrecision(2) : value.toFixed(2);
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** The label of a token in quotes; one that repeats is told apart by its place. */
function name(side, index) {
  const { labels, repeated } = axes[side];
  const place = repeated.has(labels[index]) ? ` (token ${index})` : "";
  // <bdi> keeps a right-to-left label from reordering the words around it.
  return make("bdi", { textContent: `"${labels[index]}"${place}` });
}

// ---- Weights ----

function cellsOf(layer) {
  layer.cells ??= decode(layer.weights);
  return layer.cells;
}

function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return new Uint16Array(bytes.buffer);
}

function weightsOf(layer, head) {
  const cells = cellsOf(layer);
  const heads = head === "mean" ? [...layer.heads.keys()] : [head];
  const sum = new Float32Array(axes.row.count * axes.column.count);
  for (const at of heads) {
    const unit = layer.heads[at].most / 65535 / heads.length;
    const start = at * sum.length;
    for (let i = 0; i < sum.length; i++) sum[i] += cells[start + i] * unit;
  }
  if (state.without) leaveOut(sum);
  return sum;
}

/** Marks the rows and columns of special tokens; the other weights stay as they are. */
function leaveOut(values) {
  const { row, column } = axes;
  for (const at of row.special) values.fill(LEFT_OUT, at * column.count, (at + 1) * column.count);
  for (const at of column.special) {
    for (let i = at; i < values.length; i += column.count) values[i] = LEFT_OUT;
  }
}

/** The weights of one row of the map, or of one column. */
function lineOf({ side, index }) {
  const wide = axes.column.count;
  if (side === "row") return weights.subarray(index * wide, (index + 1) * wide);
  return Float32Array.from({ length: axes.row.count }, (_, row) => weights[row * wide + index]);
}

/** Paints a map on a canvas that may be smaller: every pixel has the largest weight of the cells that it covers, and is
 * left clear where all of them are left out. */
function paint(canvas, values, tall, wide, shade) {
  const pooled = new Float32Array(tall * wide).fill(LEFT_OUT);
  const { row: rows, column: columns } = axes;
  for (let row = 0, at = 0; row < rows.count; row++) {
    const start = Math.floor(row * tall / rows.count) * wide;
    for (let column = 0; column < columns.count; column++, at++) {
      const to = start + Math.floor(column * wide / columns.count);
      if (values[at] > pooled[to]) pooled[to] = values[at];
    }
  }
  const pixels = new Uint32Array(pooled.length);
  for (let i = 0; i < pixels.length; i++) {
    if (pooled[i] >= 0) pixels[i] = palette[Math.round(clamp(shade(pooled[i]), 0, 1) * 255)];
  }
  Object.assign(canvas, { width: wide, height: tall });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), wide, tall), 0, 0);
  return canvas;
}

/** Where a weight stands in the colour map, from 0 to 1. */
function shadeOf(weight) {
  if (state.scale === "unit" || weight === 0) return weight;
  return state.scale === "log" ? 1 + Math.log10(weight / most) / DECADES : weight / most;
}

// ---- All layers and heads ----

const thumbs = layers.map((layer, layerAt) => layer.heads.map((_, headAt) => makeThumb(layerAt, headAt)));
const unpainted = [];

function makeThumb(layer, head) {
  const { name, measures } = layers[layer].heads[head];
  const lines = Object.entries(measures).map(([key, value]) => `${key} ${number(value)}`);
  const title = [`${layers[layer].name}, ${name}`, ...lines].join("\n");
  const onclick = () => choose({ layer, head });
  const thumb = make("button", { type: "button", className: "thumb", title, onclick }, make("canvas"));
  thumb.paint = () => paintThumb(thumb, layer, head);
  return thumb;
}

function paintThumb(thumb, layer, head) {
  const values = weightsOf(layers[layer], head);
  const peak = largest(values) || 1;
  const [tall, wide] = [axes.row, axes.column].map(({ count }) => Math.min(count, LARGEST_THUMB));
  paint(thumb.firstChild, values, tall, wide, (weight) => weight / peak);
  thumb.painted = true;
}

function buildModel() {
  const short = (text) => make("span", { textContent: text.replace(/^(layer|head) /, "") });
  const { heads } = layers.reduce((a, b) => b.heads.length > a.heads.length ? b : a);
  const width = clamp(720 / layers.length, 24, LARGEST_THUMB);
  const grid = byId("thumbs");
  grid.style.gridTemplateColumns = `auto repeat(${heads.length}, minmax(20px, ${width}px))`;
  grid.append(make("span"), ...heads.map((head) => short(head.name)));
  layers.forEach((layer, at) => {
    const label = short(layer.name);
    label.style.gridColumn = 1;
    grid.append(label, ...thumbs[at]);
  });
  grid.onkeydown = moveChoice;
  const seen = new IntersectionObserver(queueThumbs, { rootMargin: "200px" });
  thumbs.flat().forEach((thumb) => seen.observe(thumb));
}

function queueThumbs(entries, observer) {
  const arrived = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
  arrived.forEach((thumb) => observer.unobserve(thumb));
  repaint(arrived);
}

function repaint(some) {
  if (unpainted.length === 0) requestAnimationFrame(paintSome);
  unpainted.push(...some);
}

/** Paints for a few milliseconds in each frame, so that a large model does not hold up the page. */
function paintSome() {
  const stop = performance.now() + 8;
  while (unpainted.length > 0 && performance.now() < stop) unpainted.shift().paint();
  if (unpainted.length > 0) requestAnimationFrame(paintSome);
}

function moveChoice(event) {
  const step = ARROWS[event.key];
  if (!step) return;
  event.preventDefault();
  const layer = clamp(state.layer + step[1], 0, layers.length - 1);
  const head = clamp(aHead() + step[0], 0, layers[layer].heads.length - 1);
  choose({ layer, head });
  thumbs[layer][head].focus();
}

function aHead() {
  return state.head === "mean" ? 0 : state.head;
}

function markThumbs() {
  thumbs.forEach((line, layer) => line.forEach((thumb, head) => {
    thumb.ariaPressed = layer === state.layer && (state.head === "mean" || head === state.head);
    thumb.tabIndex = layer === state.layer && head === aHead() ? 0 : -1;
  }));
}

// ---- Measures ----

function showMeasures() {
  const measures = layers[state.layer].heads[state.head]?.measures;
  const lines = Object.entries(measures ?? {}).map(([key, value]) => measureLine(key, value));
  byId("measures").tBodies[0].replaceChildren(...lines);
  byId("measures").hidden = byId("extremes").hidden = byId("meanings").hidden = lines.length === 0;
  byId("unmeasured").hidden = measures !== undefined;
  byId("about").hidden = measures !== undefined && lines.length === 0;
}

function measureLine(key, value) {
  const heads = layers.flatMap((layer, layerAt) => layer.heads.map((head, headAt) => (
    { layer: layerAt, head: headAt, value: head.measures[key] }
  )));
  const ordered = heads.filter((head) => Number.isFinite(head.value)).sort((a, b) => a.value - b.value);
  const cells = [[number(value)], ordered.slice(0, 1).map(headLink), ordered.slice(-1).map(headLink)];
  const heading = make("th", { scope: "row", textContent: key, title: data.meanings[key] ?? "" });
  return make("tr", {}, heading, ...cells.map((cell) => make("td", {}, ...cell)));
}

/** A sentence for each measure that a head of the page has. */
function buildMeanings() {
  const [some] = layers.flatMap(({ heads }) => heads).filter(({ measures }) => Object.keys(measures).length > 0);
  const meanings = Object.keys(some?.measures ?? {}).filter((key) => data.meanings[key]);
  byId("meanings").append(...meanings.flatMap((key) => (
    [make("dt", { textContent: key }), make("dd", { textContent: data.meanings[key] })]
  )));
}

function headLink({ layer, head, value }) {
  const title = `${layers[layer].name}, ${layers[layer].heads[head].name}`;
  return make("button", { type: "button", title, textContent: number(value), onclick: () => choose({ layer, head }) });
}
