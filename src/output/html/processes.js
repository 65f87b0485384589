
// The table of processes, where there are several.
//
// Does: tell what each has used, and lead to its part of the flame graph. Does not: know how that is drawn.

class ProcessTable {
  /// `open(name)` is called for the process that is chosen.
  constructor(data, open) {
    const all = data.processes.reduce((sum, process) => sum + process.cpu, 0);
    const row = ({ name, cpu, stacks }) => {
      const button = element('button', { type: 'button' }, name);
      button.addEventListener('click', () => open(name));
      const number = (text) => element('td', { className: 'number' }, text);
      return element('tr', {}, number(seconds(cpu)), number(percent(cpu, all)), number(String(stacks)), element('td', {}, button));
    };
    byId('processes-rows').replaceChildren(...data.processes.map(row));
  }
}
