
// The page: its data, its tabs, its theme, its search.
//
// Does: bring the views together. Does not: draw any.

const data = JSON.parse(byId('data').textContent);
const VIEWS = ['flame', 'functions', 'source', 'processes', 'threads', 'recording'].filter((view) => view !== 'processes' || data.processes);

function show(view) {
  for (const other of VIEWS) {
    const tab = byId(`tab-${other}`);
    tab.setAttribute('aria-selected', String(other === view));
    tab.tabIndex = other === view ? 0 : -1;
    byId(other).hidden = other !== view;
  }
}

function tabs() {
  for (const view of VIEWS) byId(`tab-${view}`).addEventListener('click', () => show(view));
  document.querySelector('nav').addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = VIEWS.findIndex((view) => event.target.id === `tab-${view}`);
    const to = VIEWS[at + step];
    if (at < 0 || to === undefined) return;
    show(to);
    byId(`tab-${to}`).focus();
  });
  show('flame');
}

/// The browser's choice, until the reader makes another.
function theme() {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const set = (isDark) => (document.documentElement.dataset.theme = isDark ? 'dark' : 'light');
  set(dark.matches);
  dark.addEventListener('change', () => set(dark.matches));
  byId('theme').addEventListener('click', () => set(document.documentElement.dataset.theme !== 'dark'));
}

function facts() {
  byId('title').textContent = data.title;
  byId('subtitle').textContent = data.subtitle;
  const rows = data.facts.flatMap((fact) => {
    const at = fact.indexOf(': ');
    return [element('dt', {}, fact.slice(0, at)), element('dd', {}, fact.slice(at + 2))];
  });
  byId('facts').replaceChildren(...rows);
  byId('empty').hidden = !data.empty;
  byId('empty').textContent = data.empty ? `No samples: ${data.empty}` : '';
}

theme();
facts();
tabs();
const flame = new FlameGraph(data);
const table = new FunctionTable(data, (name) => search(name, 'flame'));
new SourceView(data);
if (data.processes) new ProcessTable(data, (name) => search(name, 'flame'));
byId('tab-processes').hidden = !data.processes;
new ThreadView(data);
flame.draw();
flame.tell(0);

function search(text, view) {
  byId('search').value = text;
  flame.search(text);
  table.search(text);
  if (view) show(view);
}

byId('search').addEventListener('input', () => search(byId('search').value));
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !['INPUT', 'SELECT'].includes(event.target.tagName)) {
    event.preventDefault();
    byId('search').focus();
  } else if (event.key === 'Escape' && event.target.id === 'search') {
    search('');
    byId('search').blur();
  }
});
