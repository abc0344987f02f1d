// A plain textarea made fit for JSON: line numbers, indenting, marked lines, jumping to a place.

import { h, replace, uniqueId } from "./dom.js";

const INDENT = "  ";

/** Makes an editor. `onchange` is called after every change by hand, `onsave` on Ctrl+S and Cmd+S. */
export function createEditor({ label, text, onchange, onsave, readOnly = false }) {
  const hint = uniqueId("editor-hint");
  const gutter = h("pre", { class: "gutter", "aria-hidden": "true" });
  const area = h("textarea", {
    class: "code", testid: readOnly ? undefined : "editor-text", "aria-label": label, "aria-describedby": readOnly ? null : hint, readonly: readOnly,
    spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off", wrap: "off", value: text,
  });
  const element = h("div", { class: "editor" }, gutter, area);
  const help = readOnly ? null : h("p", { class: "hint", id: hint }, "Tab indents; press Escape, then Tab, to leave the text. Ctrl+S or ⌘S saves.");
  let lineCount = 0;
  let marks = new Map();
  let mayLeave = false;

  function drawGutter() {
    const lines = [];
    let plain = [];
    for (let line = 1; line <= lineCount; line += 1) {
      const kind = marks.get(line);
      if (!kind) {
        plain.push(line);
        continue;
      }
      if (plain.length > 0) lines.push(`${plain.join("\n")}\n`);
      plain = [];
      lines.push(h("span", { class: `mark-${kind}` }, line), "\n");
    }
    lines.push(plain.join("\n"));
    replace(gutter, lines);
  }

  function changed() {
    const count = area.value.split("\n").length;
    if (count !== lineCount) {
      lineCount = count;
      drawGutter();
    }
  }

  // What is typed through this command can be undone with the browser's own undo; setting the value cannot.
  function insert(replacement) {
    if (!document.execCommand("insertText", false, replacement)) {
      area.setRangeText(replacement, area.selectionStart, area.selectionEnd, "end");
      area.dispatchEvent(new Event("input"));
    }
  }

  function indentLines(outwards) {
    const { value, selectionStart, selectionEnd } = area;
    const start = value.lastIndexOf("\n", selectionStart - 1) + 1;
    const block = value.slice(start, selectionEnd);
    const moved = outwards ? block.replace(/^ {1,2}/gm, "") : block.replace(/^(?=.)/gm, INDENT);
    if (moved === block) return;
    const first = outwards ? -/^ {0,2}/.exec(block)[0].length : INDENT.length;
    area.setSelectionRange(start, selectionEnd);
    insert(moved);
    area.setSelectionRange(Math.max(start, selectionStart + first), start + moved.length);
  }

  function pressed(event) {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
      event.preventDefault();
      onsave?.();
      return;
    }
    if (event.key === "Escape") {
      mayLeave = true;
      return;
    }
    if (event.key === "Tab" && !readOnly && !mayLeave && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      if (event.shiftKey || area.value.slice(area.selectionStart, area.selectionEnd).includes("\n")) indentLines(event.shiftKey);
      else insert(INDENT);
      return;
    }
    if (event.key === "Enter" && !readOnly && !event.ctrlKey && !event.metaKey && !event.isComposing) {
      const { value, selectionStart } = area;
      const line = value.slice(value.lastIndexOf("\n", selectionStart - 1) + 1, selectionStart);
      const opens = /[[{]\s*$/.test(line);
      event.preventDefault();
      insert(`\n${/^ */.exec(line)[0]}${opens ? INDENT : ""}`);
    }
    if (!["Shift", "Control", "Alt", "Meta"].includes(event.key)) mayLeave = false;
  }

  area.addEventListener("keydown", pressed);
  area.addEventListener("blur", () => { mayLeave = false; });
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
  area.addEventListener("input", () => {
    changed();
    onchange?.(area.value);
  });
  changed();

  return {
    element,
    help,
    area,
    get text() { return area.value; },
    /** Replaces the whole text; with `undoable` so that the browser's undo brings the old one back. */
    setText(value, { undoable = false } = {}) {
      if (value === area.value) return;
      if (undoable) {
        area.focus();
        area.select();
        insert(value);
        area.setSelectionRange(0, 0);
        area.scrollTop = 0;
      } else {
        area.value = value;
      }
      changed();
    },
    /** Marks lines in the gutter: a map of line to "error" or "warning". */
    setMarks(lines) {
      const isSame = lines.size === marks.size && [...lines].every(([line, kind]) => marks.get(line) === kind);
      if (isSame) return;
      marks = lines;
      drawGutter();
      gutter.scrollTop = area.scrollTop;
    },
    /** Selects a range and brings it into view. */
    select(start, end) {
      area.focus();
      area.setSelectionRange(start, end);
      const before = area.value.slice(0, start);
      const line = before.split("\n").length - 1;
      const height = Number.parseFloat(getComputedStyle(area).lineHeight);
      area.scrollTop = Math.max(0, line * height - area.clientHeight / 3);
      const column = start - (before.lastIndexOf("\n") + 1);
      const letter = Number.parseFloat(getComputedStyle(area).fontSize) * 0.6;
      area.scrollLeft = Math.max(0, column * letter - area.clientWidth / 2);
      area.scrollIntoView({ block: "nearest" });
    },
  };
}
