// Times llama.cpp on a GGUF file the way "moeswarm bench local" times ours:
// a prompt of random tokens, then greedy decoding, medians over the steps.
//
//   npm install --ignore-scripts && node bench.mjs FILE.gguf [THREADS] [PROMPT] [TOKENS] [SEED]
//
// Prints one JSON object with the same metric names. llama.cpp comes prebuilt
// in the npm package node-llama-cpp; nothing is compiled or downloaded.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [file, threads = "2", prompt = "128", tokens = "64", seed = "1"] = process.argv.slice(2);
const P = +prompt, N = +tokens, T = +threads;
const llama = await getLlama({gpu: false, build: "never", maxThreads: T, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: file, useMmap: true});
const context = await model.createContext({contextSize: P + N + 8, batchSize: 256, threads: T, flashAttention: false});
const sequence = context.getSequence();

// A small generator of our own, so that the seed alone decides the prompt.
let state = BigInt(seed) * 0x9e3779b97f4a7c15n & 0xffffffffffffffffn;
const random = () => Number((state = state * 6364136223846793005n + 1442695040888963407n & 0xffffffffffffffffn) >> 33n);
const vocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
const ids = Array.from({length: P}, () => random() % (vocab - 8));

const now = () => Number(process.hrtime.bigint()) / 1e6;
const prefill = async () => {
    await sequence.clearHistory();
    const start = now();
    const input = ids.map((id, i) => i === ids.length - 1 ? [id, {generateNext: {token: true}}] : id);
    const out = await sequence.controlledEvaluate(input);
    return {ms: now() - start, next: out.at(-1).next.token};
};
await prefill(); // once unmeasured, so that the weights are in memory
const first = await prefill();
let next = first.next;
const steps = [];
for (let i = 0; i < N; i++) {
    const start = now();
    const out = await sequence.controlledEvaluate([[next, {generateNext: {token: true}}]]);
    next = out.at(-1).next.token;
    steps.push(now() - start);
}
const sum = steps.reduce((a, b) => a + b, 0);
steps.sort((a, b) => a - b);
const p50 = steps[Math.floor(steps.length / 2)];
console.log(JSON.stringify({
    scenario: "llama.cpp", file, metrics: {
        threads: T, prompt_tokens: P, new_tokens: N,
        prefill_tokens_per_s: P / first.ms * 1000,
        decode_tokens_per_s: N / sum * 1000,
        decode_p50_ms: p50, decode_p50_tokens_per_s: 1000 / p50,
    }
}));
process.exit(0);
