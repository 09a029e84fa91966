// The waterfall with everything that needs a script: folding, filter, keyboard, and only the visible rows in the page,
// so that ten thousand spans scroll as smoothly as ten. Its data is `WaterfallJson` of src/traces/waterfall.rs: columns,
// one entry a row, parents before children. Without this script the page's own rows do.

const ERROR = 1, ORPHAN = 2, SKEWED = 4, CIRCLE = 8;
const COLOURS = 12;
const MAX_INDENT = 30;
const OVERSCAN = 10; // rows kept above and below the visible ones, so that fast scrolling shows no gap
const PANEL_SHOWN_PX = 160; // less of the details than this counts as out of sight
const FIT_MARGIN_PX = 40; // the frame's border and the line of key names
const DETAILS_DELAY_MS = 120; // moving through rows with a held key fetches only where it stops

const SVG = "http://www.w3.org/2000/svg";
const BANG = '<svg class="bang" viewBox="0 0 16 16" width="12" height="12" role="img" aria-label="Error"><path d="M8 1.8 15 14H1z"/><path class="in" d="M8 6v4m0 1.6v.6"/></svg>';

const template = document.createElement("template");
template.innerHTML = `<div class="wf-row" role="row">
  <span class="wf-name" role="gridcell"><span class="wf-twist" aria-hidden="true"></span><i class="chip"></i><b></b><small></small></span>
  <svg class="wf-bar" aria-hidden="true"><rect y="0" height="100%" rx="2"/></svg>
  <span class="wf-time" role="gridcell"></span>
</div>`;
const CHEVRON = '<svg viewBox="0 0 10 10"><path d="m3 1 4 4-4 4"/></svg>';

class Waterfall {
  constructor(section, data) {
    this.section = section;
    this.base = section.dataset.waterfall;
    this.data = data;
    this.count = data.id.length;
    this.messages = new Map(data.messages);
    this.exceptions = new Map();
    for (const [row, at] of data.exceptions) {
      this.exceptions.set(row, [...(this.exceptions.get(row) ?? []), at]);
    }
    this.findTree();
    this.isFolded = new Uint8Array(this.count);
    this.isMatch = null;
    this.selected = -1;
    this.elements = new Map();
    this.details = new Map();
    for (const item of section.querySelectorAll(".wf-static .wf-item")) {
      this.details.set(item.id.slice(2), item.querySelector(".span-details"));
    }
    this.build();
    this.layOut();
  }

  // `parents[i]`, and `ends[i]`: the first row after `i` that does not hang under it.
  findTree() {
    const { depth } = this.data;
    this.parents = new Int32Array(this.count).fill(-1);
    this.ends = new Int32Array(this.count).fill(this.count);
    const open = [];
    for (let row = 0; row < this.count; row++) {
      while (open.length > depth[row]) this.ends[open.pop()] = row;
      if (open.length > 0) this.parents[row] = open[open.length - 1];
      open.push(row);
    }
  }

  build() {
    const { section } = this;
    this.tools = section.querySelector(".wf-tools");
    this.tools.innerHTML = `<input type="search" placeholder="Filter spans" aria-label="Filter spans by name, service or message" autocomplete="off" spellcheck="false">
      <output aria-live="polite"></output>
      <button type="button" data-act="error"></button>
      <button type="button" data-act="fold">Fold all</button>
      <button type="button" data-act="unfold">Unfold all</button>`;
    this.filter = this.tools.querySelector("input");
    this.output = this.tools.querySelector("output");
    const errors = this.data.flags.filter((flags) => flags & ERROR).length;
    const next = this.tools.querySelector("[data-act=error]");
    next.textContent = errors === 1 ? "1 error" : `${number(errors)} errors: next`;
    next.hidden = errors === 0;
    const flat = this.data.depth.every((depth) => depth === 0);
    for (const act of ["fold", "unfold"]) this.tools.querySelector(`[data-act=${act}]`).hidden = flat;

    this.live = section.querySelector(".wf-live");
    this.live.innerHTML = `<div class="wf-scroll" role="treegrid" tabindex="0" aria-label="Spans" aria-colcount="2">
        <div class="wf-canvas" role="rowgroup"></div></div>
      <svg class="wf-map" preserveAspectRatio="none" aria-hidden="true"><path/></svg>`;
    this.scroll = this.live.querySelector(".wf-scroll");
    this.canvas = this.live.querySelector(".wf-canvas");
    this.map = this.live.querySelector(".wf-map");
    this.live.hidden = false;
    section.querySelector(".wf-static").remove();
    section.classList.add("is-live");

    this.panel = section.querySelector(".wf-panel");
    this.panel.innerHTML = `<header><h2 tabindex="-1"></h2><button type="button" class="quiet small" data-act="close">Close</button></header><div></div>`;
    this.panel.setAttribute("role", "region");
    this.panel.setAttribute("aria-label", "Span details");
    const keys = document.createElement("p");
    keys.className = "wf-keys";
    keys.innerHTML = "<span><kbd>↑</kbd> <kbd>↓</kbd> move</span><span><kbd>←</kbd> <kbd>→</kbd> fold, unfold</span><span><kbd>Enter</kbd> details</span><span><kbd>n</kbd> next error</span><span><kbd>/</kbd> filter</span>";
    section.querySelector(".wf-body").after(keys);
    this.listen();
  }

  listen() {
    this.scroll.addEventListener("scroll", () => this.scheduleRender(), { passive: true });
    this.scroll.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("click", (event) => this.onClick(event));
    this.filter.addEventListener("input", () => this.applyFilter());
    this.filter.addEventListener("keydown", (event) => this.onFilterKey(event));
    this.section.addEventListener("click", (event) => this.onAct(event.target.closest("[data-act]")?.dataset.act));
    this.panel.addEventListener("keydown", (event) => { if (event.key === "Escape") this.closePanel(); });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !isTyping(event)) {
        event.preventDefault();
        this.filter.focus();
        this.filter.select();
      }
    }, true);
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.("[data-show-span]");
      if (!link) return;
      event.preventDefault();
      this.show(this.data.id.indexOf(link.dataset.showSpan));
    });
    addEventListener("hashchange", () => this.show(this.rowOfHash()));
    new ResizeObserver(() => this.measure()).observe(this.scroll);
    addEventListener("resize", () => this.fit());
    this.fit();
  }

  // As high as what is left of the window below its top, so that the failing span shows without scrolling the page.
  // Where it starts below the window's edge, the stylesheet's height holds.
  fit() {
    const top = this.scroll.getBoundingClientRect().top + scrollY;
    const left = innerHeight - top - FIT_MARGIN_PX;
    if (left > 0) this.section.style.setProperty("--fit", `${left}px`);
    else this.section.style.removeProperty("--fit");
  }

  rowOfHash() {
    return location.hash.startsWith("#s-") ? this.data.id.indexOf(location.hash.slice(3)) : -1;
  }

  // Which rows stand where: `visible[position]` is a row, `positions[row]` its position or -1.
  layOut() {
    const visible = [];
    this.positions = new Int32Array(this.count).fill(-1);
    for (let row = 0; row < this.count;) {
      const isKept = !this.isMatch || this.isMatch[row] > 0;
      if (isKept) this.positions[row] = visible.push(row) - 1;
      row = this.isFolded[row] && !this.isMatch ? this.ends[row] : row + 1;
    }
    this.visible = visible;
    this.scroll.setAttribute("aria-rowcount", String(visible.length));
    this.clear();
    this.measure();
    this.drawMap();
  }

  clear() {
    this.canvas.replaceChildren();
    this.elements.clear();
    if (this.visible.length === 0) {
      const none = document.createElement("p");
      none.className = "wf-none";
      none.textContent = "No span matches the filter.";
      this.canvas.append(none);
    }
  }

  measure() {
    const probe = template.content.firstElementChild.cloneNode(true);
    this.canvas.append(probe);
    const height = probe.getBoundingClientRect().height || 30;
    probe.remove();
    this.section.style.setProperty("--gutter", `${this.scroll.offsetWidth - this.scroll.clientWidth}px`);
    if (height !== this.rowHeight) {
      this.rowHeight = height;
      for (const element of this.elements.values()) element.remove();
      this.elements.clear();
    }
    this.canvas.style.height = `${Math.max(this.visible.length * height, this.visible.length ? 0 : 60)}px`;
    this.render();
  }

  scheduleRender() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.render();
    });
  }

  render() {
    const { scrollTop, clientHeight } = this.scroll;
    const first = Math.max(0, Math.floor(scrollTop / this.rowHeight) - OVERSCAN);
    const last = Math.min(this.visible.length, Math.ceil((scrollTop + clientHeight) / this.rowHeight) + OVERSCAN);
    for (const [row, element] of this.elements) {
      const position = this.positions[row];
      if (position < first || position >= last) {
        element.remove();
        this.elements.delete(row);
      }
    }
    for (let position = first; position < last; position++) {
      const row = this.visible[position];
      if (this.elements.has(row)) continue;
      const element = this.draw(row, position);
      this.elements.set(row, element);
      this.canvas.append(element);
    }
    this.markActive();
  }

  draw(row, position) {
    const { data } = this;
    const element = template.content.firstElementChild.cloneNode(true);
    const [name, bar, time] = element.children;
    const flags = data.flags[row];
    const service = data.service[row];
    element.id = `wf-${row}`;
    element.dataset.row = row;
    element.classList.add(`c${service % COLOURS}`, `d${Math.min(data.depth[row], MAX_INDENT)}`);
    element.classList.toggle("has-error", Boolean(flags & ERROR));
    element.classList.toggle("is-failing", row === data.failing);
    element.classList.toggle("is-context", this.isMatch?.[row] === 1);
    element.style.transform = `translateY(${position * this.rowHeight}px)`;
    element.setAttribute("aria-level", String(data.depth[row] + 1));
    element.setAttribute("aria-rowindex", String(position + 1));
    name.querySelector("b").textContent = data.names[data.name[row]];
    name.querySelector("small").textContent = data.services[service];
    element.title = this.messages.get(row) ?? "";
    if (flags & ERROR) name.querySelector("b").insertAdjacentHTML("beforebegin", BANG);
    this.drawFold(row, element, name);
    for (const [is, text, kind] of [
      [row === data.failing, "failing", ""],
      [flags & ORPHAN, "no parent", "odd"],
      [flags & SKEWED, "clock skew", "odd"],
      [flags & CIRCLE, "circle", "odd"],
    ]) {
      if (is) name.append(badge(text, kind));
    }
    this.drawBar(row, bar);
    time.textContent = duration(data.duration_ns[row]);
    this.markRow(element, row === this.selected);
    return element;
  }

  drawFold(row, element, name) {
    const below = this.ends[row] - row - 1;
    if (below === 0) return;
    const isFolded = this.isFolded[row] && !this.isMatch;
    element.setAttribute("aria-expanded", String(!isFolded));
    name.firstElementChild.innerHTML = CHEVRON;
    if (isFolded) {
      const hidden = document.createElement("span");
      hidden.className = "wf-hidden";
      hidden.textContent = `+${number(below)}`;
      name.append(hidden);
    }
  }

  drawBar(row, bar) {
    const { total_ns: total, offset_ns, duration_ns } = this.data;
    const percent = (ns) => `${total > 0 ? Math.min(100, (ns / total) * 100).toFixed(3) : 0}%`;
    const rect = bar.firstElementChild;
    rect.setAttribute("x", percent(offset_ns[row]));
    rect.setAttribute("width", total > 0 ? percent(duration_ns[row]) : "100%");
    for (const at of this.exceptions.get(row) ?? []) {
      const line = document.createElementNS(SVG, "line");
      line.setAttribute("x1", percent(at));
      line.setAttribute("x2", percent(at));
      line.setAttribute("y1", "0");
      line.setAttribute("y2", "100%");
      bar.append(line);
    }
  }

  // Ticks beside the scroll bar: where the errors are among all rows.
  drawMap() {
    const total = this.visible.length;
    const height = Math.max(1, total / 150);
    const ticks = this.visible
      .map((row, position) => (this.data.flags[row] & ERROR ? `M0 ${position}h1v${height}h-1z` : ""))
      .join("");
    this.map.setAttribute("viewBox", `0 0 1 ${Math.max(1, total)}`);
    this.map.firstElementChild.setAttribute("d", ticks);
    this.map.toggleAttribute("hidden", this.scroll.scrollHeight <= this.scroll.clientHeight);
  }

  markRow(element, isSelected) {
    element.classList.toggle("is-selected", isSelected);
    element.setAttribute("aria-selected", String(isSelected));
  }

  markActive() {
    if (this.elements.has(this.selected)) this.scroll.setAttribute("aria-activedescendant", `wf-${this.selected}`);
    else this.scroll.removeAttribute("aria-activedescendant");
  }

  select(row, { centre = false } = {}) {
    if (row < 0 || this.positions[row] < 0) return;
    const before = this.elements.get(this.selected);
    if (before) this.markRow(before, false);
    this.selected = row;
    this.reveal(row, centre);
    this.render();
    const now = this.elements.get(row);
    if (now) this.markRow(now, true);
    this.markActive();
    if (!this.panel.hidden) this.fillPanelSoon();
  }

  reveal(row, centre) {
    const top = this.positions[row] * this.rowHeight;
    const { scrollTop, clientHeight } = this.scroll;
    const fitsFromTop = top + 2 * this.rowHeight < clientHeight;
    if (centre && fitsFromTop) this.scroll.scrollTop = 0;
    else if (centre) this.scroll.scrollTop = top - (clientHeight - this.rowHeight) / 2;
    else if (top < scrollTop) this.scroll.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.scroll.scrollTop = top + this.rowHeight - clientHeight;
  }

  // Brings a row to light wherever it hides: behind the filter or in a folded subtree.
  show(row, { focus = true } = {}) {
    if (row < 0) return;
    if (this.isMatch && !this.isMatch[row]) {
      this.filter.value = "";
      this.isMatch = null;
      this.output.textContent = "";
    }
    for (let above = this.parents[row]; above >= 0; above = this.parents[above]) this.isFolded[above] = 0;
    this.layOut();
    this.select(row, { centre: true });
    this.openPanel(focus);
    if (focus) this.scroll.focus({ preventScroll: true });
  }

  fold(row, isFolded) {
    if (this.ends[row] === row + 1 || this.isMatch || Boolean(this.isFolded[row]) === isFolded) return;
    this.isFolded[row] = isFolded ? 1 : 0;
    if (isFolded && this.selected > row && this.selected < this.ends[row]) this.selected = row;
    this.layOut();
  }

  foldAll(isFolded) {
    for (let row = 0; row < this.count; row++) {
      this.isFolded[row] = isFolded && this.data.depth[row] > 0 && this.ends[row] > row + 1 ? 1 : 0;
    }
    while (this.selected >= 0 && this.parents[this.selected] >= 0 && this.isHidden(this.selected)) {
      this.selected = this.parents[this.selected];
    }
    this.layOut();
    if (this.selected >= 0) this.reveal(this.selected, false);
  }

  isHidden(row) {
    for (let above = this.parents[row]; above >= 0; above = this.parents[above]) {
      if (this.isFolded[above]) return true;
    }
    return false;
  }

  // `isMatch[row]`: 2 matches, 1 has a match below it and is shown for its place, 0 is left out.
  applyFilter() {
    const query = this.filter.value.trim().toLowerCase();
    if (query === "") {
      this.isMatch = null;
      this.output.textContent = "";
      this.layOut();
      return this.select(this.selected, { centre: true });
    }
    const { data } = this;
    const has = (text) => text.toLowerCase().includes(query);
    const names = data.names.map(has);
    const services = data.services.map(has);
    this.isMatch = new Uint8Array(this.count);
    let matches = 0;
    for (let row = 0; row < this.count; row++) {
      const message = this.messages.get(row);
      if (!(names[data.name[row]] || services[data.service[row]] || (message && has(message)) || data.id[row] === query)) continue;
      matches++;
      this.isMatch[row] = 2;
      for (let above = this.parents[row]; above >= 0 && !this.isMatch[above]; above = this.parents[above]) this.isMatch[above] = 1;
    }
    this.output.textContent = `${number(matches)} of ${number(this.count)} spans`;
    this.scroll.scrollTop = 0;
    this.layOut();
  }

  // The next row, going round, that `isWanted` takes; folded subtrees are opened for it.
  jump(step, isWanted) {
    const start = this.selected < 0 ? (step > 0 ? -1 : this.count) : this.selected;
    for (let tried = 1; tried <= this.count; tried++) {
      const row = (((start + step * tried) % this.count) + this.count) % this.count;
      if (!isWanted(row)) continue;
      for (let above = this.parents[row]; above >= 0; above = this.parents[above]) this.isFolded[above] = 0;
      this.layOut();
      return this.select(row, { centre: true });
    }
  }

  nextError(step) {
    this.jump(step, (row) => this.data.flags[row] & ERROR && (!this.isMatch || this.isMatch[row]));
  }

  move(step) {
    if (this.visible.length === 0) return;
    const now = this.positions[this.selected] ?? -1;
    const position = now < 0 ? 0 : Math.min(this.visible.length - 1, Math.max(0, now + step));
    this.select(this.visible[position]);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / this.rowHeight) - 1);
    const row = this.selected;
    const acts = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      PageDown: () => this.move(page),
      PageUp: () => this.move(-page),
      Home: () => this.move(-this.count),
      End: () => this.move(this.count),
      ArrowRight: () => this.goIn(row),
      ArrowLeft: () => this.goOut(row),
      Enter: () => this.openPanel(),
      " ": () => this.openPanel(),
      Escape: () => this.closePanel(),
      n: () => this.nextError(1),
      N: () => this.nextError(-1),
      p: () => this.nextError(-1),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  goIn(row) {
    if (row < 0) return this.move(0);
    if (this.isFolded[row] && !this.isMatch) this.fold(row, false);
    else if (this.ends[row] > row + 1) this.move(1);
  }

  goOut(row) {
    if (row < 0) return;
    const canFold = this.ends[row] > row + 1 && !this.isFolded[row] && !this.isMatch;
    if (canFold) this.fold(row, true);
    else if (this.parents[row] >= 0) this.select(this.parents[row]);
  }

  onClick(event) {
    const element = event.target.closest(".wf-row");
    if (!element) return;
    const row = Number(element.dataset.row);
    if (event.target.closest(".wf-twist svg, [aria-expanded] > .wf-name > .wf-twist")) {
      return this.fold(row, !this.isFolded[row]);
    }
    this.select(row);
    this.openPanel();
  }

  onFilterKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.jump(event.shiftKey ? -1 : 1, (row) => !this.isMatch || this.isMatch[row] === 2);
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      this.scroll.focus();
      if (this.positions[this.selected] === undefined || this.positions[this.selected] < 0) this.move(0);
    } else if (event.key === "Escape") {
      this.filter.value = "";
      this.applyFilter();
      this.scroll.focus();
    }
  }

  onAct(act) {
    if (act === "close") {
      this.closePanel();
    } else if (act === "fold" || act === "unfold") {
      this.foldAll(act === "fold");
    } else if (act === "error") {
      this.nextError(1);
      this.scroll.focus({ preventScroll: true });
    }
  }

  // `isAsked`: someone wants to see it now, so the page moves if it opens below the window's edge.
  openPanel(isAsked = true) {
    if (this.selected < 0) return;
    this.panel.hidden = false;
    this.section.classList.add("has-panel");
    this.fillPanel();
    const isOutOfSight = this.panel.getBoundingClientRect().top > innerHeight - PANEL_SHOWN_PX;
    if (isAsked && isOutOfSight) this.tools.scrollIntoView({ block: "start" });
  }

  closePanel() {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.section.classList.remove("has-panel");
    this.scroll.focus({ preventScroll: true });
  }

  fillPanelSoon() {
    clearTimeout(this.soon);
    const isHere = this.details.has(this.data.id[this.selected]);
    if (isHere) this.fillPanel();
    else this.soon = setTimeout(() => this.fillPanel(), DETAILS_DELAY_MS);
  }

  async fillPanel() {
    const row = this.selected;
    const id = this.data.id[row];
    const service = this.data.service[row];
    const [header, body] = this.panel.children;
    const label = document.createElement("span");
    label.className = `service c${service % COLOURS}`;
    label.textContent = this.data.names[this.data.name[row]];
    header.firstElementChild.replaceChildren(label);
    if (!this.details.has(id)) {
      body.setAttribute("aria-busy", "true");
      const loaded = await this.load(id);
      if (this.selected !== row) return;
      if (!loaded) return body.replaceChildren(note("The details could not be loaded. Press Enter to try again."));
    }
    body.removeAttribute("aria-busy");
    body.replaceChildren(this.details.get(id));
  }

  async load(id) {
    try {
      const response = await fetch(`${this.base}/spans/${id}`);
      if (!response.ok) return false;
      const fragment = document.createElement("template");
      fragment.innerHTML = await response.text();
      this.details.set(id, fragment.content.firstElementChild);
      return true;
    } catch {
      return false;
    }
  }
}

function badge(text, kind) {
  const element = document.createElement("em");
  element.className = kind;
  element.textContent = text;
  return element;
}

function note(text) {
  const element = document.createElement("p");
  element.className = "note";
  element.textContent = text;
  return element;
}

function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, textarea, select");
}

function number(value) {
  return value.toLocaleString("en");
}

// The same words as `format_duration` of src/traces/duration_text.rs.
function duration(ns) {
  const digits = (value) => {
    const places = value < 10 ? 2 : value < 100 ? 1 : 0;
    return String(Number(value.toFixed(places)));
  };
  const two = (large, unit, small, smallUnit) => `${large} ${unit}${small ? ` ${small} ${smallUnit}` : ""}`;
  if (ns === 0) return "0";
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 999_500) return `${digits(ns / 1e3)} µs`;
  if (ns < 999_500_000) return `${digits(ns / 1e6)} ms`;
  if (ns < 59_950_000_000) return `${digits(ns / 1e9)} s`;
  const seconds = Math.floor(ns / 1e9);
  const rounded = Math.round(ns / 1e9);
  if (seconds < 3600) return two(Math.floor(rounded / 60), "min", rounded % 60, "s");
  if (seconds < 86_400) return two(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
  return two(Math.floor(seconds / 86_400), "d", Math.floor((seconds % 86_400) / 3600), "h");
}

async function start(section) {
  try {
    const response = await fetch(`${section.dataset.waterfall}/waterfall.json`);
    if (!response.ok) throw new Error(`${response.status}`);
    const waterfall = new Waterfall(section, await response.json());
    const asked = waterfall.rowOfHash();
    waterfall.show(asked >= 0 ? asked : waterfall.data.failing ?? -1, { focus: false });
  } catch (error) {
    // The rows that came with the page are shown instead.
    section.classList.add("is-plain");
    console.warn("The waterfall stays plain:", error);
  }
}

for (const section of document.querySelectorAll("[data-waterfall]")) start(section);
