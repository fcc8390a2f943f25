// The turns of a conversation as the page shows them.

import { copyButton, element } from "./dom.js";
import { show } from "./markdown.js";

function turnElement(kind, heading) {
  const turn = element("article", { className: `turn ${kind}` });
  turn.append(element("h2", { className: "unseen" }, heading));
  return turn;
}

export function questionElement({ text, images }) {
  const turn = turnElement("question", "You");
  if (images.length > 0) {
    const row = images.map((src, i) => element("img", { src, alt: `Image ${i + 1}` }));
    turn.append(element("div", { className: "images" }, ...row));
  }
  if (text) turn.append(element("p", {}, text));
  return turn;
}

const duration = (ms) =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

// An answer while it comes and after. `turn` is what of it goes on in the conversation.
export class Answer {
  turn = { role: "assistant", text: "", reasoning: "" };
  tokens = 0;
  #reasoning = element("details", { className: "reasoning", hidden: true });
  #summary = element("summary", {}, "Reasoning");
  #thoughts = element("div");
  #text = element("div", { className: "text" });
  #stats = element("span", { className: "stats" });
  #start = performance.now();
  #first = 0; // when the first piece came
  #last = 0;
  #thought = 0; // when the reasoning was over
  #frame = 0;

  // `onShown` is called when the page has more of it.
  constructor(model, onShown) {
    this.turn.model = model;
    this.onShown = onShown;
    this.#reasoning.append(this.#summary, this.#thoughts);
    this.element = turnElement("answer", "Answer");
    const foot = element("div", { className: "foot" }, this.#stats);
    this.element.append(this.#reasoning, this.#text, foot);
    this.element.ariaBusy = "true";
  }

  // One that was finished before.
  static of(turn) {
    const answer = new Answer(turn.model, () => {});
    answer.turn = turn;
    answer.#close();
    return answer;
  }

  get isEmpty() {
    return !this.turn.text && !this.turn.reasoning;
  }

  // Takes one event of the stream.
  take({ choices, usage }) {
    this.tokens = usage?.completion_tokens ?? this.tokens;
    const [choice] = choices;
    if (!choice) return;
    const text = choice.delta?.content ?? choice.text ?? "";
    const reasoning = choice.delta?.reasoning_content ?? "";
    if (choice.finish_reason === "length") this.turn.note = "Ended at the most tokens it may have.";
    if (!text && !reasoning) return;
    this.#last = performance.now();
    this.#first ||= this.#last;
    if (text && this.turn.reasoning) this.#thought ||= this.#last;
    this.turn.text += text;
    this.turn.reasoning += reasoning;
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  // It is complete, or as complete as it gets: `note` says why, `failed` whether that is a fault.
  finish({ note, failed }) {
    if (note) Object.assign(this.turn, { note, failed });
    else if (this.isEmpty) this.turn.note = "The model said nothing.";
    this.turn.stats = this.#measure();
    this.#close();
    this.onShown();
  }

  addButton(button) {
    this.#stats.before(button);
  }

  #close() {
    cancelAnimationFrame(this.#frame);
    this.element.ariaBusy = null;
    this.#show();
    const { note, failed, stats, text } = this.turn;
    if (note) this.#text.append(element("p", { className: failed ? "note failed" : "note" }, note));
    this.#stats.textContent = stats ?? "";
    if (text) this.#stats.before(copyButton(() => this.turn.text));
  }

  #measure() {
    const parts = [];
    if (this.turn.model) parts.push(this.turn.model);
    if (this.tokens > 0) parts.push(`${this.tokens} token${this.tokens === 1 ? "" : "s"}`);
    const span = this.#last - this.#first;
    if (this.tokens > 1 && span > 0) {
      parts.push(`${Math.round(((this.tokens - 1) * 1000) / span)} tokens/s`);
    }
    if (this.#first) parts.push(`first after ${duration(this.#first - this.#start)}`);
    return parts.join(" · ");
  }

  #show() {
    this.#frame = 0;
    const { reasoning, text } = this.turn;
    if (reasoning) {
      this.#reasoning.hidden = false;
      const isThinking = this.element.ariaBusy && !text;
      const took = this.#thought ? ` for ${duration(this.#thought - this.#first)}` : "";
      this.#summary.textContent = isThinking ? "Thinking" : `Thought${took}`;
      show(this.#thoughts, reasoning);
    }
    show(this.#text, text);
    this.onShown();
  }
}
