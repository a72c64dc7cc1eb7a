// ---- The whole page ----

/** Makes `changes` to the state and shows it. */
function choose(changes) {
  const { without } = state;
  Object.assign(state, changes);
  if (state.pinned !== null && isLeftOut({ side: state.side, index: state.pinned })) state.pinned = null;
  if (state.without !== without) repaint(thumbs.flat().filter(({ painted }) => painted));
  const layer = layers[state.layer];
  if (state.head !== "mean") state.head = Math.min(state.head, layer.heads.length - 1);
  weights = weightsOf(layer, state.head);
  most = largest(weights);
  painted = [];
  showControls(layer);
  markThumbs();
  showMeasures();
  groups.forEach(reveal);
  save();
  refresh();
}

function showControls({ heads }) {
  const options = (list) => list.map(({ name }, value) => make("option", { value, textContent: name }));
  byId("layer").replaceChildren(...options(layers));
  byId("head").replaceChildren(...options(heads));
  if (heads.length > 1) byId("head").append(make("option", { value: "mean", textContent: "mean of heads" }));
  for (const key of ["layer", "head", "scale"]) byId(key).value = state[key];
  byId("without").checked = state.without;
  document.querySelector(`[name=side][value=${state.side}]`).checked = true;
  byId("low").textContent = state.scale === "log" ? `≤ ${number(most / 10 ** DECADES)}` : "0";
  byId("high").textContent = state.scale === "unit" ? "1" : number(most);
}

let waiting = false;

/** Draws what follows the pointer, once a frame at most. */
function refresh() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

function draw() {
  waiting = false;
  const at = chosen();
  const line = at === null ? [] : lineOf(at);
  const look = lookup(at, line);
  byId("said").replaceChildren(...sentence(at, line));
  byId("cell").replaceChildren(...cellSentence());
  showChips(look, largest(line));
  if (picture) drawPicture(look);
  drawMap();
}

function save() {
  const { pinned, ...rest } = state;
  const saved = new URLSearchParams(pinned === null ? rest : { ...rest, token: pinned });
  try {
    history.replaceState(null, "", `#${saved}`);
  } catch {
    // A page inside another may not be allowed an address; all else works.
  }
}

function restore() {
  const saved = new URLSearchParams(location.hash.slice(1));
  const index = (key, end, otherwise) => {
    const value = Number.parseInt(saved.get(key), 10);
    return value >= 0 && value < end ? value : otherwise;
  };
  const { opening } = data;
  const layer = index("layer", layers.length, opening.layer);
  const heads = layers[layer].heads.length;
  const head = saved.get("head") === "mean" && heads > 1 ? "mean"
    : index("head", heads, layer === opening.layer ? opening.head : 0);
  const side = saved.get("side") === "column" ? "column" : "row";
  const scale = ["head", "unit", "log"].find((value) => value === saved.get("scale")) ?? opening.scale;
  const without = hasSpecial && (saved.has("without") ? saved.get("without") === "true" : opening.without);
  choose({ layer, head, side, scale, without, pinned: index("token", axes[side].count, null) });
}

const hasSpecial = axes.row.special.size + axes.column.special.size > 0;

/** Names the tokens that the reader may leave out. */
function buildWithout() {
  const names = new Set([axes.row, axes.column].flatMap(({ special, labels }) => [...special].map((at) => labels[at])));
  const some = [...names].slice(0, 4).join(", ");
  byId("without-names").textContent = `leave out ${some}${names.size > 4 ? ` and ${names.size - 4} more` : ""}`;
  byId("without").parentElement.hidden = !hasSpecial;
  byId("without").onchange = ({ target }) => choose({ without: target.checked });
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") choose({ pinned: null });
  if (event.key === "+" || event.key === "=") zoomMap(1.5);
  if (event.key === "-") zoomMap(1 / 1.5);
}

function start() {
  const many = layers.length > 1 || layers[0].heads.length > 1;
  byId("title").textContent = data.title;
  byId("notes").append(...data.notes.map((note) => make("p", { textContent: note })));
  byId("model").hidden = !many;
  document.querySelector("main").classList.toggle("single", !many);
  byId("sides").hidden = !data.self;
  byId("figure").hidden = !picture;
  if (many) buildModel();
  if (picture) buildPicture();
  buildMeanings();
  buildWithout();
  groups.forEach((group) => slide(group, 0));
  buildMap();
  byId("layer").onchange = ({ target }) => choose({ layer: Number(target.value) });
  byId("head").onchange = ({ target }) => choose({ head: target.value === "mean" ? "mean" : Number(target.value) });
  byId("scale").onchange = ({ target }) => choose({ scale: target.value });
  byId("sides").onchange = ({ target }) => choose({ side: target.value });
  addEventListener("keydown", pressed);
  addEventListener("hashchange", restore);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  restore();
}

start();
