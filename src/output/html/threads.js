
// What each thread did, over time.
//
// Does: draw a lane for each, and tell what it did at the moment under the pointer. Does not: know stacks.

// By how they begin; the colours of code where a state is that of code, and apart for colour-blind readers.
const STATE_COLORS = [
  ['on CPU: Python', '#faa101'],
  ['on CPU: native', '#cc97d2'],
  ['on CPU', '#eedc70'],
  ['waiting for the GIL', '#dd5a36'],
  ['waiting for a lock', '#8a5a44'],
  ['I/O', '#7b9cff'],
  ['sleeping', '#9fb3ad'],
];
const OTHER_COLORS = ['#11bc69', '#5fb8c8', '#b8a0ff', '#7d8b5a', '#c98aa0', '#828287'];

class ThreadView {
  constructor(data) {
    this.data = data;
    let others = 0;
    this.colors = data.states.map(({ name }) => STATE_COLORS.find(([begin]) => name.startsWith(begin))?.[1] ?? OTHER_COLORS[others++ % OTHER_COLORS.length]);
    byId('states').replaceChildren(...data.states.map(({ name }, state) => element('span', {}, swatch(this.colors[state]), name)));
    const axis = element('div', {}, ...[0, 0.25, 0.5, 0.75, 1].map((part) => element('span', {}, seconds(part * data.duration))));
    byId('lanes').replaceChildren(element('div', { className: 'lane axis' }, axis), ...data.threads.map((thread) => this.lane(thread)));
    new ResizeObserver(() => this.draw()).observe(byId('lanes'));
  }

  lane(thread) {
    const process = thread.process ? [element('small', { className: 'process' }, thread.process), ' '] : [];
    const title = [thread.process, thread.name].filter(Boolean).join(', ');
    const name = element('div', { className: 'name', title }, ...process, thread.name ?? 'unnamed', ' ', element('small', {}, String(thread.tid)));
    const canvas = element('canvas', { role: 'img', tabIndex: 0 });
    const states = Object.entries(thread.states).sort((a, b) => b[1] - a[1]);
    const sum = states.map(([state, samples]) => `${this.data.states[state].name} ${percent(samples, thread.total)}`).join(', ');
    canvas.setAttribute('aria-label', `${thread.name ?? thread.tid}: ${sum}`);
    thread.canvas = canvas;
    thread.at = 0;
    canvas.addEventListener('mousemove', (event) => this.tell(thread, Math.floor((event.offsetX / canvas.clientWidth) * this.data.bins)));
    canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.tell(thread, thread.at + step);
    });
    return element('div', { className: 'lane' }, name, canvas, element('p', { className: 'sum' }, sum));
  }

  tell(thread, bin) {
    thread.at = Math.min(Math.max(bin, 0), this.data.bins - 1);
    const width = this.data.duration / this.data.bins;
    const seen = thread.bins.filter(([number]) => number === thread.at).map(([, state, share]) => `${this.data.states[state].name} ${(100 * share).toFixed(0)} %`);
    byId('moment').textContent = `${seconds(thread.at * width)}, ${thread.name ?? thread.tid}: ${seen.join(', ') || 'not sampled'}`;
  }

  draw() {
    for (const { canvas, bins } of this.data.threads) {
      const scale = devicePixelRatio || 1;
      canvas.width = Math.max(Math.round(canvas.clientWidth * scale), 1);
      canvas.height = Math.max(Math.round(canvas.clientHeight * scale), 1);
      const context = canvas.getContext('2d');
      const width = canvas.width / this.data.bins;
      let [last, below] = [-1, 0];
      for (const [bin, state, share] of bins) {
        if (bin !== last) [last, below] = [bin, 0];
        const height = share * canvas.height;
        context.fillStyle = this.colors[state];
        context.fillRect(Math.floor(bin * width), canvas.height - below - height, Math.ceil(width), height);
        below += height;
      }
    }
  }
}
