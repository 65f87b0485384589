
// Elements and numbers as text.
//
// Does: make elements; all text becomes text nodes, whatever names hold. Does not: know any view.

const byId = (id) => document.getElementById(id);

/// An element with properties and children; a text is a child, too.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/// A mark in a colour.
function swatch(color) {
  const made = element('i');
  made.style.background = color;
  return made;
}

function percent(part, whole) {
  const share = whole > 0 ? (100 * part) / whole : 0;
  return `${share.toFixed(share >= 9.95 || share === 0 ? 1 : 2)} %`;
}

function seconds(value) {
  if (value >= 100) return `${value.toFixed(0)} s`;
  if (value >= 1) return `${value.toFixed(2)} s`;
  return `${(1000 * value).toFixed(0)} ms`;
}

const count = (number, one) => `${number.toLocaleString('en')} ${one}${number === 1 ? '' : 's'}`;
