// Asks a server by OpenAI's client: node openai_node.mjs CLIENT URL KEY MODEL QUESTION ANSWER
import assert from "node:assert/strict";
import test from "node:test";

const [path, url, apiKey, model, question, answer] = process.argv.slice(2);
const { default: OpenAI, NotFoundError } = await import(path);

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const body = { model, messages, temperature: 0 };
const tools = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: {
        type: "object",
        properties: { city: { enum: ["Rome", "Paris"] } },
        required: ["city"],
      },
    },
  },
];

test("chat", async () => {
  const completion = await client.chat.completions.create(body);
  assert.equal(completion.choices[0].message.content, answer);
  assert.ok(completion.usage.completion_tokens > 5);
});

test("chat streams", async () => {
  const stream = await client.chat.completions.create({
    ...body,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, answer);
  assert.ok(usage.completion_tokens > 5);
  const whole = await client.chat.completions.stream(body).finalChatCompletion();
  assert.equal(whole.choices[0].message.content, answer);
});

test("a stream is left", async () => {
  const stream = await client.chat.completions.create({ ...body, stream: true });
  for await (const chunk of stream) break;
  assert.ok(stream.controller.signal.aborted);
});

test("tools", async () => {
  const fields = { ...body, tools, tool_choice: "required", parallel_tool_calls: false };
  const { choices } = await client.chat.completions.create({ ...fields, max_tokens: 256 });
  assert.equal(choices[0].finish_reason, "tool_calls");
  const call = choices[0].message.tool_calls[0].function;
  assert.equal(call.name, "weather");
  assert.ok(["Rome", "Paris"].includes(JSON.parse(call.arguments).city));
});

test("responses", async () => {
  const fields = { model, input: question, temperature: 0 };
  const response = await client.responses.create(fields);
  assert.equal(response.status, "completed");
  assert.equal(response.output_text, answer);
  let text = "";
  for await (const event of await client.responses.create({ ...fields, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert.equal(text, answer);
  const whole = await client.responses.stream(fields).finalResponse();
  assert.equal(whole.output_text, answer);
});

test("models and errors", async () => {
  const names = [];
  for await (const found of client.models.list()) names.push(found.id);
  assert.deepEqual(names, [model]);
  await assert.rejects(client.chat.completions.create({ ...body, model: "gpt" }), NotFoundError);
});
