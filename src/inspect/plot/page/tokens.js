// ---- Tokens ----

const groups = (data.self ? ["row"] : ["row", "column"]).map(makeGroup);

/** With one set of tokens, a token stands on the side that the direction says. */
function token(side, index) {
  return { side: data.self ? state.side : side, index };
}

function chosen() {
  return state.pinned === null ? hover : { side: state.side, index: state.pinned };
}

function point(at) {
  hover = at;
  refresh();
}

function pin({ side, index }) {
  state.pinned = state.side === side && state.pinned === index ? null : index;
  choose({ side });
}

function makeGroup(side) {
  const indices = [...axes[side].labels.keys()].filter((index) => !isPatch(side, index));
  const group = { side, indices, start: 0, chips: [], box: make("div", { className: "chips" }) };
  group.earlier = make("button", { type: "button", textContent: "← earlier" });
  group.later = make("button", { type: "button", textContent: "later →" });
  group.earlier.onclick = () => slide(group, -CHIP_WINDOW);
  group.later.onclick = () => slide(group, CHIP_WINDOW);
  group.where = make("span", { className: "quiet" });
  const mover = make("div", { className: "bar" }, group.earlier, group.later, group.where);
  mover.hidden = indices.length <= MOST_CHIPS;
  const title = side === "row" ? "Queries" : "Keys";
  if (!data.self && indices.length > 0) byId("tokens").append(make("h3", { textContent: title }));
  byId("tokens").append(mover, group.box);
  return group;
}

function makeChip(side, index) {
  const chip = make("button", { type: "button", className: "chip", textContent: axes[side].labels[index] });
  chip.onpointerenter = chip.onfocus = () => point(token(side, index));
  chip.onpointerleave = chip.onblur = () => point(null);
  chip.onclick = () => pin(token(side, index));
  return { chip, index };
}

/** Moves the window of chips, where there are too many tokens to show all, and fills it. */
function slide(group, step) {
  const { side, indices } = group;
  const length = indices.length > MOST_CHIPS ? CHIP_WINDOW : indices.length;
  const start = group.start = clamp(group.start + step, 0, indices.length - length);
  group.chips = indices.slice(start, start + length).map((index) => makeChip(side, index));
  group.box.replaceChildren(...group.chips.map(({ chip }) => chip));
  group.earlier.disabled = start === 0;
  group.later.disabled = start + length === indices.length;
  group.where.textContent = `${start} to ${start + length - 1} of ${indices.length}`;
  refresh();
}

/** Brings the chip of the pinned token into the window of chips, and into view there. */
function reveal(group) {
  const { box, indices, side, start } = group;
  const position = indices.indexOf(state.pinned);
  if (position < 0 || side !== state.side && !data.self) return;
  const find = () => group.chips.find(({ index }) => index === state.pinned);
  if (!find()) slide(group, position - CHIP_WINDOW / 2 - start);
  const { offsetTop, offsetHeight } = find().chip;
  const seen = offsetTop >= box.scrollTop && offsetTop + offsetHeight <= box.scrollTop + box.clientHeight;
  if (!seen) box.scrollTop = offsetTop - box.clientHeight / 2;
}

/** What the chosen token `at` gives another: a function to the weight, null where none can be, and `self`. */
function lookup(at, line) {
  return (side, index) => {
    const same = at !== null && (data.self || side === at.side);
    const across = at !== null && (data.self || side !== at.side);
    return { self: same && index === at.index, weight: across ? line[index] : null };
  };
}

function showChips(look, peak) {
  for (const { side, chips } of groups) {
    for (const { chip, index } of chips) {
      const { self, weight } = look(side, index);
      const share = weight > 0 ? weight / peak : 0;
      chip.hidden = isLeftOut({ side, index });
      chip.style.setProperty("--share", share);
      chip.classList.toggle("bright", share > 0.4);
      chip.classList.toggle("chosen", self);
      chip.title = weight === null ? `token ${index}` : `token ${index}: ${number(weight)}`;
    }
  }
}

function sentence(at, line) {
  if (at === null) return ["Point at a token to see where it looks; click to keep it, Escape to let go."];
  if (isLeftOut(at)) return [name(at.side, at.index), " is left out"];
  const isRow = at.side === "row";
  const top = [...line.keys()].filter((i) => line[i] > 0).sort((a, b) => line[b] - line[a]).slice(0, 5);
  if (top.length === 0) return [name(at.side, at.index), isRow ? " sees nothing" : " is seen by nothing"];
  const list = top.flatMap((i) => [", ", name(isRow ? "column" : "row", i), ` ${number(line[i])}`]);
  return [name(at.side, at.index), isRow ? " looks at " : " is looked at by ", ...list.slice(1)];
}

// ---- Picture ----

const photo = new Image();

/** The picture holds the tokens of both sides when they are the same, and the keys when they are not. */
function isPatch(side, index) {
  if (!picture || !data.self && side === "row") return false;
  return index >= picture.first && index < picture.first + picture.rows * picture.columns;
}

function buildPicture() {
  const canvas = byId("picture");
  canvas.onpointermove = (event) => point(patchAt(event));
  canvas.onpointerleave = canvas.onblur = () => point(null);
  canvas.onclick = (event) => pin(patchAt(event));
  canvas.onkeydown = movePatch;
  photo.onload = () => {
    Object.assign(canvas, { width: 768, height: Math.round(768 * photo.height / photo.width) });
    refresh();
  };
  photo.src = picture.image;
}

function patch(column, row) {
  const { first, columns, rows } = picture;
  return token("column", first + clamp(row, 0, rows - 1) * columns + clamp(column, 0, columns - 1));
}

function patchAt({ offsetX, offsetY, target }) {
  const { columns, rows } = picture;
  return patch(Math.floor(offsetX / target.clientWidth * columns), Math.floor(offsetY / target.clientHeight * rows));
}

function movePatch(event) {
  const step = ARROWS[event.key];
  const at = clamp((chosen()?.index ?? 0) - picture.first, 0, picture.rows * picture.columns - 1);
  if (event.key === "Enter") pin(token("column", picture.first + at));
  if (!step) return;
  event.preventDefault();
  state.pinned = null;
  point(patch(at % picture.columns + step[0], Math.floor(at / picture.columns) + step[1]));
}

function drawPicture(look) {
  const { width, height } = byId("picture");
  const context = byId("picture").getContext("2d");
  const { first, columns, rows } = picture;
  const patches = Array.from({ length: rows * columns }, (_, i) => look("column", first + i));
  const peak = largest(patches.map(({ weight }) => weight));
  context.drawImage(photo, 0, 0, width, height);
  if (peak > 0) drain(context);
  context.strokeStyle = "#fff4";
  const boxes = patches.map((_, i) => [i % columns * width / columns, Math.floor(i / columns) * height / rows,
    width / columns, height / rows]);
  patches.forEach(({ weight }, i) => {
    context.fillStyle = `rgb(255 154 31 / ${weight > 0 ? 0.85 * weight / peak : 0})`;
    context.fillRect(...boxes[i]);
    context.strokeRect(...boxes[i]);
  });
  const self = patches.findIndex((patch) => patch.self);
  if (self >= 0) outline(context, boxes[self], 6);
}

/** Takes the colour out of a picture, so that the shading cannot be mistaken for part of it. */
function drain(context) {
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "#808080";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.globalCompositeOperation = "source-over";
}

/** An outline that stands out on dark and bright alike. */
function outline(context, box, width) {
  for (const [colour, line] of [["#000", width], ["#fff", width / 2]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.strokeRect(...box);
  }
  context.lineWidth = 1;
}
