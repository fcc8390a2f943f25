// The page: a conversation with a model of this server.

import { Answer, questionElement } from "./answer.js";
import { Conversation } from "./conversation.js";
import { byId, element } from "./dom.js";
import { Images } from "./images.js";
import { showMetrics } from "./metrics.js";
import { hasKey, models as askModels, setKey, stream } from "./server.js";
import { Settings } from "./settings.js";

const question = byId("question");
const turns = byId("conversation");
const settings = new Settings();
const conversation = new Conversation();
const images = new Images(
  () => currentModel()?.images ?? false,
  () => notify(`${currentModel()?.id ?? "The model"} takes no images.`),
);
let models = []; // of the server
let running = null; // stops the answer that comes

// ---- Models ----------------------------------------------------------------------------------

const currentModel = () => models.find(({ id }) => id === byId("model").value) ?? models[0];

function showModels() {
  const select = byId("model");
  const kept = select.value || localStorage.getItem("keel.model");
  select.replaceChildren(...models.map(({ id }) => element("option", { value: id }, id)));
  if (models.some(({ id }) => id === kept)) select.value = kept;
  select.hidden = models.length < 2;
  byId("only-model").textContent = models.length === 1 ? models[0].id : "";
  showModel();
}

function showModel() {
  const model = currentModel();
  byId("attach").hidden = !model?.images;
  byId("greeting").textContent = model ? `Ask ${model.id}` : "";
  document.title = model ? `${model.id} – Keel` : "Keel";
}

// Asks until the server has loaded its first model.
async function loadModels() {
  try {
    models = await askModels();
  } catch (error) {
    if (error.status === 401) return askKey();
    notify(error.message, error.status === 503);
    if (error.status === 503 || error.status === 0) setTimeout(loadModels, 1000);
    return;
  }
  notify(models.length === 0 ? "None of this server's models writes texts." : "");
  showModels();
}

function askKey() {
  byId("key-error").textContent = hasKey() ? "The server does not take this key." : "";
  if (!byId("ask-key").open) byId("ask-key").showModal();
}

// ---- What the page says ----------------------------------------------------------------------

function notify(text, isQuiet = false) {
  const notice = byId("notice");
  if (notice.textContent !== text) notice.textContent = text; // else it is read out again
  notice.classList.toggle("quiet", isQuiet);
}

// For screen readers: an answer once, when it is complete, not piece by piece. A long one they read
// where it stands.
const LONG = 500;
const announce = (text) =>
  (byId("announcer").textContent = text.length > LONG ? "The answer is complete." : text);

const isAtEnd = () => window.innerHeight + window.scrollY >= document.body.scrollHeight - 60;
let follows = true; // the end of the answer, as it comes

function toEnd() {
  window.scrollTo({ top: document.body.scrollHeight });
  follows = true;
  byId("to-end").hidden = true;
}

function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function showState() {
  byId("send").hidden = running !== null;
  byId("stop").hidden = running === null;
  byId("welcome").hidden = turns.childElementCount > 0;
}

// Only the last answer may be made again.
function addRegenerate(answer) {
  const button = element("button", { type: "button", className: "plain regenerate" }, "Regenerate");
  button.addEventListener("click", () => regenerate(answer));
  for (const old of turns.querySelectorAll(".regenerate")) old.remove();
  answer.addButton(button);
}

// ---- Questions and answers -------------------------------------------------------------------

// Streams an answer to the conversation as it is. False: nothing came of it.
async function takeAnswer() {
  const model = currentModel();
  const { turns: said } = conversation; // others after "New chat"
  const answer = new Answer(models.length > 1 ? model.id : "", () => follows && toEnd());
  running = new AbortController();
  turns.append(answer.element);
  notify("");
  announce("Answering");
  showState();
  toEnd();
  const ended = await takeEvents(answer, model);
  running = null;
  const isNothing = ended.note && answer.isEmpty;
  if (isNothing) {
    answer.element.remove();
    announce(ended.failed ? "" : ended.note);
    notify(ended.failed ? ended.note : "");
  } else {
    answer.finish(ended);
    said.push(answer.turn);
    addRegenerate(answer);
    announce(`${answer.turn.text} ${answer.turn.note ?? ""}`);
    if (!model.isLoaded) loadModels(); // it is now, and says what it takes
  }
  showState();
  conversation.save();
  return !isNothing;
}

// Gives why it ended before it was complete, if it did: {note, failed}.
async function takeEvents(answer, model) {
  try {
    const [path, body] = conversation.call(model, settings.values());
    for await (const event of stream(path, body, running.signal)) answer.take(event);
    return {};
  } catch (error) {
    if (error.name === "AbortError") return { note: "Stopped." };
    if (error.status === 401) askKey();
    return { note: error.message, failed: true };
  }
}

async function send() {
  const text = question.value.trim();
  if (running !== null || (!text && images.urls.length === 0)) return;
  if (models.length === 0) return loadModels();
  const asked = { role: "user", text, images: images.take() };
  question.value = "";
  grow();
  const { turns: said } = conversation;
  said.push(asked);
  const shown = questionElement(asked);
  turns.append(shown);
  if (await takeAnswer()) return;
  // What was typed goes back to where it was, before what was typed since.
  said.pop();
  shown.remove();
  question.value = [text, question.value].filter(Boolean).join("\n");
  images.restore(asked.images);
  grow();
  showState();
  conversation.save();
}

async function regenerate(old) {
  if (running !== null) return;
  question.focus();
  const { turns: said } = conversation;
  const turn = said.pop();
  old.element.remove();
  if ((await takeAnswer()) || said !== conversation.turns) return;
  said.push(turn);
  turns.append(old.element);
  showState();
  conversation.save();
}

const stop = () => running?.abort();

function newChat() {
  stop();
  conversation.turns = [];
  conversation.save();
  turns.replaceChildren();
  notify("");
  announce("New chat");
  showState();
  question.focus();
}

// ---- Events ----------------------------------------------------------------------------------

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
question.addEventListener("input", grow);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || running === null || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  stop();
});
byId("stop").addEventListener("click", () => {
  stop();
  question.focus();
});
byId("new-chat").addEventListener("click", newChat);
byId("model").addEventListener("change", () => {
  localStorage.setItem("keel.model", byId("model").value);
  showModel();
});
byId("examples").addEventListener("click", ({ target }) => {
  if (target.localName !== "button") return;
  question.value = target.textContent;
  question.focus();
  send();
});
byId("to-end").addEventListener("click", toEnd);
window.addEventListener("scroll", () => {
  follows = isAtEnd();
  byId("to-end").hidden = follows;
});

byId("ask-key").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key").value);
  byId("key").value = "";
  byId("ask-key").close();
  loadModels();
});
byId("no-key").addEventListener("click", () => byId("ask-key").close());
// A click beside a dialog closes it.
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
}

// ---- Start -----------------------------------------------------------------------------------

conversation.load();
let last = null;
for (const turn of conversation.turns) {
  last = turn.role === "user" ? null : Answer.of(turn);
  turns.append(last?.element ?? questionElement(turn));
}
if (last) addRegenerate(last);
showState();
toEnd();
loadModels();
showMetrics(byId("metrics"));
if (!matchMedia("(pointer: coarse)").matches) question.focus(); // no keyboard over half a phone
