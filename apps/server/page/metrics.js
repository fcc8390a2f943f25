// What the server does, read off /metrics while somebody looks.

import { metrics } from "./server.js";

const INTERVAL_MS = 1000;
const NAMES = {
  tokens: "vllm:generation_tokens_total",
  cache: "vllm:kv_cache_usage_perc",
  running: "vllm:num_requests_running",
  waiting: "vllm:num_requests_waiting",
};

// Of all models together; of caches the fullest.
function read(text) {
  const values = { tokens: 0, cache: 0, running: 0, waiting: 0 };
  for (const line of text.split("\n")) {
    for (const [key, name] of Object.entries(NAMES)) {
      if (!line.startsWith(name) || !" {".includes(line[name.length])) continue;
      const value = Number(line.slice(line.lastIndexOf(" ")));
      values[key] = key === "cache" ? Math.max(values[key], value) : values[key] + value;
    }
  }
  return { ...values, at: performance.now() };
}

// With a decimal place where it says something.
const short = (number) => (number >= 9.95 || number === 0 ? Math.round(number) : number.toFixed(1));

export function showMetrics(list) {
  const cells = Object.fromEntries(
    [...list.querySelectorAll("dd")].map((cell) => [cell.dataset.metric, cell]),
  );
  let before = null;
  let timer = 0;

  async function poll() {
    try {
      const now = read(await metrics());
      const made = before ? Math.max(0, now.tokens - before.tokens) : 0;
      const rate = before ? (made * 1000) / (now.at - before.at) : 0;
      before = now;
      cells.rate.textContent = short(rate);
      cells.cache.textContent = `${short(now.cache * 100)} %`;
      cells.running.textContent = now.running;
      cells.waiting.textContent = now.waiting;
    } catch {
      before = null;
      for (const cell of Object.values(cells)) cell.textContent = "–";
    }
    timer = document.hidden ? 0 : setTimeout(poll, INTERVAL_MS);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || timer !== 0) return;
    before = null;
    poll();
  });
  poll();
}
