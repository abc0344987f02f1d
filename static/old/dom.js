// Builds elements. All text goes in as text nodes, so what a flow or a contact says can never become markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element: h("button", { class: "primary", testid: "save", onclick: save }, "Save").
 * `on…` adds a listener, `testid` sets data-testid, true and false set and leave out an attribute; `value` and
 * `checked` are set as properties, because the attributes are only defaults.
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "testid") element.setAttribute("data-testid", value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  // A select's value holds only once its options are there.
  if (element.localName === "select" && properties?.value !== undefined) element.value = properties.value;
  return element;
}

/** Adds children: elements, texts, and lists of them; null and false are nothing. */
export function append(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Puts other children into an element. */
export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, ...children);
}

let lastId = 0;

/** An id for label and aria attributes, unique on this page. */
export function uniqueId(prefix = "f") {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/**
 * Makes the children of a parent show a list, touching only what changed: focus, selection and scrolling stay where
 * they are while live updates come in.
 */
export function keyed(parent, items, key, render) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    const mark = JSON.stringify(item);
    let child = old.get(id);
    old.delete(id);
    if (!child || child.mark !== mark) {
      const fresh = render(item);
      fresh.dataset.key = id;
      fresh.mark = mark;
      if (child) {
        const hadFocus = child.contains(document.activeElement);
        if (place === child) place = fresh;
        child.replaceWith(fresh);
        if (hadFocus) fresh.querySelector("a, button, input")?.focus();
      }
      child = fresh;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const gone of old.values()) gone.remove();
}
