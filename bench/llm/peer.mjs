// llama.cpp's side of bench/llm, through node-llama-cpp: FILE THREADS CONTEXT as arguments, then the commands
// of worker.go on the standard input.
import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const [file, threads, contextSize] = process.argv.slice(2).map((a, i) => i ? Number(a) : a);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: threads});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({contextSize, batchSize: 512, threads, sequences: 1});
const sequence = context.getSequence();
let many; // a context of eight sequences, made when it is wanted

const prompt = (n, seed) => Array.from({length: n}, (_, i) => 300 + (i * 7919 + seed * 104729 + i * i % 97 * seed) % 40000);
// Reads what the sequence does not hold of a prompt but its last token, which evaluate is to be given.
const hold = async (tokens) => {
    const held = sequence.contextTokens;
    let same = 0;
    while (same < tokens.length - 1 && tokens[same] === held[same]) same++;
    if (held.length > same) await sequence.eraseContextTokenRanges([{start: same, end: held.length}]);
    const rest = tokens.slice(same, -1);
    if (rest.length > 0) await sequence.evaluateWithoutGeneratingNewTokens(rest);
    return tokens.slice(-1);
};
const write = async (sequence, tokens, n, first = () => {}) => {
    for await (const _ of sequence.evaluate(tokens, {temperature: 0, yieldEogToken: true})) {
        first();
        first = () => {};
        if (--n === 0) break;
    }
};
const commands = {
    async prefill(n, seed) {
        await sequence.clearHistory();
        const start = performance.now();
        await write(sequence, prompt(n, seed), 1);
        return performance.now() - start;
    },
    async decode(n, tokens) {
        const last = await hold(prompt(n, 1));
        let start;
        await write(sequence, last, tokens + 1, () => { start = performance.now(); });
        return performance.now() - start;
    },
    async concurrent(k, n, seed) {
        if (!many) {
            const context = await model.createContext({contextSize: 512, batchSize: 512, threads, sequences: k});
            many = Array.from({length: k}, () => context.getSequence());
        }
        for (const s of many) await s.clearHistory();
        const start = performance.now();
        await Promise.all(many.map((s, i) => write(s, prompt(32, seed + i), n)));
        return performance.now() - start;
    },
    async first(n, seed, m, seed2) {
        const start = performance.now();
        const all = [...prompt(n, seed), ...prompt(m, seed2)];
        let took;
        await write(sequence, await hold(all), 1, () => { took = performance.now() - start; });
        return took;
    }
};
for await (const line of createInterface({input: process.stdin})) {
    const [op, ...args] = line.split(" ");
    const ms = await commands[op](...args.map(Number));
    console.log(JSON.stringify({seconds: ms / 1000}));
}
process.exit(0);
