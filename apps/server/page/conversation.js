// What was said so far. A reload of the tab keeps it; nothing else does.

const STORE = "keel.conversation";

function content({ role, text, images }) {
  if (role !== "user" || images.length === 0) return text;
  const parts = images.map((url) => ({ type: "image_url", image_url: { url } }));
  if (text) parts.push({ type: "text", text });
  return parts;
}

export class Conversation {
  // {role, text} and of a user images, of an assistant reasoning, model, note, stats.
  turns = [];

  load() {
    try {
      this.turns = JSON.parse(sessionStorage.getItem(STORE)) ?? [];
    } catch {
      this.turns = [];
    }
  }

  save() {
    try {
      sessionStorage.setItem(STORE, JSON.stringify(this.turns));
    } catch {
      sessionStorage.removeItem(STORE); // more images than the browser keeps
    }
  }

  // The call for the next answer: path and body. A model without a chat template goes on with the text.
  call(model, { system, ...sampling }) {
    if (!model.chats) {
      const prompt = this.turns.map(({ text }) => text).join("");
      return ["v1/completions", { model: model.id, prompt, max_tokens: 256, ...sampling }];
    }
    const messages = this.turns.map((turn) => ({ role: turn.role, content: content(turn) }));
    if (system) messages.unshift({ role: "system", content: system });
    return ["v1/chat/completions", { model: model.id, messages, ...sampling }];
  }
}
