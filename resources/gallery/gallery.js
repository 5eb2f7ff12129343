"use strict";
/* The gallery's code. Data come from #data (see cia.reporting.gallery), thumbnails from #pictures-N.

   An image is a number: its place in the set, whose images are sorted by id. So "equal scores rank by
   id", as cia.filtering has it, is a comparison of numbers here. */

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const BINS = 56;
const OVERSCAN = 1; // rows drawn above and below what is seen
const LOWER = 33; // pixels of a tile that are not its pictures: padding and caption

const state = {
  set: null, // prepared set
  score: 0, // index of the selection's score
  method: "top_p",
  order: "auto",
  perClass: false,
  value: 0.5,
  kept: new Uint8Array(0),
  keptCount: 0,
  verdict: "all",
  hand: "all", // which images by what a person said of them
  marked: new Set(), // images that k and d are for
  anchor: -1, // place from which a range is marked
  sort: "id",
  reversed: false,
  text: "",
  class: "",
  ranges: new Map(), // score index -> [low, high]
  view: new Uint32Array(0), // images shown, in order
  current: -1, // place in the view
  size: 128,
  shown: { real: false, condition: false },
};

/* Elements and numbers */

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** A number for people: four digits that count. */
function format(value) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2);
  return value.toFixed(Math.max(0, 3 - Math.max(0, Math.floor(Math.log10(size)))));
}

/** A number as YAML 1.1 reads it: an exponent needs a point before it. */
const yamlNumber = (value) => String(value).replace(/^(-?\d+)e/, "$1.0e");
const yamlWord = /^(y|n|yes|no|on|off|true|false|null)$/i; // what YAML 1.1 takes for no text
const yamlText = (text) =>
  /^[A-Za-z_][\w.-]*$/.test(text) && !yamlWord.test(text) ? text : JSON.stringify(text);

function decodeDoubles(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Float64Array(bytes.buffer);
}

/* Sets */

const prepared = new Map();

function prepare(number) {
  if (!prepared.has(number)) {
    const set = { ...data.sets[number], number, ranked: new Map() };
    set.count = set.id.length;
    set.scores = set.scores.map((score) => ({ ...score, values: decodeDoubles(score.values) }));
    const several = new Set(set.scores.map((score) => score.features)).size > 1;
    for (const score of set.scores) {
      score.title = several ? `${score.features}: ${score.name}` : score.name;
      const known = score.values.filter((value) => !Number.isNaN(value));
      score.missing = set.count - known.length;
      const finite = known.filter(Number.isFinite);
      score.low = finite.reduce((a, b) => Math.min(a, b), Infinity);
      score.high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
      if (!finite.length) [score.low, score.high] = [0, 1];
    }
    set.boxes = set.label.values.map((label) => parseLabel(set, label));
    set.places = new Map(set.id.map((id, i) => [`${set.sha256[i]} ${id}`, i]));
    set.hand = new Uint8Array(set.count);
    readVerdicts(set);
    set.realBoxes = set.reals.label.map((label) => parseLabel(set, label));
    prepared.set(number, set);
  }
  return prepared.get(number);
}

const NO_OBJECT = [""];

/**
 * The classes that a label names, those whose quotas it counts for (to show no object is one of its
 * own, to have no label is none), and its objects: left, top, width, height, class name and color,
 * and the ring of a mask or the keypoints.
 */
function parseLabel(set, label) {
  const lines = (label ?? "").split("\n").filter((line) => line.trim());
  const classes = new Set(lines.map((line) => line.split(/\s+/)[0]));
  const quotas = classes.size || label === null ? [...classes] : NO_OBJECT;
  if (set.task === "classification") return { classes, quotas, boxes: [] };
  return { classes, quotas, boxes: lines.map((line) => parseObject(set, line)) };
}

function parseObject(set, line) {
  const [index, ...numbers] = line.split(/\s+/).map(Number);
  const named = { name: set.classes[index] ?? index, color: data.colors[index % data.colors.length] };
  if (set.task === "segmentation") {
    const ring = inGroups(numbers, 2);
    const [xs, ys] = [0, 1].map((axis) => ring.map((point) => point[axis]));
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    return { ...named, left, top, width: Math.max(...xs) - left, height: Math.max(...ys) - top, ring };
  }
  const [cx, cy, width, height, ...rest] = numbers;
  const box = { ...named, left: cx - width / 2, top: cy - height / 2, width, height };
  if (set.task !== "pose") return box;
  const keypoints = inGroups(rest, set.kpt_shape[1]);
  return { ...box, keypoints, skeleton: set.skeleton ?? [] };
}

const inGroups = (numbers, size) =>
  Array.from({ length: numbers.length / size }, (_, i) => numbers.slice(i * size, (i + 1) * size));

const labelOf = (set, image) => set.boxes[set.label.index[image]];
const textOf = (shared, image) => shared.values[shared.index[image]];

/** Images that have a score, best first; equal scores rank by id. */
function ranked(set, score, ascending) {
  const key = `${score}${ascending}`;
  if (!set.ranked.has(key)) {
    const values = set.scores[score].values;
    const order = [];
    for (let i = 0; i < set.count; i++) if (!Number.isNaN(values[i])) order.push(i);
    const sign = ascending ? 1 : -1;
    order.sort((a, b) => (values[a] === values[b] ? a - b : values[a] < values[b] ? -sign : sign));
    set.ranked.set(key, Uint32Array.from(order));
  }
  return set.ranked.get(key);
}

/* Selections: the same as cia.filtering.select, image by image */

function isAscending(order, score) {
  return order === "auto" ? score.ascending : order === "ascending";
}

function quota(method, value, available) {
  return method === "top_p" ? countOfShare(value, available) : Math.min(Math.trunc(value), available);
}

/** How many of `total` a share is, rounded down: 0.29 of 100 is 29. See cia.shares. */
function countOfShare(share, total) {
  if (!total) return 0;
  let count = Math.trunc(share * total) + 1;
  while (count / total > share) count -= 1;
  return count;
}

function select(set, { method, score, order, value, perClass }) {
  const kept = new Uint8Array(set.count);
  const ascending = isAscending(order, set.scores[score]);
  if (method === "threshold") {
    const values = set.scores[score].values;
    for (let i = 0; i < set.count; i++) kept[i] = ascending ? values[i] <= value : values[i] >= value;
    return kept;
  }
  const best = ranked(set, score, ascending);
  if (perClass) return selectPerClass(set, best, method, value, kept);
  const count = quota(method, value, best.length);
  for (let i = 0; i < count; i++) kept[best[i]] = 1;
  return kept;
}

/** Fill each class's quota, best first; an image counts for every class that it shows. */
function selectPerClass(set, best, method, value, kept) {
  const totals = new Map();
  for (const image of best) {
    for (const name of labelOf(set, image).quotas) totals.set(name, (totals.get(name) ?? 0) + 1);
  }
  if (method === "top_k") value = Math.ceil(value / Math.max(1, totals.size));
  const left = new Map([...totals].map(([name, total]) => [name, quota(method, value, total)]));
  for (const image of best) {
    const names = labelOf(set, image).quotas;
    if (names.some((name) => left.get(name) > 0)) {
      kept[image] = 1;
      for (const name of names) left.set(name, left.get(name) - 1);
    }
  }
  return kept;
}

/** The slider's least and greatest value, and its step. */
function bounds() {
  const { set, method } = state;
  const score = set.scores[state.score];
  const available = set.count - score.missing;
  if (method === "top_k") return { low: 1, high: Math.max(1, available), step: 1 };
  if (method === "top_p") return { low: 0.001, high: 1, step: 0.001 };
  const span = score.high - score.low || Math.abs(score.high) || 1;
  const step = 10 ** (Math.floor(Math.log10(span)) - 3);
  const [low, high] = [Math.floor(score.low / step), Math.ceil(score.high / step)];
  return { low: toStep(low * step, step), high: toStep(high * step, step), step };
}

/** Round to a step that is a power of ten, to the very number that its decimals write. */
function toStep(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Number((Math.round(value / step) * step).toFixed(Math.min(100, digits)));
}

function clampToBounds(value) {
  const { low, high, step } = bounds();
  return Math.min(high, Math.max(low, toStep(value, step)));
}

/** A value of `method` that keeps about `count` images. */
function valueThatKeeps(count, method) {
  const { set } = state;
  const ascending = isAscending(state.order, set.scores[state.score]);
  const best = ranked(set, state.score, ascending);
  count = Math.min(Math.max(1, count), best.length);
  if (method === "top_k") return count;
  if (method === "top_p") return count / Math.max(1, best.length);
  if (!best.length) return 0;
  // Rounded to the slider's step on the side that keeps the last image.
  const { step } = bounds();
  const steps = set.scores[state.score].values[best[count - 1]] / step;
  return toStep((ascending ? Math.ceil(steps) : Math.floor(steps)) * step, step);
}

/* Thumbnails */

const chunks = new Map();

/** The data URI of a picture's thumbnail; null while the page is still loading it. */
function thumbnail(picture) {
  const number = Math.floor(picture / data.chunk);
  if (!chunks.has(number)) {
    const element = $(`pictures-${number}`);
    // The element stands before its text is whole; something after it means that it is.
    if (!element?.nextElementSibling) return null;
    chunks.set(number, element.textContent.split("\n"));
  }
  return `data:image/webp;base64,${chunks.get(number)[picture % data.chunk]}`;
}

/** Where the original lies, as seen from this page. */
function original(picture) {
  const path = `${data.root}/${data.pictures.path[picture]}`;
  return path.split("/").map(encodeURIComponent).join("/");
}

function sizeWithin(picture, width, height) {
  const [w, h] = [data.pictures.width[picture], data.pictures.height[picture]];
  const scale = Math.min(width / w, height / h);
  return [Math.max(1, Math.round(w * scale)), Math.max(1, Math.round(h * scale))];
}

function makePicture() {
  const box = make("div", { class: "picture" }, make("img", { alt: "", draggable: "false" }));
  const svg = makeSvg("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none" });
  svg.append(makeSvg("g", { class: "masks" }), makeSvg("path", { class: "halo" }));
  svg.append(makeSvg("path", { class: "line" }), makeSvg("g", { class: "keypoints" }));
  box.append(svg);
  return box;
}

/** Show a picture in an element of `makePicture`, within so many pixels, with objects over it. */
function setPicture(element, picture, boxes, width, height) {
  const [w, h] = sizeWithin(picture, width, height);
  element.style.width = `${w}px`;
  element.style.height = `${h}px`;
  const source = Math.max(data.pictures.width[picture], data.pictures.height[picture]);
  element.classList.toggle("small", source <= data.edge && w > data.pictures.width[picture]);
  const uri = thumbnail(picture);
  if (uri) element.firstChild.src = uri;
  else waiting = true;
  const [masks, halo, line, keypoints] = element.querySelector("svg").children;
  const boxed = boxes.filter((b) => !b.ring);
  const outline = boxed.map((b) => `M${b.left} ${b.top}h${b.width}v${b.height}h${-b.width}z`).join("");
  for (const path of [halo, line]) path.setAttribute("d", outline);
  masks.replaceChildren(...boxes.filter((b) => b.ring).flatMap(maskPaths));
  keypoints.replaceChildren(...boxes.filter((b) => b.keypoints).flatMap(posePaths));
}

/** A mask's filling and its outline, which leaves out bridges: they are walked there and back. */
function maskPaths({ ring, color }) {
  const ends = ring.map((point, i) => [point, ring[(i + 1) % ring.length]]);
  const sides = new Set(ends.map(([from, to]) => `${from} ${to}`));
  const outline = ends.filter(([from, to]) => !sides.has(`${to} ${from}`));
  const filling = makeSvg("path", { class: "filling", d: `M${ring.map((p) => p.join(" ")).join("L")}z` });
  const border = makeSvg("path", {
    class: "border",
    d: outline.map(([from, to]) => `M${from.join(" ")}L${to.join(" ")}`).join(""),
  });
  filling.style.fill = color;
  border.style.stroke = color;
  return [filling, border];
}

/** The skeleton's lines and the keypoints, whose dots are the round ends of lines of no length. */
function posePaths({ keypoints, skeleton, color }) {
  const seen = ([x, y, visibility]) => visibility ?? (x || y ? 2 : 0);
  const bones = skeleton.filter((pair) => pair.every((i) => seen(keypoints[i])));
  const bone = ([from, to]) => `M${keypoints[from].slice(0, 2).join(" ")}L${keypoints[to].slice(0, 2).join(" ")}`;
  const dots = (visibility) =>
    keypoints.filter((p) => seen(p) === visibility).map(([x, y]) => `M${x} ${y}h0`).join("");
  const layers = [
    ["bone halo", bones.map(bone).join(""), ""],
    ["bone", bones.map(bone).join(""), color],
    ["dot halo", dots(1) + dots(2), ""],
    ["dot", dots(1) + dots(2), color],
    ["dot hidden", dots(1), ""],
  ];
  return layers.map(([name, d, stroke]) => {
    const path = makeSvg("path", { class: name, d });
    path.style.stroke = stroke;
    return path;
  });
}

let originals = null; // whether originals lie where this page expects them; null: not tried yet

/** A picture of its own, larger: with class names, and the original where this page finds it. */
function bigPicture(picture, boxes, width, height, caption) {
  const element = makePicture();
  setPicture(element, picture, boxes, width, height);
  for (const box of boxes) {
    const inside = box.top * parseFloat(element.style.height) < 16;
    const tag = make("span", { class: inside ? "tag inside" : "tag" }, String(box.name));
    tag.classList.add(box.ring ? "of-mask" : "of-box");
    tag.style.left = `${Math.max(0, box.left) * 100}%`;
    tag.style.top = `${Math.max(0, box.top) * 100}%`;
    element.append(tag);
  }
  if (originals !== false) {
    const full = new Image();
    full.onload = () => {
      originals = true;
      element.firstChild.replaceWith(full);
    };
    full.onerror = () => (originals ??= false);
    full.src = original(picture);
    full.alt = caption;
  }
  element.firstChild.alt = caption;
  return make("figure", {}, make("div", { class: "frame" }, element), make("figcaption", {}, caption));
}

/* The grid: only what is seen has elements */

const grid = $("grid");
const space = $("space");
const tiles = new Map(); // place in the view -> element
const spare = [];
let layout = { columns: 1, width: 1, height: 1, margin: 0 };
let waiting = false; // some thumbnail was not loaded yet
let scheduled = false;

function kinds() {
  return ["real", "condition"].filter((kind) => state.shown[kind]).concat("synthetic");
}

function measure() {
  const pictures = kinds().length;
  const width = pictures * state.size + (pictures - 1) * 4 + 10;
  const columns = Math.max(1, Math.floor((grid.clientWidth - 8) / (width + 4)));
  const most = state.view.length < columns ? 4 : 28; // a lone row is not drawn apart
  const gap = Math.min(most, Math.floor((grid.clientWidth - columns * width) / (columns + 1)));
  const margin = Math.max(4, Math.floor((grid.clientWidth - columns * (width + gap) + gap) / 2));
  layout = { columns, width: width + gap, height: state.size + LOWER + 4, margin };
  space.style.height = `${Math.ceil(state.view.length / columns) * layout.height + 8}px`;
}

function schedule() {
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(draw);
  }
}

function draw() {
  scheduled = false;
  waiting = false;
  const { columns, width, height, margin } = layout;
  const first = Math.max(0, Math.floor(grid.scrollTop / height) - OVERSCAN) * columns;
  const rows = Math.ceil(grid.clientHeight / height) + 2 * OVERSCAN + 1;
  const last = Math.min(state.view.length, first + rows * columns);
  for (const [place, tile] of tiles) if (place < first || place >= last) release(place, tile);
  for (let place = first; place < last; place++) {
    if (tiles.has(place)) continue;
    const tile = spare.pop() ?? makeTile();
    tiles.set(place, tile);
    const [x, y] = [margin + (place % columns) * width, 4 + Math.floor(place / columns) * height];
    tile.style.transform = `translate(${x}px, ${y}px)`;
    fillTile(tile, place);
    if (!tile.isConnected) space.append(tile);
  }
  if (waiting) setTimeout(redraw, 60);
}

function release(place, tile) {
  tiles.delete(place);
  tile.hidden = true;
  tile.classList.remove("current");
  // An empty picture until the next one is there, rather than a wrong one.
  for (const image of tile.getElementsByTagName("img")) image.removeAttribute("src");
  spare.push(tile);
}

/** Draw every tile anew: their images, or the way they are shown, have changed. */
function redraw() {
  for (const [place, tile] of tiles) release(place, tile);
  schedule();
}

function makeTile() {
  const tile = make("div", { class: "tile", role: "option" });
  tile.append(make("div", { class: "pictures" }), make("span", { class: "hand" }), make("div", { class: "caption" }));
  for (const name of ["mark", "number", "sorted"]) tile.lastChild.append(make("span", { class: name }));
  tile.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text selected
  tile.addEventListener("click", (event) => {
    const place = Number(tile.dataset.place);
    if (event.shiftKey) return markTo(place);
    if (event.ctrlKey || event.metaKey) return toggleMark(place);
    moveTo(place);
    return openInspector();
  });
  return tile;
}

function fillTile(tile, place) {
  const { set } = state;
  const image = state.view[place];
  const [pictures] = tile.children;
  const wanted = kinds();
  while (pictures.children.length > wanted.length) pictures.lastChild.remove();
  while (pictures.children.length < wanted.length) {
    pictures.append(make("div", { class: "frame" }, makePicture()));
  }
  wanted.forEach((kind, index) => {
    const frame = pictures.children[index];
    const [picture, boxes] = pictureOf(set, image, kind);
    frame.firstChild.hidden = picture < 0;
    if (picture >= 0) setPicture(frame.firstChild, picture, boxes, state.size, state.size);
  });
  tile.hidden = false;
  tile.id = `tile-${place}`;
  tile.dataset.place = place;
  tile.dataset.id = set.id[image];
  tile.title = `${set.id[image]}\n${textOf(set.prompt, image)}`;
  tile.setAttribute("aria-posinset", place + 1);
  tile.setAttribute("aria-setsize", state.view.length);
  markTile(tile, place);
}

/** Show whether the selection keeps a tile's image, and the score that says so. */
function markTile(tile, place) {
  const { set } = state;
  const image = state.view[place];
  const [mark, number, sorted] = tile.lastChild.children;
  const scored = set.scores.length > 0;
  const kept = state.kept[image] === 1;
  tile.classList.toggle("kept", scored && kept);
  tile.classList.toggle("dropped", scored && !kept);
  tile.classList.toggle("current", place === state.current);
  const hand = VERDICTS[set.hand[image]];
  tile.classList.toggle("hand-keep", hand === "keep");
  tile.classList.toggle("hand-drop", hand === "drop");
  tile.classList.toggle("marked", state.marked.has(image));
  tile.children[1].textContent = MARKS[hand];
  tile.setAttribute("aria-selected", String(place === state.current || state.marked.has(image)));
  mark.textContent = scored ? (kept ? "✓" : "✗") : "";
  number.textContent = scored ? format(set.scores[state.score].values[image]) : set.id[image];
  const other = set.scores[state.sort];
  sorted.textContent = other && state.sort !== state.score ? format(other.values[image]) : "";
  const words = [set.id[image], scored && (kept ? "kept" : "dropped"), hand && `${HAND[hand]} by hand`];
  tile.setAttribute("aria-label", words.filter(Boolean).join(", "));
}

const markTiles = () => tiles.forEach((tile, place) => markTile(tile, place));

/** Number of a picture of an image (-1: there is none), and the objects over it. */
function pictureOf(set, image, kind) {
  const { boxes } = labelOf(set, image);
  if (kind === "synthetic") return [set.picture[image], boxes];
  if (kind === "condition") return [set.condition[image], boxes];
  const real = set.real[image];
  return real < 0 ? [-1, []] : [set.reals.picture[real], set.realBoxes[real].boxes];
}

/* The view: which images, in which order */

function refreshView(keepPlace = true) {
  const { set } = state;
  const image = state.view[state.current];
  const order = sortedImages();
  const fits = filterOf();
  state.view = order.filter(fits);
  if (state.reversed) state.view.reverse();
  state.current = image === undefined ? -1 : state.view.indexOf(image);
  state.anchor = -1;
  if (state.marked.size) state.marked = new Set(state.view.filter((i) => state.marked.has(i)));
  showMarked();
  if (!keepPlace) grid.scrollTop = 0;
  $("shown").textContent =
    state.view.length === set.count
      ? `${set.count.toLocaleString("en-US")} images`
      : `${state.view.length.toLocaleString("en-US")} of ${set.count.toLocaleString("en-US")} images`;
  $("empty").hidden = state.view.length > 0;
  $("reset").hidden = !isFiltered();
  measure();
  redraw();
}

/** All images, sorted; those without the score come last. */
function sortedImages() {
  const { set } = state;
  const all = Uint32Array.from({ length: set.count }, (_, i) => i);
  if (state.sort === "id") return all;
  if (state.sort === "prompt") {
    const places = new Map([...set.prompt.values].sort().map((text, place) => [text, place]));
    const keys = set.prompt.values.map((text) => places.get(text));
    return all.sort((a, b) => keys[set.prompt.index[a]] - keys[set.prompt.index[b]] || a - b);
  }
  const best = ranked(set, state.sort, set.scores[state.sort].ascending);
  if (best.length === set.count) return best.slice();
  const values = set.scores[state.sort].values;
  return Uint32Array.from([...best, ...all.filter((i) => Number.isNaN(values[i]))]);
}

function filterOf() {
  const { set, text, verdict, kept } = state;
  const hand = state.hand === "all" ? null : HANDS.indexOf(state.hand);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (line) => words.every((word) => line.includes(word));
  const prompts = set.prompt.values.map((prompt) => prompt.toLowerCase());
  const classed = set.label.values.map((_, i) => !state.class || set.boxes[i].classes.has(state.class));
  const ranges = [...state.ranges].map(([score, ends]) => [set.scores[score].values, ...ends]);
  return (i) =>
    (verdict === "all" || (kept[i] === 1) === (verdict === "kept")) &&
    (hand === null || set.hand[i] === hand) &&
    classed[set.label.index[i]] &&
    ranges.every(([values, low, high]) => values[i] >= low && values[i] <= high) &&
    (!words.length || matches(`${set.id[i].toLowerCase()} ${prompts[set.prompt.index[i]]}`));
}

const isFiltered = () =>
  state.verdict !== "all" || state.hand !== "all" || state.text.trim() !== "" || state.class !== "" || state.ranges.size > 0;

/* The selection's panel */

/** Choose anew what is kept, and show it everywhere. */
function refreshSelection() {
  const { set } = state;
  if (!set.scores.length) return;
  state.kept = select(set, state);
  state.keptCount = state.kept.reduce((sum, kept) => sum + kept, 0);
  showValue();
  showKept();
  showHistogram();
  $("yaml").textContent = yaml();
  if (state.verdict === "all") markTiles();
  else refreshView();
  if (!$("inspector").hidden) showJudgement();
  if ($("large").open) showLarge();
}

function showValue() {
  const { low, high, step } = bounds();
  for (const input of [$("slider"), $("value")]) {
    input.min = low;
    input.max = high;
    input.step = input.id === "value" && state.method !== "top_k" ? "any" : step;
    if (Number(input.value) !== state.value || input.value === "") input.value = state.value;
  }
  const [left, right] = $("ends").children;
  left.textContent = format(low);
  right.textContent = format(high);
}

function showKept() {
  const { set } = state;
  const share = set.count ? (100 * state.keptCount) / set.count : 0;
  $("kept").dataset.count = state.keptCount;
  $("kept").replaceChildren(
    make("b", {}, state.keptCount.toLocaleString("en-US")),
    ` of ${set.count.toLocaleString("en-US")} images kept (${share.toFixed(1)} %)`,
  );
  const { missing } = set.scores[state.score];
  $("missing").hidden = missing === 0;
  $("missing").textContent = `${missing.toLocaleString("en-US")} images do not have this score. The
    workflow's filter stops at them.`;
}

function drawHistogram() {
  const svg = makeSvg("svg", { viewBox: `0 0 ${BINS} 100`, preserveAspectRatio: "none" });
  for (let bin = 0; bin < BINS; bin++) {
    for (const name of ["kept", "dropped"]) {
      svg.append(makeSvg("rect", { class: name, x: bin + 0.05, width: 0.9 }));
    }
  }
  svg.append(makeSvg("line", { class: "cut", y1: -4, y2: 100 }));
  $("histogram").replaceChildren(svg);
}

/** Ends of the histogram: those of the threshold's slider, which lies below it. */
function histogramEnds() {
  const method = state.method;
  state.method = "threshold";
  const { low, high } = bounds();
  state.method = method;
  return [low, high > low ? high : low + 1];
}

function showHistogram() {
  const { values } = state.set.scores[state.score];
  const [low, high] = histogramEnds();
  const counts = [new Uint32Array(BINS), new Uint32Array(BINS)];
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    const bin = Math.min(BINS - 1, Math.floor(((values[i] - low) / (high - low)) * BINS));
    counts[state.kept[i] ? 0 : 1][bin]++;
  }
  const [kept, dropped] = counts;
  const tallest = Math.max(1, ...kept.map((count, bin) => count + dropped[bin]));
  const parts = $("histogram").firstChild.children;
  for (let bin = 0; bin < BINS; bin++) {
    const [a, b] = [(100 * kept[bin]) / tallest, (100 * dropped[bin]) / tallest];
    place(parts[2 * bin], 100 - a, a);
    place(parts[2 * bin + 1], 100 - a - b, b);
  }
  const cut = cutOf();
  const line = parts[2 * BINS];
  line.style.display = cut === null ? "none" : "";
  const x = cut === null ? 0 : (Math.min(1, Math.max(0, (cut - low) / (high - low))) * BINS).toFixed(3);
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
}

function place(rect, y, height) {
  rect.setAttribute("y", y.toFixed(2));
  rect.setAttribute("height", height.toFixed(2));
}

/** The score that parts kept from dropped; null if no single one does. */
function cutOf() {
  if (state.method === "threshold") return state.value;
  if (state.perClass || state.keptCount === 0) return null;
  const ascending = isAscending(state.order, state.set.scores[state.score]);
  return state.set.scores[state.score].values[ranked(state.set, state.score, ascending)[state.keptCount - 1]];
}

/** Set the selection's value by a place in the histogram. */
function cutAt(event) {
  const { left, width } = $("histogram").getBoundingClientRect();
  const [low, high] = histogramEnds();
  const cut = low + Math.min(1, Math.max(0, (event.clientX - left) / width)) * (high - low);
  if (state.method === "threshold") return setValue(clampToBounds(cut));
  const kept = select(state.set, { ...state, method: "threshold", value: cut });
  const count = kept.reduce((sum, one) => sum + one, 0);
  return setValue(clampToBounds(valueThatKeeps(count, state.method)));
}

function yaml() {
  const { set, method, score, order } = state;
  const { features, name } = set.scores[score];
  const lines = [
    "selections:",
    `  ${yamlText(selectionName())}:`,
    `    method: ${method}`,
    `    value: ${yamlNumber(state.value)}`,
    `    features: ${yamlText(features)}`,
    `    score: ${yamlText(name)}`,
  ];
  if (order !== "auto") lines.push(`    order: ${order}`);
  if (state.perClass && method !== "threshold") lines.push("    per_class: true");
  return lines.join("\n");
}

/** The typed name as config allows it, or one that says what the selection does. */
function selectionName() {
  const typed = $("name").value.replace(/[^\w.-]+/g, "_").replace(/^[^A-Za-z0-9]+/, "");
  const { name } = state.set.scores[state.score];
  const made = `${name}_${state.method}_${state.value}${state.perClass ? "_per_class" : ""}`;
  $("name").placeholder = made.replace(/[^\w.-]+/g, "_");
  return typed || $("name").placeholder;
}

function setValue(value) {
  if (!Number.isFinite(value) || value === state.value) return;
  state.value = value;
  $("preset").value = "";
  refreshSelection();
}

/** Change the method or the score, and keep as many images as before if `keepCount`. */
function changeSelection(changes, keepCount = true) {
  const count = state.keptCount;
  Object.assign(state, changes);
  if (!("value" in changes)) {
    const value = valueThatKeeps(keepCount ? count : Math.ceil(state.set.count / 2), state.method);
    state.value = clampToBounds(value);
  }
  if (!("preset" in changes)) $("preset").value = "";
  showSelectionControls();
  refreshSelection();
}

function showSelectionControls() {
  const { set } = state;
  checkOne("method", "method", state.method);
  $("score").value = state.score;
  $("order").value = state.order;
  $("order").options[0].textContent = `auto: ${set.scores[state.score].ascending ? "smallest" : "largest"}`;
  $("per-class").checked = state.perClass;
  $("per-class-row").hidden = state.method === "threshold";
}

function usePreset(name) {
  const settings = state.set.selections[name];
  const score = state.set.scores.findIndex(
    (one) => one.features === settings.features && one.name === settings.score,
  );
  const { method, value, order = "auto" } = settings;
  changeSelection({ method, value, order, score, perClass: Boolean(settings.per_class), preset: name });
  $("preset").value = name;
}

/* Controls that depend on the set */

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => make("option", { value }, text)));
}

function checkOne(group, key, value) {
  for (const button of $(group).children) {
    const chosen = button.dataset[key] === String(value);
    button.setAttribute("aria-checked", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
}

function openSet(number) {
  const set = prepare(number);
  Object.assign(state, { set, verdict: "all", hand: "all", marked: new Set(), text: "", class: "", reversed: false, current: -1, order: "auto" });
  Object.assign(state, { score: 0, perClass: false, kept: new Uint8Array(set.count), view: new Uint32Array(0) });
  state.ranges.clear();
  state.sort = set.scores.length ? 0 : "id";
  for (const id of ["name", "text"]) $(id).value = "";
  const scores = set.scores.map((score, index) => [index, score.title]);
  options($("score"), scores);
  options($("sort"), [...scores, ["id", "id"], ["prompt", "prompt"]]);
  options($("class"), [["", "any"], ...shownClasses(set)]);
  options($("add-range"), [["", "by a score …"], ...scores]);
  const presets = Object.entries(set.selections).filter(([, settings]) =>
    set.scores.some((one) => one.features === settings.features && one.name === settings.score),
  );
  options($("preset"), [["", "–"], ...presets.map(([name]) => [name, name])]);
  $("preset-row").hidden = presets.length === 0;
  $("selection").hidden = set.scores.length === 0;
  $("no-scores").hidden = set.scores.length > 0;
  for (const layer of ["boxes", "masks", "keypoints"]) {
    $(`show-${layer}`).hidden = !LAYERS[set.task].includes(layer);
  }
  $("add-range-row").hidden = set.scores.length === 0;
  $("ranges").replaceChildren();
  closeInspector();
  showFilterControls();
  if (presets.length) usePreset(presets[0][0]);
  else if (set.scores.length) changeSelection({ method: "top_p", value: 0.5 });
  if (presets.length) state.sort = state.score;
  $("sort").value = state.sort;
  refreshView(false);
  showHand();
}

function shownClasses(set) {
  const found = new Set(set.boxes.flatMap((label) => [...label.classes]));
  return [...found].sort((a, b) => a - b).map((index) => [index, set.classes[index] ?? index]);
}

function showFilterControls() {
  checkOne("verdict", "verdict", state.verdict);
  checkOne("hand", "hand", state.hand);
  $("class").value = state.class;
  $("text").value = state.text;
  $("reverse").setAttribute("aria-pressed", String(state.reversed));
}

function setFilter(changes) {
  Object.assign(state, changes);
  showFilterControls();
  refreshView(false);
}

/** Add the controls that narrow the view to a range of a score. */
function addRange(index) {
  const score = state.set.scores[index];
  if (state.ranges.has(index)) return;
  state.ranges.set(index, [-Infinity, Infinity]);
  const attributes = { min: score.low, max: score.high, step: "any" };
  const [low, high] = ["least", "greatest"].map((end) => ({
    slider: make("input", { type: "range", ...attributes, "aria-label": `${score.title}, ${end}` }),
    number: make("input", { type: "number", step: "any", "aria-label": `${score.title}, ${end}, typed` }),
  }));
  const tracks = make("div", { class: "tracks" }, low.slider, high.slider);
  const remove = make("button", { title: "Remove this filter", "aria-label": `Remove ${score.title}` }, "×");
  const head = make("div", { class: "head" }, make("span", {}, score.title), remove);
  const numbers = make("div", { class: "numbers" }, low.number, high.number);
  const element = make("div", { class: "range", "data-score": index }, head, tracks, numbers);
  const show = () => {
    const ends = [Math.max(state.ranges.get(index)[0], score.low), Math.min(state.ranges.get(index)[1], score.high)];
    [low, high].forEach((end, i) => {
      end.slider.value = ends[i];
      if (document.activeElement !== end.number) end.number.value = Number(ends[i].toPrecision(4));
      const percent = (100 * (ends[i] - score.low)) / (score.high - score.low || 1);
      tracks.style.setProperty(i ? "--high" : "--low", `${percent}%`);
    });
  };
  const change = (i, value) => {
    if (!Number.isFinite(value)) return;
    const ends = state.ranges.get(index);
    ends[i] = value;
    // At the track's end the range is open, so that nothing at the end is lost to rounding.
    if (i === 0) ends[0] = value <= score.low ? -Infinity : Math.min(value, ends[1]);
    else ends[1] = value >= score.high ? Infinity : Math.max(value, ends[0]);
    show();
    refreshView(false);
  };
  [low, high].forEach((end, i) => {
    end.slider.addEventListener("input", () => change(i, Number(end.slider.value)));
    end.number.addEventListener("input", () => end.number.value !== "" && change(i, Number(end.number.value)));
    end.number.addEventListener("blur", show);
  });
  remove.addEventListener("click", () => {
    state.ranges.delete(index);
    element.remove();
    refreshView(false);
  });
  show();
  $("ranges").append(element);
  refreshView(false);
}

function reset() {
  state.ranges.clear();
  $("ranges").replaceChildren();
  setFilter({ verdict: "all", hand: "all", text: "", class: "" });
}

/* One image */

function moveTo(place) {
  if (!state.view.length) return;
  state.current = Math.min(state.view.length - 1, Math.max(0, place));
  state.anchor = -1; // the next range begins here
  const { columns, height } = layout;
  const top = Math.floor(state.current / columns) * height;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + height + 8 > grid.scrollTop + grid.clientHeight) {
    grid.scrollTop = top + height + 8 - grid.clientHeight;
  }
  grid.setAttribute("aria-activedescendant", `tile-${state.current}`);
  markTiles();
  if (!$("inspector").hidden) showInspector();
  if ($("large").open) showLarge();
}

function openInspector() {
  if (state.current < 0) moveTo(firstSeen());
  if (state.current < 0) return;
  const narrower = $("inspector").hidden;
  $("inspector").hidden = false;
  showInspector();
  if (narrower) relayout();
}

function closeInspector() {
  if ($("inspector").hidden) return;
  $("inspector").hidden = true;
  relayout();
}

/** Lay the tiles out again, with the first row that is seen staying in sight. */
function relayout() {
  const anchor = state.current >= 0 && tiles.has(state.current)
    ? state.current
    : Math.floor(grid.scrollTop / layout.height) * layout.columns;
  const offset = grid.scrollTop - Math.floor(anchor / layout.columns) * layout.height;
  measure();
  grid.scrollTop = Math.floor(anchor / layout.columns) * layout.height + offset;
  redraw();
}

function showInspector() {
  const { set } = state;
  const image = state.view[state.current];
  if (image === undefined) return closeInspector();
  $("one").textContent = set.id[image];
  const width = 344;
  const [picture, boxes] = pictureOf(set, image, "synthetic");
  const main = bigPicture(picture, boxes, width, width, `synthetic · ${sizeWords(picture)}`);
  main.className = "main";
  const pair = make("div", { class: "pair" });
  for (const kind of ["real", "condition"]) {
    const [other, others] = pictureOf(set, image, kind);
    if (other >= 0) pair.append(bigPicture(other, others, width / 2 - 4, width / 2 - 4, kind));
  }
  $("details").replaceChildren(verdictLine(image), main, pair, scoreTable(image), facts(image), variants(image));
  return undefined;
}

/** Say of the inspected image what the selection says now; its pictures stay. */
function showJudgement() {
  const image = state.view[state.current];
  if (image === undefined) return closeInspector();
  document.querySelector("#details .verdict").replaceWith(verdictLine(image));
  document.querySelector("#details table").replaceWith(scoreTable(image));
  return undefined;
}

const sizeWords = (picture) => `${data.pictures.width[picture]} × ${data.pictures.height[picture]}`;

function verdictLine(image) {
  const hand = VERDICTS[state.set.hand[image]];
  const words = make("small", {}, hand ? ` · ${MARKS[hand]} ${HAND[hand]} by hand` : " · k keep, d drop by hand");
  if (!state.set.scores.length) return make("div", { class: "verdict" }, words);
  const kept = state.kept[image] === 1;
  return make("div", { class: `verdict ${kept ? "kept" : "dropped"}` }, kept ? "✓ kept" : "✗ dropped", words);
}

function facts(image) {
  const { set } = state;
  const names = [...labelOf(set, image).classes].map((index) => set.classes[index] ?? index);
  const real = set.real[image];
  const rows = [
    ["prompt", textOf(set.prompt, image)],
    ["negative", textOf(set.negative, image)],
    ["seed", String(set.seed[image])],
    ["variant", String(set.variant[image])],
    [set.task === "classification" ? "class" : "classes", names.join(", ") || "none"],
    ["real image", textOf(set.source, image)],
    ["its caption", real < 0 ? "" : set.reals.caption[real]],
    ["file", data.pictures.path[set.picture[image]]],
  ];
  const list = make("dl");
  for (const [name, text] of rows) if (text) list.append(make("dt", {}, name), make("dd", {}, text));
  return list;
}

/** Every score of an image, with its rank; a full meter is the best of all images. */
function scoreTable(image) {
  const { set } = state;
  const table = make("table");
  set.scores.forEach((score, index) => {
    const place = ranks(set, index)[image];
    const of = set.count - score.missing;
    const meter = make("span", { class: "meter" }, make("i"));
    meter.firstChild.style.width = place ? `${(100 * (of - place + 1)) / of}%` : 0;
    table.append(
      make(
        "tr",
        { class: index === state.score ? "chosen" : "" },
        make("th", { scope: "row" }, score.title),
        make("td", {}, format(score.values[image])),
        make("td", {}, place ? `${place.toLocaleString("en-US")} of ${of.toLocaleString("en-US")}` : "–"),
        make("td", {}, meter),
      ),
    );
  });
  return table;
}

/** Rank of each image by a score, from 1; 0 without the score. */
function ranks(set, index) {
  const score = set.scores[index];
  if (!score.ranks) {
    score.ranks = new Uint32Array(set.count);
    ranked(set, index, score.ascending).forEach((image, place) => (score.ranks[image] = place + 1));
  }
  return score.ranks;
}

/** The images made from the same real one, to go to. */
function variants(image) {
  const { set } = state;
  const source = set.source.index[image];
  const list = make("div", { class: "variants" });
  set.source.index.forEach((other, i) => {
    if (other !== source) return;
    const picture = makePicture();
    setPicture(picture, set.picture[i], [], 64, 64);
    const button = make("button", { title: set.id[i], "aria-current": String(i === image) });
    button.append(make("div", { class: "frame" }, picture));
    button.addEventListener("click", () => goTo(i));
    list.append(button);
  });
  return make("div", {}, make("h2", {}, `${list.children.length} of the same real image`), list);
}

/** Go to an image, and drop the filters if they hide it. */
function goTo(image) {
  if (!state.view.includes(image)) reset();
  moveTo(state.view.indexOf(image));
}

function openLarge() {
  openInspector();
  if (state.current < 0) return;
  showLarge();
  if (!$("large").open) $("large").showModal();
}

function showLarge() {
  const { set } = state;
  const image = state.view[state.current];
  if (image === undefined) {
    $("large").close();
    return;
  }
  const shown = ["real", "condition", "synthetic"].map((kind) => [kind, ...pictureOf(set, image, kind)]);
  const there = shown.filter(([, picture]) => picture >= 0);
  const width = Math.floor((innerWidth * 0.94 - 60 - 14 * there.length) / there.length);
  const height = innerHeight * 0.94 - 120;
  $("large-pictures").replaceChildren(
    ...there.map(([kind, picture, boxes]) => bigPicture(picture, boxes, width, height, kind)),
  );
  const verdict = set.scores.length ? (state.kept[image] ? " · ✓ kept" : " · ✗ dropped") : "";
  $("large-text").textContent = `${set.id[image]}${verdict} · ${textOf(set.prompt, image)}`;
  showLargeHand();
}

/** Say in the enlarged view what a person said of the image, and how far they are. */
function showLargeHand() {
  const { set } = state;
  const hand = VERDICTS[set.hand[state.view[state.current]]];
  const [unseen, kept, dropped] = handCounts(set).map((count) => count.toLocaleString("en-US"));
  $("large-hand").replaceChildren(
    make("b", { class: hand }, hand ? `${MARKS[hand]} ${HAND[hand]} by hand` : "not looked at yet"),
    `k keep · d drop · u undo · ${kept} kept, ${dropped} dropped, ${unseen} to go`,
  );
}

/* Verdicts by hand: what picked.csv holds, and cia.picking reads */

const VERDICTS = ["", "keep", "drop"]; // as set.hand holds them
const HANDS = ["unseen", "keep", "drop"]; // the same as the filter names them
const HAND = { keep: "kept", drop: "dropped" };
const MARKS = { "": "", keep: "✓", drop: "✗" };
const COLUMNS = ["dataset", "generator", "id", "verdict", "sha256"];
const steps = []; // to undo: lists of [set, key, verdict before]
let remembered = true; // whether the browser's storage took everything that picked.csv does not have yet

const setName = (set) => `${set.dataset}/${set.generator}`;
const storageKey = (set) => `cia-picked ${setName(set)}`;

/**
 * Read what this browser remembers of a set. A verdict is about one image with its very bytes (SHA-256
 * and id), so it holds whichever other images there are, and never for one that was made anew.
 */
function readVerdicts(set) {
  set.verdicts = new Map();
  set.hand.fill(0);
  for (const verdicts of [storedVerdicts(set), unstored.get(set) ?? []]) {
    for (const [key, verdict] of verdicts) setVerdict(set, key, verdict);
  }
}

function storedVerdicts(set) {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(storageKey(set)) ?? "{}");
  } catch {
    remembered = false;
  }
  const verdicts = new Map();
  for (const verdict of VERDICTS.slice(1)) {
    for (const key of stored[verdict] ?? []) verdicts.set(key, verdict);
  }
  return verdicts;
}

function setVerdict(set, key, verdict) {
  if (verdict) set.verdicts.set(key, verdict);
  else set.verdicts.delete(key);
  const image = set.places.get(key);
  if (image !== undefined) set.hand[image] = VERDICTS.indexOf(verdict ?? "");
}

const unstored = new Map(); // set -> verdicts that changed since they were stored, by key

/** Store changes soon: to write thousands of verdicts takes longer than to press a key. */
function storeSoon(changes) {
  if (!unstored.size) setTimeout(storeAll, 300);
  for (const [set, key, verdict] of changes) {
    if (!unstored.has(set)) unstored.set(set, new Map());
    unstored.get(set).set(key, verdict);
  }
}

function storeAll() {
  unstored.forEach((changes, set) => storeVerdicts(set, changes));
  unstored.clear();
}

/** Write changes into what is stored, which another window may have changed, too. */
function storeVerdicts(set, changes) {
  const stored = { keep: [], drop: [] };
  for (const [key, verdict] of new Map([...storedVerdicts(set), ...changes])) stored[verdict]?.push(key);
  try {
    localStorage.setItem(storageKey(set), JSON.stringify(stored));
  } catch {
    remembered = false;
    say("This browser has no room for what you keep and drop: save picked.csv before you close the page.", true);
  }
}

/** Change verdicts ([set, key, verdict] each; no verdict: not looked at), as one step to undo. */
function changeVerdicts(changes, undoing = false) {
  if (!changes.length) return;
  if (!undoing) steps.push(changes.map(([set, key]) => [set, key, set.verdicts.get(key)]));
  for (const change of changes) setVerdict(...change);
  storeSoon(changes);
}

/** Keep or drop the marked images, or the current one (so always the enlarged); go on to the next. */
function judge(verdict) {
  const { set, marked } = state;
  const single = !marked.size || $("large").open;
  if (single && state.current < 0) return moveTo(firstSeen());
  const images = single ? [state.view[state.current]] : [...marked];
  const judged = new Set(images);
  const from = single ? state.current + 1 : Math.max(0, state.current);
  const next = state.view.find((image, place) => place >= from && !judged.has(image));
  const number = images.length.toLocaleString("en-US");
  say(single ? "" : `${number} images ${HAND[verdict]}; u takes it back.`);
  if (!single) state.marked = new Set();
  changeVerdicts(images.map((image) => [set, `${set.sha256[image]} ${set.id[image]}`, verdict]));
  return afterVerdicts(single || state.hand !== "all" ? next : state.view[state.current]);
}

function undo() {
  const step = steps.pop();
  if (!step) return;
  changeVerdicts(step.toReversed(), true);
  const [set, key] = step[0];
  if (set === state.set && set.places.has(key)) afterVerdicts(set.places.get(key));
  else afterVerdicts(state.view[state.current]);
  say(step.length > 1 ? `${step.length.toLocaleString("en-US")} verdicts are taken back.` : "");
}

/** Show changed verdicts everywhere, with this image as the current one if it is still shown. */
function afterVerdicts(image) {
  showHand();
  if (state.hand !== "all") {
    const top = grid.scrollTop;
    refreshView();
    grid.scrollTop = top;
  }
  showMarked();
  const place = state.view.indexOf(image);
  if (place >= 0) return moveTo(place);
  state.current = Math.min(state.current, state.view.length - 1);
  if (state.current < 0 && state.view.length && $("large").open) return moveTo(state.view.length - 1);
  markTiles();
  if (!$("inspector").hidden) showInspector();
  if ($("large").open) showLarge();
  return undefined;
}

function handCounts(set) {
  const counts = [0, 0, 0];
  for (const hand of set.hand) counts[hand]++;
  return counts;
}

function showHand() {
  const counts = handCounts(state.set);
  for (const button of $("hand").children) {
    const index = HANDS.indexOf(button.dataset.hand);
    const count = index < 0 ? state.set.count : counts[index];
    const words = make("b", { "data-count": count }, count.toLocaleString("en-US"));
    button.replaceChildren(button.firstChild, words);
  }
  $("undo").disabled = steps.length === 0;
}

function say(text, warning = false) {
  $("hand-message").textContent = text;
  $("hand-message").hidden = !text;
  $("hand-message").classList.toggle("warning", warning);
}

function showMarked() {
  const { size } = state.marked;
  $("marked").textContent = size
    ? `${size.toLocaleString("en-US")} ${size === 1 ? "image is" : "images are"} marked (Esc unmarks)`
    : "k keeps, d drops the image that you look at";
}

/** Mark other images than before; the tiles show it. */
function mark(images) {
  state.marked = new Set(images);
  showMarked();
  markTiles();
}

/** Mark all from where marking began to this place. */
function markTo(place) {
  if (!state.view.length) return;
  if (state.anchor < 0) state.anchor = state.current < 0 ? place : state.current;
  const { anchor } = state;
  moveTo(place);
  mark(state.view.slice(Math.min(anchor, state.current), Math.max(anchor, state.current) + 1));
  state.anchor = anchor;
}

function toggleMark(place) {
  if (place < 0 || place >= state.view.length) return;
  const image = state.view[place];
  // One more beside the image that one is at, as file managers have it.
  const before = state.marked.size || state.current < 0 ? state.marked : [state.view[state.current]];
  const marked = new Set(before);
  if (!state.marked.has(image)) marked.add(image);
  else marked.delete(image);
  moveTo(place);
  state.anchor = place;
  mark(marked);
}

/* picked.csv */

const csvField = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The file: of every set of the page one row for each image that was kept or dropped, by id. */
function pickedCsv() {
  const rows = [COLUMNS];
  for (let number = 0; number < data.sets.length; number++) {
    const set = prepare(number);
    const found = new Map();
    for (const [key, verdict] of set.verdicts) {
      const space = key.indexOf(" "); // what is not on this page stays in the file, too
      const [digest, id] = [key.slice(0, space), key.slice(space + 1)];
      if (set.places.has(key) || !found.has(id)) found.set(id, [verdict, digest]);
    }
    for (const id of [...found.keys()].sort()) rows.push([set.dataset, set.generator, id, ...found.get(id)]);
  }
  return rows.map((row) => `${row.map(csvField).join(",")}\n`).join("");
}

function savePicked() {
  const address = URL.createObjectURL(new Blob([pickedCsv()], { type: "text/csv" }));
  make("a", { href: address, download: "picked.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  remembered = true;
}

/** The rows of a CSV text, each with the line that it begins in (RFC 4180). */
function csvRows(text) {
  const rows = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y;
  let [row, line, begin] = [[], 1, 1];
  text = text.replace(/^\ufeff/, "");
  while (pattern.lastIndex < text.length || row.length) {
    const match = pattern.exec(text);
    if (!match) throw new Error(`line ${line}: a quote that does not fit`);
    const [whole, quoted, plain, end] = match;
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    line += whole.split(/\r\n|\n|\r/).length - 1;
    if (end === ",") continue;
    if (row.length > 1 || row[0]) rows.push([begin, row]);
    [row, begin] = [[], line];
  }
  return rows;
}

/** The verdicts of a picked.csv: its rows by column, or an error that names the line. */
function parsePicked(text) {
  const [[, header] = [1, []], ...rows] = csvRows(text);
  const missing = COLUMNS.filter((name) => name !== "sha256" && !header.includes(name));
  if (missing.length) throw new Error(`line 1: no column ${missing.join(", ")}`);
  const said = new Map();
  return rows.map(([line, fields]) => {
    if (fields.length !== header.length) {
      throw new Error(`line ${line}: ${fields.length} fields, and ${header.length} columns`);
    }
    const row = Object.fromEntries(header.map((name, i) => [name, fields[i]]));
    if (!(row.verdict in HAND)) throw new Error(`line ${line}: verdict "${row.verdict}" is none of keep, drop`);
    const image = `${row.dataset}/${row.generator}/${row.id}`;
    const [before, first] = said.get(image) ?? [row.verdict, line];
    if (before !== row.verdict) {
      throw new Error(`line ${line}: ${row.verdict} for "${row.id}", and ${before} in line ${first}`);
    }
    said.set(image, [row.verdict, line]);
    return row;
  });
}

/** Take up the verdicts of a file; those of this page about the same images give way to them. */
function takeUp(text) {
  const sets = new Map(data.sets.map((_, number) => [setName(prepare(number)), prepare(number)]));
  const [changes, counts] = [[], { keep: 0, drop: 0 }];
  let [elsewhere, stale] = [0, 0];
  const digests = new Map([...sets.values()].map((set) => [set, new Map(set.id.map((id, i) => [id, set.sha256[i]]))]));
  for (const row of parsePicked(text)) {
    const set = sets.get(`${row.dataset}/${row.generator}`);
    if (!set) {
      elsewhere += 1;
      continue;
    }
    const digest = (row.sha256 ?? "").trim().toLowerCase() || (digests.get(set).get(row.id) ?? "");
    const key = `${digest} ${row.id}`;
    changes.push([set, key, row.verdict]);
    if (set.places.has(key)) counts[row.verdict] += 1;
    else stale += 1;
  }
  changeVerdicts(changes);
  const number = (count) => count.toLocaleString("en-US");
  const words = [`${number(counts.keep)} kept and ${number(counts.drop)} dropped are taken up.`];
  if (stale) words.push(`${number(stale)} more rows are about images that are not here, or were made anew since.`);
  if (elsewhere) {
    words.push(`${number(elsewhere)} rows are about sets that are not on this page; what you save here lacks them.`);
  }
  return words.join(" ");
}

async function loadPicked(file) {
  let [words, failed] = ["", false];
  try {
    words = takeUp(await file.text());
  } catch (error) {
    [words, failed] = [`${file.name}, ${error.message}. Nothing was loaded.`, true];
  }
  afterVerdicts(state.view[state.current]);
  say(words, failed);
}

/* Keys and theme */

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  const types = target.matches("select, textarea, input:not([type=range], [type=checkbox])");
  if (event.key === "Escape") return leave(types, target);
  if (types || $("help").open) return;
  const arrows = target.matches("input[type=range], [role=radio]");
  const move = arrows ? null : MOVES[event.key];
  const action = move ? (event.shiftKey ? () => markBy(move) : move) : KEYS[event.key];
  if (!action || (event.key === "Enter" && target.matches("button, summary"))) return;
  event.preventDefault();
  action();
}

function leave(types, target) {
  if ($("large").open || $("help").open) return; // the dialog closes by itself
  if (types) target.blur();
  else if (state.marked.size) mark([]);
  else closeInspector();
  grid.focus();
}

/** Make a move, and mark all from where marking began to there. */
function markBy(move) {
  if (state.current < 0) return move();
  if (state.anchor < 0) state.anchor = state.current;
  const { anchor } = state;
  move();
  state.anchor = anchor;
  return markTo(state.current);
}

const rowsSeen = () => Math.max(1, Math.floor(grid.clientHeight / layout.height));
const MOVES = {
  ArrowRight: () => moveBy(1),
  ArrowLeft: () => moveBy(-1),
  ArrowDown: () => moveBy(layout.columns),
  ArrowUp: () => moveBy(-layout.columns),
  PageDown: () => moveBy(rowsSeen() * layout.columns),
  PageUp: () => moveBy(-rowsSeen() * layout.columns),
  Home: () => moveTo(0),
  End: () => moveTo(state.view.length - 1),
};
const KEYS = {
  Enter: openInspector,
  z: () => ($("large").open ? $("large").close() : openLarge()),
  "[": () => loosen(-1),
  "]": () => loosen(1),
  1: () => setFilter({ verdict: "all" }),
  2: () => setFilter({ verdict: "kept" }),
  3: () => setFilter({ verdict: "dropped" }),
  "/": () => {
    showControls(true);
    $("text").focus();
  },
  k: () => judge("keep"),
  d: () => judge("drop"),
  u: undo,
  m: () => toggleMark(state.current),
  a: () => mark(state.view),
  n: () => setFilter({ hand: state.hand === "unseen" ? "all" : "unseen" }),
  r: () => toggleKind("real"),
  c: () => toggleKind("condition"),
  b: () => toggleLayer("boxes"),
  o: () => toggleLayer("masks"),
  p: () => toggleLayer("keypoints"),
  "-": () => setSize(state.size - 32),
  "+": () => setSize(state.size + 32),
  "=": () => setSize(state.size + 32),
  y: copyYaml,
  t: nextTheme,
  "?": () => $("help").showModal(),
};

/** Move by so many images; the first move goes to what is in sight. */
function moveBy(step) {
  moveTo(state.current < 0 ? firstSeen() : state.current + step);
}

const firstSeen = () => Math.ceil((grid.scrollTop - 4) / layout.height) * layout.columns;

/** Keep more images, or fewer: a step of the slider, ten for a threshold, whose steps are fine. */
function loosen(direction) {
  const { set, method } = state;
  if (!set.scores.length) return;
  const { step } = bounds();
  if (method !== "threshold") return setValue(clampToBounds(state.value + direction * step));
  const ascending = isAscending(state.order, set.scores[state.score]);
  return setValue(clampToBounds(state.value + (ascending ? direction : -direction) * step * 10));
}

function setSize(size) {
  state.size = Math.min(256, Math.max(64, size));
  $("size").value = state.size;
  document.documentElement.style.setProperty("--size", `${state.size}px`);
  relayout();
}

function toggleKind(kind) {
  state.shown[kind] = !state.shown[kind];
  $(`show-${kind}`).setAttribute("aria-pressed", String(state.shown[kind]));
  relayout();
}

/** What is drawn over the pictures of a task. */
const LAYERS = { detection: ["boxes"], segmentation: ["masks"], pose: ["boxes", "keypoints"], classification: [] };

function toggleLayer(layer) {
  if (!LAYERS[state.set.task].includes(layer)) return;
  const hidden = document.body.classList.toggle(`no-${layer}`);
  $(`show-${layer}`).setAttribute("aria-pressed", String(!hidden));
}

function showControls(shown) {
  if ($("controls").hidden === !shown) return;
  $("controls").hidden = !shown;
  relayout();
}

async function copyYaml() {
  const range = document.createRange();
  range.selectNodeContents($("yaml"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  let copied = true;
  try {
    await navigator.clipboard.writeText(`${yaml()}\n`);
  } catch {
    copied = document.execCommand("copy"); // a page opened as a file may have no clipboard
  }
  $("copy").textContent = copied ? "Copied" : "Selected";
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

const THEMES = { "": "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

function nextTheme() {
  const names = Object.keys(THEMES);
  const now = names.indexOf(document.documentElement.dataset.theme ?? "");
  setTheme(names[(now + 1) % names.length]);
  try {
    localStorage.setItem("cia-theme", document.documentElement.dataset.theme);
  } catch {
    // Without storage the choice holds until the page is closed.
  }
}

function setTheme(name) {
  document.documentElement.dataset.theme = name in THEMES ? name : "";
  $("theme").textContent = THEMES[document.documentElement.dataset.theme];
}

function savedTheme() {
  try {
    return localStorage.getItem("cia-theme") ?? "";
  } catch {
    return "";
  }
}

/* Start */

function radio(group, key, choose) {
  $(group).addEventListener("click", (event) => {
    const button = event.target.closest(`[data-${key}]`);
    if (button) choose(button.dataset[key]);
  });
  $(group).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...$(group).children];
    const next = buttons[(buttons.indexOf(event.target) + step + buttons.length) % buttons.length];
    event.preventDefault();
    next.focus();
    choose(next.dataset[key]);
  });
}

function listen() {
  const on = (id, type, act) => $(id).addEventListener(type, act);
  on("set", "change", () => openSet(Number($("set").value)));
  radio("method", "method", (method) => changeSelection({ method }));
  radio("verdict", "verdict", (verdict) => setFilter({ verdict }));
  radio("hand", "hand", (hand) => setFilter({ hand }));
  on("keep", "click", () => judge("keep"));
  on("drop", "click", () => judge("drop"));
  on("undo", "click", undo);
  on("save", "click", savePicked);
  on("load", "click", () => $("file").click());
  on("file", "change", async () => {
    await loadPicked($("file").files[0]);
    $("file").value = ""; // or the same file could not be loaded again
  });
  on("score", "change", () => {
    const follows = state.sort === state.score;
    changeSelection({ score: Number($("score").value), order: "auto" });
    if (follows) {
      state.sort = state.score;
      $("sort").value = state.sort;
    }
    refreshView(false);
  });
  on("order", "change", () => changeSelection({ order: $("order").value }));
  on("per-class", "change", () => changeSelection({ perClass: $("per-class").checked, value: state.value }));
  on("preset", "change", () => $("preset").value && usePreset($("preset").value));
  on("slider", "input", () => setValue(clampToBounds(Number($("slider").value))));
  on("value", "input", () => {
    const value = Number($("value").value);
    if ($("value").value !== "" && isAllowed(value)) setValue(value);
  });
  on("value", "blur", showValue);
  on("name", "input", () => ($("yaml").textContent = yaml()));
  on("copy", "click", copyYaml);
  on("histogram", "pointerdown", (event) => {
    $("histogram").setPointerCapture(event.pointerId);
    cutAt(event);
  });
  on("histogram", "pointermove", (event) => event.buttons && cutAt(event));
  on("sort", "change", () => {
    const value = $("sort").value;
    setFilter({ sort: /^\d+$/.test(value) ? Number(value) : value });
  });
  on("reverse", "click", () => setFilter({ reversed: !state.reversed }));
  on("class", "change", () => setFilter({ class: $("class").value }));
  on("text", "input", () => setFilter({ text: $("text").value }));
  on("add-range", "change", () => {
    if ($("add-range").value !== "") addRange(Number($("add-range").value));
    $("add-range").value = "";
  });
  on("reset", "click", reset);
  on("toggle-controls", "click", () => showControls($("controls").hidden));
  for (const kind of ["real", "condition"]) on(`show-${kind}`, "click", () => toggleKind(kind));
  for (const layer of ["boxes", "masks", "keypoints"]) {
    on(`show-${layer}`, "click", () => toggleLayer(layer));
  }
  on("size", "input", () => setSize(Number($("size").value)));
  on("theme", "click", nextTheme);
  on("help-open", "click", () => $("help").showModal());
  on("inspector-close", "click", closeInspector);
  on("enlarge", "click", openLarge);
  on("large", "click", () => $("large").close());
  grid.addEventListener("scroll", schedule, { passive: true });
  new ResizeObserver(relayout).observe(grid);
  document.addEventListener("keydown", onKey);
  addEventListener("storage", onStorage);
  addEventListener("pagehide", storeAll);
  addEventListener("beforeunload", (event) => {
    if (!remembered && steps.length) event.preventDefault();
  });
}

/** Another window of this page changed verdicts, and so do they here. */
function onStorage(event) {
  const changed = [...prepared.values()].filter((set) => event.key === null || event.key === storageKey(set));
  changed.forEach(readVerdicts);
  if (changed.includes(state.set)) afterVerdicts(state.view[state.current]);
}

/** Whether config takes a typed value. */
function isAllowed(value) {
  if (state.method === "top_k") return Number.isInteger(value) && value >= 1;
  return state.method === "threshold" ? Number.isFinite(value) : value > 0 && value <= 1;
}

setTheme(savedTheme());
options($("set"), data.sets.map((set, index) => [index, `${set.dataset} / ${set.generator}`]));
$("controls").hidden = innerWidth <= 760;
drawHistogram();
listen();
openSet(0);
grid.focus();
