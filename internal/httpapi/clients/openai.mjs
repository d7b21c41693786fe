// Asks a node that serves the demo model in the ways of OpenAI's own JavaScript
// client, and fails where an answer is not what it should be:
//
//	node openai.mjs http://127.0.0.1:4180
//
// MOESWARM_API_KEY holds the node's key, if it wants one.
import assert from "node:assert/strict";
import OpenAI from "openai";

const host = process.argv[2] ?? "http://127.0.0.1:4180";
const client = new OpenAI({baseURL: host + "/v1", apiKey: process.env.MOESWARM_API_KEY ?? "none", maxRetries: 5});
const model = (await client.models.list()).data[0].id;
const ask = {model, temperature: 0, max_completion_tokens: 12, messages: [{role: "user", content: "func main() {"}]};

async function check(what, f) {
    await f();
    console.log("ok", what);
}

let text;

await check("a chat, with log-probabilities", async () => {
    const {data, response} = await client.chat.completions.create({...ask, logprobs: true, top_logprobs: 2}).withResponse();
    text = data.choices[0].message.content;
    assert.equal(data.object, "chat.completion");
    assert.ok(text.length > 0);
    assert.equal(data.choices[0].logprobs.content.length, data.usage.completion_tokens);
    assert.equal(data.choices[0].logprobs.content[0].top_logprobs.length, 2);
    assert.match(response.headers.get("x-moeswarm-route"), /^gates=/);
    assert.match(response.headers.get("server-timing"), /rounds;desc="[1-9]/);
});

await check("the same, streamed, with usage", async () => {
    let all = "", usage;
    for await (const part of await client.chat.completions.create({...ask, stream: true, stream_options: {include_usage: true}})) {
        all += part.choices[0]?.delta?.content ?? "";
        usage = part.usage ?? usage;
    }
    assert.equal(all, text);
    assert.ok(usage.completion_tokens > 0 && usage.total_tokens === usage.prompt_tokens + usage.completion_tokens);
});

await check("the helper for streams", async () => {
    const final = await client.chat.completions.stream(ask).finalChatCompletion();
    assert.equal(final.choices[0].message.content, text);
});

await check("two answers to a schema", async () => {
    const schema = {type: "object", properties: {name: {type: "string", maxLength: 8}, age: {type: "integer", minimum: 0, maximum: 150}}, required: ["name", "age"], additionalProperties: false};
    const r = await client.chat.completions.create({...ask, n: 2, temperature: 1, seed: 3, max_completion_tokens: 120,
        response_format: {type: "json_schema", json_schema: {name: "person", schema, strict: true}}});
    assert.equal(r.choices.length, 2);
    for (const c of r.choices) {
        const v = JSON.parse(c.message.content);
        assert.deepEqual(Object.keys(v), ["name", "age"]);
        assert.ok(Number.isInteger(v.age) && v.age >= 0 && v.age <= 150);
    }
});

await check("a text, twice", async () => {
    const params = {model, prompt: "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {", max_tokens: 5, temperature: 0};
    const first = await client.completions.create(params), second = await client.completions.create(params);
    assert.equal(second.choices[0].text, first.choices[0].text);
    assert.ok(second.usage.prompt_tokens_details.cached_tokens > 0);
});

await check("embeddings", async () => {
    const packed = await client.embeddings.create({model, input: ["func main() {}", "package x"]}); // base64, unpacked by the client
    const plain = await client.embeddings.create({model, input: "func main() {}", encoding_format: "float"});
    assert.equal(packed.data.length, 2);
    assert.deepEqual([...packed.data[0].embedding].map(Math.fround), plain.data[0].embedding.map(Math.fround));
});

await check("errors", async () => {
    await assert.rejects(client.chat.completions.create({...ask, temperature: 3}), (e) => e instanceof OpenAI.BadRequestError && e.param === "temperature");
    await assert.rejects(client.chat.completions.create({...ask, model: "none such"}), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
});

await check("a stream cut off", async () => {
    const stream = await client.chat.completions.create({...ask, max_completion_tokens: 2000, stream: true});
    let parts = 0;
    for await (const _ of stream) {
        if (++parts === 3) {
            break; // closes the connection
        }
    }
    assert.equal(parts, 3);
    await client.chat.completions.create(ask);
});

await check("twenty at once", async () => {
    const all = await Promise.all(Array.from({length: 20}, () => client.chat.completions.create(ask)));
    for (const r of all) {
        assert.equal(r.choices[0].message.content, text);
    }
});
