
// The flame graph.
//
// Does: lay frames out, zoom, search, and move between them by keys. Draws only what is wide enough to be seen.
// Does not: know the other views.

const ROW = 20;
const NARROWEST = 1.2;

class FlameGraph {
  constructor(data) {
    this.data = data;
    this.place = byId('frames');
    const nodes = data.nodes;
    this.totals = nodes.map(([, , own]) => own);
    this.children = nodes.map(() => []);
    this.depths = nodes.map(() => 0);
    for (let index = 1; index < nodes.length; index++) {
      this.children[nodes[index][0]].push(index);
      this.depths[index] = this.depths[nodes[index][0]] + 1;
    }
    for (let index = nodes.length - 1; index > 0; index--) this.totals[nodes[index][0]] += this.totals[index];
    this.zoomed = 0;
    this.focused = 0;
    this.found = null;
    this.elements = new Map();
    this.place.addEventListener('click', (event) => this.at(event, (index) => this.zoom(index)));
    this.place.addEventListener('mouseover', (event) => this.at(event, (index) => this.tell(index)));
    this.place.addEventListener('focusin', (event) => this.at(event, (index) => this.tell(index)));
    this.place.addEventListener('mouseleave', () => this.tell(this.focused));
    this.place.addEventListener('keydown', (event) => this.key(event));
    this.width = 0;
    // Drawing changes the height: frames that are there are not drawn again for that.
    new ResizeObserver(() => this.place.clientWidth !== this.width && this.draw()).observe(this.place);
    this.legend();
    const [frames, most] = data.left_out;
    if (frames > 0) byId('left-out').textContent = `${count(frames, 'frame')} with at most ${this.amount(most)} each are not in this page.`;
  }

  /// A weight in words.
  amount(weight) {
    const { seconds_per_weight, times_of } = this.data;
    const time = seconds(weight * seconds_per_weight);
    return times_of ? time : `${count(weight, 'sample')}, ${time}`;
  }

  /// A share with its error, where that is known: what it is off by at most in 19 of 20 recordings, and never less than one sample.
  share(weight, total) {
    const samples = this.data.effective_samples;
    if (!samples || weight === total) return percent(weight, total);
    const part = weight / total;
    const error = Math.max(196 * Math.sqrt((part * (1 - part)) / samples), 100 / samples);
    const digits = error >= 0.95 ? 0 : error >= 0.095 ? 1 : 2;
    return `${(100 * part).toFixed(digits)} ± ${error.toFixed(digits)} %`;
  }

  label(index) {
    return index === 0 ? ['all', -1] : this.data.labels[this.data.nodes[index][1]];
  }

  at(event, then) {
    const index = event.target.dataset?.index;
    if (index !== undefined) then(Number(index));
  }

  /// Draws a frame, what it calls, and its callers above it.
  draw() {
    const width = this.place.clientWidth;
    this.width = width;
    if (width === 0 || this.data.total === 0) return;
    const had = document.activeElement?.dataset?.index;
    this.elements.clear();
    this.place.replaceChildren();
    const above = [];
    for (let index = this.zoomed; index !== 0; ) above.push((index = this.data.nodes[index][0]));
    for (const index of above) this.add(index, 0, width, true);
    const scale = width / this.totals[this.zoomed];
    const pending = [[this.zoomed, 0]];
    let deepest = 0;
    while (pending.length > 0) {
      const [index, left] = pending.pop();
      this.add(index, left, this.totals[index] * scale, false);
      deepest = Math.max(deepest, this.depths[index]);
      let at = left;
      for (const child of this.children[index]) {
        const wide = this.totals[child] * scale;
        if (wide >= NARROWEST) pending.push([child, at]);
        at += wide;
      }
    }
    this.place.style.height = `${(deepest + 1) * ROW}px`;
    this.mark();
    if (had !== undefined) this.focus(this.elements.has(Number(had)) ? Number(had) : this.zoomed);
  }

  add(index, left, width, isAbove) {
    const [text, kind, short] = this.label(index);
    const made = element('button', { type: 'button', className: isAbove ? 'frame above' : 'frame', tabIndex: index === this.zoomed ? 0 : -1 });
    made.dataset.index = index;
    made.style.left = `${left}px`;
    made.style.width = `${Math.max(width - 1, 1)}px`;
    made.style.top = `${this.depths[index] * ROW}px`;
    made.style.background = kind < 0 ? '#f2f2ee' : this.data.kinds[kind].color;
    made.setAttribute('aria-label', this.describe(index));
    if (width < 8) made.style.padding = 0;
    if (width > 24) made.textContent = short ?? text;
    this.elements.set(index, made);
    this.place.append(made);
  }

  describe(index) {
    const { total } = this.data;
    const [weight, own] = [this.totals[index], this.data.nodes[index][2]];
    const kind = this.label(index)[1];
    const what = kind < 0 ? '' : `${this.data.kinds[kind].name}, `;
    return `${this.label(index)[0]}: ${what}${this.share(weight, total)}, ${this.amount(weight)}; itself ${percent(own, total)}`;
  }

  tell(index) {
    byId('details').textContent = this.found?.text && index === this.zoomed ? this.found.text : this.describe(index);
  }

  zoom(index) {
    this.zoomed = index;
    this.focused = index;
    this.draw();
    this.focus(index);
  }

  focus(index) {
    this.focused = index;
    this.elements.get(index)?.focus({ preventScroll: false });
  }

  /// The nearest sibling that is drawn, in a direction.
  sibling(index, step) {
    const siblings = this.children[this.data.nodes[index][0]].filter((other) => this.elements.has(other));
    return siblings[siblings.indexOf(index) + step];
  }

  key(event) {
    const index = Number(event.target.dataset?.index ?? this.zoomed);
    const widest = () => this.children[index].filter((child) => this.elements.has(child)).sort((a, b) => this.totals[b] - this.totals[a])[0];
    const moves = {
      ArrowDown: widest,
      ArrowUp: () => (index === 0 ? undefined : this.data.nodes[index][0]),
      ArrowLeft: () => this.sibling(index, -1),
      ArrowRight: () => this.sibling(index, 1),
    };
    const out = event.key === 'Escape' || event.key === 'Backspace';
    if (!out && !moves[event.key]) return;
    event.preventDefault();
    if (out) return this.zoom(event.key === 'Escape' ? 0 : this.data.nodes[this.zoomed][0]);
    const to = moves[event.key]();
    if (to !== undefined) this.focus(to);
  }

  /// Marks the frames whose labels hold a text; nothing for an empty one.
  search(text) {
    const wanted = text.toLowerCase();
    const fits = this.data.labels.map(([label]) => label.toLowerCase().includes(wanted));
    const inside = new Set();
    let samples = 0;
    for (let index = 1; wanted && index < this.data.nodes.length; index++) {
      const [caller, label] = this.data.nodes[index];
      // What is called by a frame that fits is in its samples already.
      if (fits[label] && !inside.has(caller)) samples += this.totals[index];
      if (fits[label] || inside.has(caller)) inside.add(index);
    }
    this.found = wanted ? { fits, text: `“${text}” is in ${percent(samples, this.data.total)} of the ${this.data.times_of ?? 'samples'}` } : null;
    this.mark();
    this.tell(this.zoomed);
  }

  mark() {
    this.place.classList.toggle('searching', this.found !== null);
    for (const [index, made] of this.elements) {
      made.classList.toggle('found', index > 0 && this.found !== null && this.found.fits[this.data.nodes[index][1]]);
    }
  }

  legend() {
    const kinds = new Set(this.data.labels.map(([, kind]) => kind));
    const entries = this.data.kinds.filter((_, kind) => kinds.has(kind));
    byId('legend').replaceChildren(...entries.map(({ name, color }) => element('span', {}, swatch(color), name)));
  }
}
