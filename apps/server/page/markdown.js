// What models write as nodes of the page: code, lists, bold. All else stays text as it came, and no
// text is ever read as HTML.

import { copyButton, element } from "./dom.js";

const FENCE = /^\s*(```+|~~~+)\s*([\w+#.-]*)/;
const HEADING = /^#{1,6}\s+(.*)$/;
const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const INLINE = /(`+)(.*?[^`])\1(?!`)|\*\*(\S|\S.*?\S)\*\*/gs;

// `text` as a list of {kind: "text" | "heading" | "list" | "code", ...}.
function blocksOf(text) {
  const blocks = [];
  let open = null; // the block that the next line may belong to
  let blank = false;
  const begin = (block) => blocks.push((open = block));
  for (const line of text.split("\n")) {
    const after = blank; // a blank line came before
    blank = false;
    const [, fence, language] = FENCE.exec(line) ?? [];
    const [, title] = HEADING.exec(line) ?? [];
    const item = ITEM.exec(line);
    if (open?.kind === "code") {
      const ends = fence?.startsWith(open.fence) && !language;
      if (ends) open = null;
      else open.lines.push(line);
    } else if (fence) {
      begin({ kind: "code", fence, language, lines: [] });
    } else if (title !== undefined) {
      begin({ kind: "heading", text: title });
      open = null;
    } else if (item) {
      const [, indent, number, words] = item;
      if (open?.kind !== "list") begin({ kind: "list", items: [] });
      open.items.push({ indent: indent.length, number, text: words });
    } else if (!line.trim()) {
      blank = true;
      if (open?.kind === "text") open = null;
    } else if (open?.kind === "list" && (!after || /^\s/.test(line))) {
      open.items.at(-1).text += "\n" + line.trim();
    } else if (open?.kind === "text") {
      open.text += "\n" + line;
    } else {
      begin({ kind: "text", text: line });
    }
  }
  return blocks;
}

function withInline(parent, text) {
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    const [all, , code, bold] = match;
    parent.append(text.slice(at, match.index));
    parent.append(
      code === undefined ? withInline(element("strong"), bold) : element("code", {}, code.trim()),
    );
    at = match.index + all.length;
  }
  parent.append(text.slice(at));
  return parent;
}

function listOf(items) {
  const top = element("div");
  const levels = []; // lists that are open, the outermost first
  for (const { indent, number, text } of items) {
    while (levels.length > 0 && levels.at(-1).indent > indent) levels.pop();
    const name = number === undefined ? "ul" : "ol";
    const open = levels.at(-1);
    if (open?.indent !== indent || open.list.localName !== name) {
      if (open?.indent === indent) levels.pop();
      const list = element(name);
      if (number !== undefined) list.start = Number(number);
      (levels.at(-1)?.list.lastElementChild ?? top).append(list);
      levels.push({ indent, list });
    }
    levels.at(-1).list.append(withInline(element("li"), text));
  }
  return top;
}

function codeOf({ language, lines }) {
  const text = lines.join("\n");
  const label = language ? `Code, ${language}` : "Code";
  const pre = element("pre", { tabIndex: 0 }, element("code", {}, text));
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", label);
  const head = element("div", { className: "bar" }, language ?? "", copyButton(() => text));
  return element("div", { className: "code" }, head, pre);
}

function nodeOf(block) {
  if (block.kind === "code") return codeOf(block);
  if (block.kind === "list") return listOf(block.items);
  const text = withInline(element("p"), block.text);
  if (block.kind === "heading") text.className = "heading";
  return text;
}

const sources = new WeakMap(); // of nodes

// Makes `parent` show `text`. What it shows already stays, so a text may grow at little cost.
export function show(parent, text) {
  const blocks = blocksOf(text);
  blocks.forEach((block, i) => {
    const source = JSON.stringify(block);
    const old = parent.children[i];
    if (old && sources.get(old) === source) return;
    const node = nodeOf(block);
    sources.set(node, source);
    if (old) old.replaceWith(node);
    else parent.append(node);
  });
  while (parent.children.length > blocks.length) parent.lastElementChild.remove();
}
