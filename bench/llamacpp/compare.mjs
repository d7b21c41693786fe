// Compares "moeswarm bench local" and "bench loopback" with llama.cpp on one
// file, alternating, and prints medians and ratios.
//
//   node compare.mjs MOESWARM FILE.gguf [ROUNDS] [THREADS] [PROMPT] [TOKENS]
import {execFileSync} from "node:child_process";
import path from "node:path";
import {fileURLToPath} from "node:url";

const [moeswarm, file, rounds = "5", threads = "2", prompt = "128", tokens = "64"] = process.argv.slice(2);
const here = path.dirname(fileURLToPath(import.meta.url));
const json = (cmd, args) => JSON.parse(execFileSync(cmd, args, {stdio: ["ignore", "pipe", "ignore"]}).toString()).metrics;
const size = ["--model", file, "--prompt", prompt, "--tokens", tokens, "--json"];
const runs = {
    "llama.cpp": () => json("node", [path.join(here, "bench.mjs"), file, threads, prompt, tokens]),
    "local": () => json(moeswarm, ["bench", "local", "--threads", threads, ...size]),
    "loopback 4": () => json(moeswarm, ["bench", "loopback", "--nodes", "4", "--threads", threads, ...size]),
};
const median = (a) => a.slice().sort((x, y) => x - y)[Math.floor(a.length / 2)];
const seen = {};
for (let i = 0; i < +rounds; i++)
    for (const [name, run] of Object.entries(runs)) {
        const m = run();
        (seen[name] ??= []).push(m);
        console.error(`round ${i + 1} ${name}: prefill ${m.prefill_tokens_per_s.toFixed(1)}, decode ${m.decode_tokens_per_s.toFixed(2)} tokens/s`);
    }
const of = (name, metric) => median(seen[name].map((m) => m[metric]));
const ratio = (a, b, metric) => median(seen[a].map((m, i) => m[metric] / seen[b][i][metric]));
const out = {file: path.basename(file), rounds: +rounds, threads: +threads};
for (const metric of ["prefill_tokens_per_s", "decode_tokens_per_s"]) {
    for (const name of Object.keys(runs)) out[`${name} ${metric}`] = +of(name, metric).toFixed(2);
    out[`local / llama.cpp ${metric}`] = +ratio("local", "llama.cpp", metric).toFixed(3);
    out[`loopback 4 / local ${metric}`] = +ratio("loopback 4", "local", metric).toFixed(3);
}
console.log(JSON.stringify(out, null, 1));
