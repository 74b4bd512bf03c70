// Continues prompts greedily with llama.cpp, through node-llama-cpp. It reads lines of JSON
// {file, prompt, steps} and answers each with the tokens as a line of JSON.
import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: 1});
for await (const line of createInterface({input: process.stdin})) {
    const {file, prompt, steps} = JSON.parse(line);
    const model = await llama.loadModel({modelPath: file});
    const context = await model.createContext({contextSize: 128, batchSize: 128, threads: 1, sequences: 1, flashAttention: false,
        experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
    const tokens = [];
    for await (const token of context.getSequence().evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
        tokens.push(token);
        if (tokens.length === steps) break;
    }
    await context.dispose();
    await model.dispose();
    console.log(JSON.stringify(tokens));
}
process.exit(0);
