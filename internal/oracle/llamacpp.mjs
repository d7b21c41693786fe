// Asks llama.cpp: reads cases as JSON from stdin, [{name, seed, file, prompt,
// answer, places, top}], and writes a line {name: {Seed, Margin, Answer, Tops}} for each to stdout.
//
// llama.cpp comes prebuilt in the npm package node-llama-cpp; nothing is
// compiled or downloaded. Keys and values are kept as floats, as here.
import {readFileSync} from "node:fs";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const cases = JSON.parse(readFileSync(0, "utf8"));
const llama = await getLlama({gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error});
const wanted = {generateNext: {probabilities: true, options: {temperature: 1, minP: 0, topK: 0, topP: 1}}};
const best = (out, n) => [...out.at(-1).next.probabilities.entries()].slice(0, n).map(([t, p]) => [t, Math.max(Math.log(p), -99)]);

for (const c of cases) {
    try {
        const model = await llama.loadModel({modelPath: c.file, useMmap: true});
        const context = await model.createContext({contextSize: 256, batchSize: 256, threads: 1, flashAttention: false,
            swaFullCache: true, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
        const sequence = context.getSequence();
        const tops = new Map();
        const answer = [];
        let from = 0, margin = Infinity;
        const ids = c.prompt;
        // The prompt goes in pieces that end at the places where it is looked at.
        const ends = c.places.filter((p) => p < c.prompt.length - 1).map((p) => p + 1).concat(c.prompt.length);
        let out;
        for (const end of ends) {
            const piece = ids.slice(from, end);
            out = await sequence.controlledEvaluate(piece.map((id, i) => i === piece.length - 1 ? [id, wanted] : id));
            tops.set(end - 1, best(out, c.top));
            from = end;
        }
        for (let at = c.prompt.length; answer.length < c.answer; at++) {
            const next = best(out, 2);
            answer.push(next[0][0]);
            margin = Math.min(margin, next[0][1] - next[1][1]);
            if (answer.length === c.answer) break;
            out = await sequence.controlledEvaluate([[next[0][0], wanted]]);
            tops.set(at, best(out, c.top));
        }
        console.log(JSON.stringify({[c.name]: {Seed: c.seed, Margin: margin, Answer: answer, Tops: c.places.map((p) => tops.get(p))}}));
        await context.dispose();
        await model.dispose();
    } catch (err) {
        console.error(`${c.name}: ${err}`);
        process.exitCode = 1;
    }
}
