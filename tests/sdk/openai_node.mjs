// Exercises the official OpenAI SDK for Node; prints what it saw as JSON.
// Usage: node openai_node.mjs FOLDER SCENARIO BASE_URL KEY, where FOLDER holds node_modules/openai.

import { createRequire } from "node:module";

const [folder, scenario, baseURL, apiKey] = process.argv.slice(2);
const require = createRequire(`${folder}/from-here.js`);
const OpenAI = require("openai");

const client = new OpenAI({ baseURL, apiKey, timeout: 20_000 });
const messages = [{ role: "user", content: "hello node" }];

const own = (headers) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith("x-standfast-")));

const problem = async (promise) => {
  try {
    await promise;
    return { name: "none" };
  } catch (error) {
    return {
      name: error.constructor.name,
      isAPIError: error instanceof OpenAI.APIError,
      status: error.status ?? null,
      code: error.code ?? null,
      param: error.param ?? null,
      type: error.type ?? null,
      shouldRetry: error.headers?.get?.("x-should-retry") ?? null,
    };
  }
};

const drain = async (stream) => {
  const seen = { text: "", finish: [], usage: null, models: [] };
  for await (const chunk of stream) {
    seen.usage = chunk.usage ?? seen.usage;
    if (!seen.models.includes(chunk.model)) seen.models.push(chunk.model);
    for (const choice of chunk.choices) {
      seen.text += choice.delta.content ?? "";
      if (choice.finish_reason) seen.finish.push(choice.finish_reason);
    }
  }
  return seen;
};

const scenarios = {
  async answers() {
    const seen = {};
    for (const model of ["gpt-4.1", "claude", "gemini"]) {
      const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
      const stream = await client.chat.completions.create({
        model,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      const helper = client.chat.completions.stream({ model, messages });
      seen[model] = {
        text: data.choices[0].message.content,
        finish: data.choices[0].finish_reason,
        usage: data.usage,
        headers: own(response.headers),
        stream: await drain(stream),
        helper: await helper.finalContent(),
      };
    }
    return seen;
  },

  async embeddings() {
    const model = "text-embedding-3-small";
    const packed = await client.embeddings.create({ model, input: ["one", "two"] });
    const plain = await client.embeddings.create({ model, input: ["one", "two"], encoding_format: "float" });
    return { packed: packed.data.map((row) => row.embedding), plain: plain.data.map((row) => row.embedding) };
  },

  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return { names, one: (await client.models.retrieve("claude")).id };
  },

  async errors() {
    const chat = client.chat.completions;
    const stranger = new OpenAI({ baseURL, apiKey: "sk-nobody" });
    const tools = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }];
    return {
      key: await problem(stranger.chat.completions.create({ model: "gpt-4.1", messages })),
      model: await problem(chat.create({ model: "gpt-5000", messages })),
      body: await problem(chat.create({ model: "gpt-4.1", messages, stream: "please" })),
      tools: await problem(chat.create({ model: "claude", messages, tools })),
    };
  },

  async refusal() {
    return problem(client.chat.completions.create({ model: "gpt-4.1", messages }));
  },

  async stream() {
    const stream = await client.chat.completions.create({ model: "gpt-4.1", messages, stream: true });
    return drain(stream);
  },

  async broken() {
    const seen = { text: "", finish: [] };
    const read = async () => {
      for await (const chunk of await client.chat.completions.create({ model: "gpt-4.1", messages, stream: true })) {
        seen.text += chunk.choices[0]?.delta.content ?? "";
        if (chunk.choices[0]?.finish_reason) seen.finish.push(chunk.choices[0].finish_reason);
      }
    };
    const error = await problem(read());
    return { ...seen, error };
  },

  async abort() {
    const stream = await client.chat.completions.create({ model: "gpt-4.1", messages, stream: true });
    let chunks = 0;
    for await (const chunk of stream) {
      chunks += chunk.choices.length;
      if (chunks === 3) stream.controller.abort();
    }
    return { chunks };
  },
};

const result = await scenarios[scenario]();
process.stdout.write(`${JSON.stringify(result)}\n`);
