
// Lines of source with the time that they took.
//
// Does: show one file at a time, and lead to its hottest lines. Does not: read files; what the page has is in its data.

class SourceView {
  constructor(data) {
    this.data = data;
    this.hot = [];
    this.next = 0;
    const option = ({ name, total }, index) => element('option', { value: index }, `${percent(total, data.total)}  ${name}`);
    byId('file').replaceChildren(...data.files.map(option));
    byId('file').value = String(data.opens);
    byId('file').addEventListener('change', () => this.draw());
    byId('hottest').addEventListener('click', () => this.toHot());
    this.wasHidden = true;
    new ResizeObserver(() => this.reveal()).observe(byId('code'));
    this.draw();
  }

  /// What is hidden cannot be scrolled: when it is shown, the line that is marked comes into view.
  reveal() {
    const isHidden = byId('code').clientHeight === 0;
    if (this.wasHidden && !isHidden) this.scroll();
    this.wasHidden = isHidden;
  }

  draw() {
    const file = this.data.files[Number(byId('file').value)];
    const code = byId('code');
    code.replaceChildren();
    this.marked = null;
    byId('file-note').textContent = file ? (file.missing ?? '') : 'No Python file was seen.';
    byId('hottest').disabled = !file;
    if (!file) return;
    const heat = new Map(file.heat.map(([line, own, total]) => [line, { own, total }]));
    const most = Math.max(...file.heat.map(([, , total]) => total), 1);
    const head = element('div', { className: 'row head' });
    head.append(...['self', 'total', 'line'].map((name) => element('span', {}, name)), element('code', {}, file.name));
    // Without its text a file has the lines that were seen.
    const numbers = file.lines.length > 0 ? file.lines.map((_, index) => index + 1) : file.heat.map(([line]) => line);
    this.rows = new Map();
    code.append(head, ...numbers.map((line) => this.row(line, file.lines[line - 1] ?? '', heat.get(line), most)));
    this.hot = [...file.heat].sort((a, b) => b[1] - a[1] || b[2] - a[2]).map(([line]) => line).filter((line) => this.rows.has(line));
    this.next = 0;
    code.scrollTop = 0;
    if (this.hot.length > 0) this.toHot();
  }

  row(line, text, heat, most) {
    const share = (part) => (part > 0 ? percent(part, this.data.total) : '');
    const made = element(
      'div',
      { className: 'row' },
      element('span', { className: 'own' }, share(heat?.own ?? 0)),
      element('span', { className: 'total' }, share(heat?.total ?? 0)),
      element('span', {}, String(line)),
      element('code', {}, text),
    );
    if (heat) made.style.background = `rgb(var(--hot) / ${(0.06 + (0.5 * heat.total) / most).toFixed(3)})`;
    this.rows.set(line, made);
    return made;
  }

  toHot() {
    const row = this.rows.get(this.hot[this.next % this.hot.length]);
    this.next += 1;
    for (const other of this.rows.values()) other.classList.toggle('here', other === row);
    this.marked = row;
    this.scroll();
  }

  /// Only the code moves, not the page.
  scroll() {
    const code = byId('code');
    if (this.marked) code.scrollTop = this.marked.offsetTop - code.offsetTop - code.clientHeight / 2;
  }
}
