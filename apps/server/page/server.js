// What the page asks of the server, and the words for what goes wrong.

const KEY = "keel.key";

// In this tab only: others of the machine's users find nothing on the disk.
export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const setKey = (key) => sessionStorage.setItem(KEY, key);

// `status` is HTTP's, 0 where there was no answer at all.
export class ServerError extends Error {
  constructor(message, status) {
    const text = message.trim() || `the server answered with status ${status}`;
    super(text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : "."));
    this.status = status;
  }
}

function words(body) {
  try {
    const { error } = JSON.parse(body);
    return error?.message ?? String(error ?? "");
  } catch {
    return "";
  }
}

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  if (options.body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("the server cannot be reached", 0);
  }
  if (!response.ok) throw new ServerError(words(await response.text()), response.status);
  return response;
}

// Models that give texts. Of one that is yet to be loaded it is not known what it takes.
export async function models() {
  const { data } = await (await ask("v1/models")).json();
  return data
    .filter(({ keel }) => (keel?.task ?? "generate") === "generate")
    .map(({ id, keel }) => ({
      id,
      isLoaded: Boolean(keel),
      images: keel?.modalities?.includes("image") ?? false,
      chats: keel?.has_chat_template ?? true,
    }));
}

export const metrics = async () => (await ask("metrics")).text();

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield* parts;
    }
  } finally {
    reader.cancel().catch(() => {}); // it failed, or nobody wants the rest
  }
}

// The events of a streamed answer, as they come.
export async function* stream(path, body, signal) {
  const options = { include_usage: true, continuous_usage_stats: true };
  const response = await ask(path, {
    method: "POST",
    body: JSON.stringify({ ...body, stream: true, stream_options: options }),
    signal,
  });
  let isDone = false;
  try {
    for await (const line of lines(response)) {
      if (!line.startsWith("data: ")) continue;
      const data = line.slice(6);
      isDone = data === "[DONE]";
      if (isDone) continue; // to the end, so that the connection serves again
      const event = JSON.parse(data);
      if (event.error) throw new ServerError(event.error.message ?? String(event.error), 500);
      yield event;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ServerError) throw error;
    throw new ServerError("the connection to the server broke", 0);
  }
  if (!isDone) throw new ServerError("the server ended in the middle of the answer", 0);
}
