
// The table of functions.
//
// Does: sort, filter, and lead to the flame graph; shows functions of Python with the native ones that they call, or each by itself.
// Does not: know how the graph is drawn.

const ROWS = 300;
const COLUMNS = [
  { name: 'Self', key: 'own', isNumber: true },
  { name: 'Total', key: 'total', isNumber: true },
  { name: '', key: null },
  { name: 'Function', key: 'name' },
  { name: 'File or module', key: 'place' },
];

const isPython = ({ id }) => ['user', 'standard_library', 'installed_package'].includes(id);

class FunctionTable {
  /// `open(name)` is called for the function that is chosen.
  constructor(data, open) {
    this.data = data;
    this.open = open;
    this.sort = { key: 'own', isUp: false };
    this.filter = '';
    this.most = ROWS;
    const native = byId('native');
    native.checked = !data.functions.some(({ kind }) => isPython(data.kinds[kind]));
    native.addEventListener('change', () => this.draw());
    byId('columns').replaceChildren(...COLUMNS.map((column) => this.head(column)));
    this.draw();
  }

  head({ name, key, isNumber }) {
    const cell = element('th', { scope: 'col', className: isNumber ? 'number' : '' });
    if (key === null) return cell;
    const button = element('button', { type: 'button' }, name);
    button.addEventListener('click', () => {
      // Numbers begin with the largest, names with the first.
      this.sort = { key, isUp: this.sort.key === key ? !this.sort.isUp : !isNumber };
      this.draw();
    });
    cell.dataset.key = key;
    cell.append(button);
    return cell;
  }

  search(text) {
    this.filter = text.toLowerCase();
    this.most = ROWS;
    this.draw();
  }

  rows() {
    const { key, isUp } = this.sort;
    const has = (text) => (text ?? '').toLowerCase().includes(this.filter);
    const order = (a, b) => (typeof a[key] === 'number' ? a[key] - b[key] : (a[key] ?? '').localeCompare(b[key] ?? ''));
    const isShown = ({ kind }) => byId('native').checked || isPython(this.data.kinds[kind]);
    const shown = this.data.functions.filter((row) => isShown(row) && (has(row.name) || has(row.place)));
    const rows = shown.map((row) => (byId('native').checked ? row : { ...row, own: row.inside }));
    return rows.sort((a, b) => (isUp ? order(a, b) : order(b, a)));
  }

  draw() {
    for (const cell of byId('columns').children) {
      cell.removeAttribute('aria-sort');
      if (cell.dataset.key === this.sort.key) cell.setAttribute('aria-sort', this.sort.isUp ? 'ascending' : 'descending');
    }
    const rows = this.rows();
    byId('rows').replaceChildren(...rows.slice(0, this.most).map((row) => this.row(row)));
    const more = byId('more');
    more.replaceChildren();
    if (rows.length > this.most) {
      const button = element('button', { type: 'button' }, `Show all ${rows.length}`);
      button.addEventListener('click', () => {
        this.most = rows.length;
        this.draw();
      });
      more.append(button);
    } else if (rows.length === 0) {
      more.textContent = 'No function is called so.';
    }
    const { without_python: without, total } = this.data;
    if (!byId('native').checked && without > 0) {
      more.append(element('p', {}, `${percent(without, total)} is of stacks without a function of Python.`));
    }
  }

  row({ name, place, kind, own, total }) {
    const whole = this.data.total;
    const bars = [own, total].map((part) => {
      const bar = element('b');
      bar.style.width = `${whole > 0 ? (100 * part) / whole : 0}%`;
      return bar;
    });
    const { color, name: what } = this.data.kinds[kind];
    const button = element('button', { type: 'button', title: `${what}: show in the flame graph` }, name);
    button.addEventListener('click', () => this.open(name));
    return element(
      'tr',
      {},
      element('td', { className: 'number' }, percent(own, whole)),
      element('td', { className: 'number' }, percent(total, whole)),
      element('td', { className: 'share' }, ...bars),
      element('td', {}, swatch(color), button),
      element('td', {}, element('span', { className: 'place' }, place ?? '')),
    );
  }
}
