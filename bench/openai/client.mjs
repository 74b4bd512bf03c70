// Tries docent's OpenAI protocol with the official client for JavaScript, as client.py does with that for Python.
//
//     docent serve --model-provider local --model FILE.gguf &
//     npm install openai && node bench/openai/client.mjs [http://127.0.0.1:8420/v1]
//
// Every check prints a line; the first that fails ends the program with its stack.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({baseURL: process.argv[2] ?? "http://127.0.0.1:8420/v1", apiKey: "none", maxRetries: 0});
const {data: models} = await client.models.list();
const encoder = models.find((m) => m.id.includes("MiniLM")).id;
const model = models.find((m) => !m.id.startsWith("docent/") && m.id !== encoder).id;
const messages = [{role: "user", content: "Hello"}];
const ask = (more) => client.chat.completions.create({model, messages, max_tokens: 200, ...more});
const check = async (name, run) => console.log("ok ", name, JSON.stringify(await run()).slice(0, 100));
const digit = {type: "integer", minimum: 0, maximum: 9};
const pair = {type: "object", properties: {a: digit, b: digit}, required: ["a", "b"], additionalProperties: false};
const add = {type: "function", function: {name: "add", description: "Adds two numbers.", parameters: pair, strict: true}};
const isPair = (x) => assert.ok(Number.isInteger(x.a) && Number.isInteger(x.b));

await check("one model", async () => (await client.models.retrieve(model)).id);
await check("an answer", async () => {
    const reply = await ask({max_tokens: 8});
    assert.ok(reply.usage.completion_tokens <= 8);
    return reply.choices[0].message.content;
});
await check("a stream with usage", async () => {
    let text = "", usage;
    for await (const chunk of await ask({max_tokens: 8, stream: true, stream_options: {include_usage: true}})) {
        text += chunk.choices[0]?.delta?.content ?? "";
        usage = chunk.usage ?? usage;
    }
    assert.ok(usage.completion_tokens > 0);
    return text;
});
await check("the client's own stream", async () => {
    const reply = await client.chat.completions.stream({model, messages, max_tokens: 8}).finalChatCompletion();
    return reply.choices[0].message.content;
});
await check("two choices, log-probabilities", async () => {
    const reply = await ask({max_tokens: 3, n: 2, seed: 5, temperature: 1, logprobs: true, top_logprobs: 2});
    assert.equal(reply.choices.length, 2);
    assert.equal(reply.choices[1].logprobs.content[0].top_logprobs.length, 2);
    return reply.choices.map((c) => c.message.content);
});
await check("a JSON schema", async () => {
    const reply = await ask({temperature: 1, response_format: {type: "json_schema", json_schema: {name: "pair", strict: true, schema: pair}}});
    isPair(JSON.parse(reply.choices[0].message.content));
    return reply.choices[0].message.content;
});
await check("a call of a tool", async () => {
    const reply = await ask({tools: [add], tool_choice: "required"});
    isPair(JSON.parse(reply.choices[0].message.tool_calls[0].function.arguments));
    return reply.choices[0].finish_reason;
});
await check("a call of a tool, streamed", async () => {
    const stream = client.chat.completions.stream({model, messages, max_tokens: 200, tools: [add], tool_choice: {type: "function", function: {name: "add"}}});
    const [call] = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
    isPair(call.function.parsed_arguments);
    return call.function;
});
await check("embeddings as numbers and in base64, which the client asks for itself", async () => {
    const [a, b] = await Promise.all(["float", undefined].map((encoding_format) => client.embeddings.create({model: encoder, input: "refunds", encoding_format})));
    a.data[0].embedding.forEach((x, i) => assert.ok(Math.abs(x - b.data[0].embedding[i]) < 1e-6));
    return a.data[0].embedding.length;
});
await check("a stream that is left", async () => {
    const leave = new AbortController();
    const stream = await client.chat.completions.create({model, messages, max_tokens: 2000, stream: true, temperature: 1}, {signal: leave.signal});
    let pieces = 0;
    for await (const _ of stream) if (++pieces === 2) leave.abort();
    return pieces;
});
for (const [name, request, kind] of [
    ["an unknown model", {model: "nonesuch"}, OpenAI.NotFoundError],
    ["an option that cannot be", {top_p: 7}, OpenAI.BadRequestError],
    ["a prompt that is too long", {messages: [{role: "user", content: "word ".repeat(100000)}]}, OpenAI.BadRequestError],
]) {
    await check(name, async () => {
        const error = await ask(request).then(() => assert.fail("no error"), (e) => e);
        assert.ok(error instanceof kind, error);
        return error.message;
    });
}
