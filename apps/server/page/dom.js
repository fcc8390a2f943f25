// Short ways to elements.

export const byId = (id) => document.getElementById(id);

// Text becomes text nodes, never markup.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A button that copies what `text` gives; nothing where the browser lets no page copy.
export function copyButton(text) {
  if (!navigator.clipboard) return "";
  const button = element("button", { type: "button", className: "plain" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}
