// ---- Map ----

const map = byId("map");
const pen = map.getContext("2d");
// Clear of the map, for labels at its corner and end.
const EDGE = 8;
let painted = [];

function cellSize({ count, length }) {
  return length / count * zoom;
}

function placeMap() {
  const { row, column } = axes;
  const width = map.parentElement.clientWidth;
  row.room = labelRoom(column, width);
  column.room = labelRoom(row, width);
  const longest = Math.min(LARGEST_MAP, LARGEST_CELL * Math.max(row.count, column.count));
  const side = clamp(width - column.room - EDGE, 1, longest);
  // A very long or wide map keeps a tenth of the room across, whatever that does to its cells.
  row.length = Math.ceil(side * clamp(row.count / column.count, 0.1, 1));
  column.length = Math.ceil(side * clamp(column.count / row.count, 0.1, 1));
  const height = row.room + row.length + EDGE;
  Object.assign(map.style, { width: `${width}px`, height: `${height}px` });
  Object.assign(map, { width: width * devicePixelRatio, height: height * devicePixelRatio });
  moveMap(0, 0);
}

function labelRoom({ labels }, width) {
  pen.font = getComputedStyle(map).font;
  const widest = largest(labels.map((label) => pen.measureText(label.slice(0, 40)).width));
  return Math.ceil(clamp(widest + 10, 24, Math.min(120, width / 4)));
}

/** The map painted a pixel a cell; each level halves it. */
function paintedMap(level) {
  const [tall, wide] = [axes.row, axes.column].map(({ count }) => Math.ceil(count / 2 ** level));
  painted[level] ??= paint(make("canvas"), weights, tall, wide, shadeOf);
  return painted[level];
}

function drawMap() {
  const { row, column } = axes;
  const [tall, wide] = [row, column].map(cellSize);
  const level = Math.max(0, Math.ceil(-Math.log2(Math.min(tall, wide) * devicePixelRatio)));
  const cross = Object.entries(hoverCell ?? {}).map(([side, index]) => ({ side, index }));
  const marked = [chosen(), ...cross].filter((at) => at !== null);
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, map.width, map.height);
  pen.save();
  pen.beginPath();
  pen.rect(column.room, row.room, column.length, row.length);
  pen.clip();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(paintedMap(level), place(column, 0), place(row, 0), column.count * wide, row.count * tall);
  marked.forEach(drawBand);
  pen.restore();
  drawLabels("row", marked);
  drawLabels("column", marked);
}

/** Where in the canvas a cell begins, along one axis. */
function place(axis, index) {
  return axis.room + (index - axis.from) * cellSize(axis);
}

function drawBand({ side, index }) {
  // Just around the cells, so that even thin ones stay in sight; its ends lie outside the map and are clipped.
  const start = place(axes[side], index) - 1.5;
  const across = cellSize(axes[side]) + 3;
  outline(pen, side === "row" ? [0, start, map.width, across] : [start, 0, across, map.height], 3);
}

/** Labels every cell where there is room, and some where there is not; a marked one always. */
function drawLabels(side, marked) {
  const axis = axes[side];
  const cell = cellSize(axis);
  const step = cell >= 12 ? 1 : Math.ceil(40 / cell);
  const strong = marked.filter((at) => at.side === side).map((at) => at.index);
  const end = Math.min(axis.count, axis.from + axis.length / cell);
  for (let index = Math.ceil(axis.from / step) * step; index < end; index += step) {
    if (strong.every((other) => Math.abs(other - index) * cell >= 12)) drawLabel(side, index, "--ink");
  }
  strong.forEach((index) => drawLabel(side, index, "--mark"));
}

function drawLabel(side, index, colour) {
  const axis = axes[side];
  const middle = place(axis, index + 0.5);
  if (isLeftOut({ side, index })) return;
  if (middle < axis.room || middle > axis.room + axis.length) return;
  const isRow = side === "row";
  const room = axes[isRow ? "column" : "row"].room;
  const style = getComputedStyle(map);
  pen.save();
  pen.translate(isRow ? room - 6 : middle, isRow ? middle : room - 6);
  if (!isRow) pen.rotate(-Math.PI / 2);
  Object.assign(pen, { font: style.font, textBaseline: "middle", textAlign: isRow ? "right" : "left" });
  pen.fillStyle = style.getPropertyValue(colour);
  pen.fillText(shorten(axis.labels[index], room - 8), 0, 0);
  pen.restore();
}

function shorten(text, room) {
  if (pen.measureText(text).width <= room) return text;
  // By code point, so that an emoji is not cut in half.
  const letters = [...text].slice(0, 40);
  while (letters.length > 1 && pen.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}

function moveMap(columns, rows) {
  for (const [axis, by] of [[axes.column, columns], [axes.row, rows]]) {
    axis.from = clamp(axis.from + by, 0, axis.count * (1 - 1 / zoom));
  }
  // Unzoomed there is nothing to drag, so that a finger may scroll the page.
  map.style.touchAction = zoom > 1 ? "none" : "pan-y";
  refresh();
}

/** Zooms, leaving in place the point that is so far `across` and `down` the map. Says whether that did anything. */
function zoomMap(factor, [across, down] = [0.5, 0.5]) {
  const { row, column } = axes;
  const before = zoom;
  const closest = LARGEST_CELL * zoom / Math.min(cellSize(row), cellSize(column));
  zoom = clamp(zoom * factor, 1, Math.max(1, closest));
  const gained = 1 / before - 1 / zoom;
  moveMap(across * column.count * gained, down * row.count * gained);
  return zoom !== before;
}

/** How far across and down the map the pointer is, each from 0 to 1 when it is on the map. */
function shares({ offsetX, offsetY }) {
  const { row, column } = axes;
  return [(offsetX - column.room) / column.length, (offsetY - row.room) / row.length];
}

function cellAt(event) {
  const [across, down] = shares(event);
  if (Math.min(across, down) < 0 || Math.max(across, down) >= 1) return null;
  const index = ({ from, count }, share) => Math.min(Math.floor(from + share * count / zoom), count - 1);
  return { row: index(axes.row, down), column: index(axes.column, across) };
}

function pointCell(cell) {
  hoverCell = cell;
  point(cell && { side: state.side, index: cell[state.side] });
}

function cellSentence() {
  if (hoverCell === null) return ["Point at a cell to read its weight."];
  const { row, column } = hoverCell;
  const weight = weights[row * axes.column.count + column];
  const what = weight === LEFT_OUT ? "left out" : `weight ${number(weight)}`;
  return [name("row", row), " → ", name("column", column), `: ${what}`];
}

function buildMap() {
  let dragged = false;
  map.onpointerdown = (event) => {
    dragged = false;
    map.setPointerCapture(event.pointerId);
  };
  map.onpointermove = (event) => {
    if (event.buttons === 0) return pointCell(cellAt(event));
    dragged ||= event.movementX !== 0 || event.movementY !== 0;
    moveMap(-event.movementX / cellSize(axes.column), -event.movementY / cellSize(axes.row));
  };
  map.onpointerleave = () => pointCell(null);
  map.onclick = (event) => {
    if (dragged) return;
    // A finger has not pointed before it clicks.
    pointCell(cellAt(event));
    if (hover) pin(hover);
  };
  map.ondblclick = () => zoomMap(0);
  map.addEventListener("wheel", (event) => {
    const middle = shares(event).map((share) => clamp(share, 0, 1));
    // A wheel that cannot zoom out further scrolls the page.
    if (zoomMap(Math.exp(-event.deltaY / 400), middle)) event.preventDefault();
  }, { passive: false });
  byId("in").onclick = () => zoomMap(1.5);
  byId("out").onclick = () => zoomMap(1 / 1.5);
  byId("reset").onclick = () => zoomMap(0);
  byId("ramp").style.background = `linear-gradient(to right, ${data.colours.filter((_, i) => i % 15 === 0).join()})`;
  new ResizeObserver(placeMap).observe(map.parentElement);
  placeMap();
}
