// Measures llama.cpp, through node-llama-cpp, as bench/llm does docent: FILE THREADS PREFILL DECODE.
import {getLlama} from "node-llama-cpp";

const [file, threads, prefill, decode] = process.argv.slice(2).map((a, i) => i ? Number(a) : a);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({contextSize: 2048, batchSize: 512, threads, sequences: 1});
const sequence = context.getSequence();
const prompt = (n, seed) => Array.from({length: n}, (_, i) => 300 + (i * 7919 + seed * 104729) % 10000);
const seconds = async (f) => { const t = performance.now(); await f(); return (performance.now() - t) / 1000; };
const read = async (tokens) => { await sequence.clearHistory(); await sequence.evaluateWithoutGeneratingNewTokens(tokens); };
const write = async (n) => {
    let left = n;
    for await (const _ of sequence.evaluate([400], {temperature: 0, yieldEogToken: true}))
        if (--left === 0) break;
};
await read(prompt(16, 1));
await write(4);
const p = await seconds(() => read(prompt(prefill, 2)));
await read(prompt(128, 3));
const d = await seconds(() => write(decode));
console.log(JSON.stringify({prefill: prefill / p, decode: decode / d}));
process.exit(0);
