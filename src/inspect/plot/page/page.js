// ---- The whole page ----

/** Makes `changes` to the state and shows it. */
function choose(changes) {
  Object.assign(state, changes);
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
  const layer = index("layer", layers.length, 0);
  const heads = layers[layer].heads.length;
  const head = saved.get("head") === "mean" && heads > 1 ? "mean" : index("head", heads, 0);
  const side = saved.get("side") === "column" ? "column" : "row";
  const scale = ["unit", "log"].find((value) => value === saved.get("scale")) ?? "head";
  choose({ layer, head, side, scale, pinned: index("token", axes[side].count, null) });
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
