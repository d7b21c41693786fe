// Compares "moeswarm bench local" and "bench loopback" with llama.cpp on one
// file, alternating, and prints medians and ratios.
//
//   node compare.mjs [--busy] [--only NAME,NAME] MOESWARM FILE.gguf [ROUNDS] [THREADS] [PROMPT] [TOKENS]
//
// --busy keeps every core of the machine busy with something else meanwhile,
// as a user's other programs would, and leaves "bench loopback" out.
// --only runs some of: llama.cpp, local, loopback 4.
import {execFileSync, spawn} from "node:child_process";
import os from "node:os";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";

const {values: flags, positionals} = parseArgs({
    options: {busy: {type: "boolean", default: false}, only: {type: "string"}},
    allowPositionals: true,
});
const [moeswarm, file, rounds = "5", threads = "2", prompt = "128", tokens = "64"] = positionals;
if (!file) {
    console.error("usage: node compare.mjs [--busy] [--only NAME,NAME] MOESWARM FILE.gguf [ROUNDS] [THREADS] [PROMPT] [TOKENS]");
    process.exit(2);
}
const here = path.dirname(fileURLToPath(import.meta.url));
const json = (cmd, args) => JSON.parse(execFileSync(cmd, args, {stdio: ["ignore", "pipe", "ignore"]}).toString()).metrics;
const size = ["--model", file, "--prompt", prompt, "--tokens", tokens, "--json"];
const all = {
    "llama.cpp": () => json("node", [path.join(here, "bench.mjs"), file, threads, prompt, tokens]),
    "local": () => json(moeswarm, ["bench", "local", "--threads", threads, ...size]),
    "loopback 4": () => json(moeswarm, ["bench", "loopback", "--nodes", "4", "--threads", threads, ...size]),
};
const wanted = flags.only?.split(",") ?? (flags.busy ? ["llama.cpp", "local"] : Object.keys(all));
const runs = Object.fromEntries(wanted.map((name) => {
    if (!all[name]) throw new Error(`--only: ${name} is none of ${Object.keys(all).join(", ")}`);
    return [name, all[name]];
}));
// Each ends by itself when this process is gone, however it went.
const loads = !flags.busy ? [] : os.cpus().map(() => spawn(process.execPath,
    ["-e", `for (;;) { const end = Date.now() + 500; while (Date.now() < end); try { process.kill(${process.pid}, 0) } catch { process.exit() } }`],
    {stdio: "ignore"}));
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
const out = {file: path.basename(file), rounds: +rounds, threads: +threads, busy: flags.busy};
for (const metric of ["prefill_tokens_per_s", "decode_tokens_per_s"]) {
    for (const name of Object.keys(runs)) out[`${name} ${metric}`] = +of(name, metric).toFixed(2);
    for (const [a, b] of [["local", "llama.cpp"], ["loopback 4", "local"]])
        if (runs[a] && runs[b]) out[`${a} / ${b} ${metric}`] = +ratio(a, b, metric).toFixed(3);
}
console.log(JSON.stringify(out, null, 1));
for (const load of loads) load.kill();
