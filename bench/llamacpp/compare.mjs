// Compares "moeswarm bench local" and "bench loopback" with llama.cpp on one
// file, alternating, and prints medians and ratios.
//
//   node compare.mjs [--busy] [--only NAME,NAME] MOESWARM FILE.gguf [ROUNDS] [THREADS] [PROMPT] [TOKENS]
//   node compare.mjs --architectures [--shapes SHAPE,SHAPE] [--cache DIR] MOESWARM [ROUNDS] [THREADS] [PROMPT] [TOKENS]
//
// --busy keeps every core of the machine busy with something else meanwhile,
// as a user's other programs would, and leaves "bench loopback" out.
// --only runs some of: llama.cpp, local, loopback 4.
// --architectures compares llama.cpp and local on a synthetic file of each
// architecture (architectures.mjs), or of some of its shapes, and prints a table.
// --cache says where those files are kept (default: in the system's temporary
// directory; 14 GB in all).
import {execFileSync, spawn} from "node:child_process";
import os from "node:os";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";
import {fileOf, shapes} from "./architectures.mjs";

const {values: flags, positionals} = parseArgs({
    options: {
        busy: {type: "boolean", default: false}, only: {type: "string"},
        architectures: {type: "boolean", default: false}, shapes: {type: "string"}, cache: {type: "string"},
    },
    allowPositionals: true,
});
const moeswarm = positionals.shift();
const one = flags.architectures ? undefined : positionals.shift();
const [rounds = "5", threads = "2", prompt = "128", tokens = "64"] = positionals;
if (!moeswarm || !one && !flags.architectures) {
    console.error("usage: node compare.mjs [--busy] [--only NAME,NAME] MOESWARM FILE.gguf [ROUNDS] [THREADS] [PROMPT] [TOKENS]\n" +
        "       node compare.mjs --architectures [--shapes SHAPE,SHAPE] [--cache DIR] MOESWARM [ROUNDS] [THREADS] [PROMPT] [TOKENS]");
    process.exit(2);
}
const here = path.dirname(fileURLToPath(import.meta.url));
const json = (cmd, args) => JSON.parse(execFileSync(cmd, args, {stdio: ["ignore", "pipe", "ignore"]}).toString()).metrics;
const size = (file) => ["--threads", threads, "--model", file, "--prompt", prompt, "--tokens", tokens, "--json"];
const programs = {
    "llama.cpp": (file) => json("node", [path.join(here, "bench.mjs"), file, threads, prompt, tokens]),
    "local": (file) => json(moeswarm, ["bench", "local", ...size(file)]),
    "loopback 4": (file) => json(moeswarm, ["bench", "loopback", "--nodes", "4", ...size(file)]),
};
const chosen = (list, all, flag) => {
    for (const name of list) if (!all.includes(name)) throw new Error(`${flag}: ${name} is none of ${all.join(", ")}`);
    return list;
};
const median = (a) => a.slice().sort((x, y) => x - y)[Math.floor(a.length / 2)];

// compare runs the programs on a file in turn. Its answer tells medians, and
// medians of the ratios within a round.
function compare(file, names) {
    const seen = {};
    for (let i = 0; i < +rounds; i++)
        for (const name of names) {
            const m = programs[name](file);
            (seen[name] ??= []).push(m);
            console.error(`round ${i + 1} ${name}: prefill ${m.prefill_tokens_per_s.toFixed(1)}, decode ${m.decode_tokens_per_s.toFixed(2)} tokens/s`);
        }
    return {
        of: (name, metric) => median(seen[name].map((m) => m[metric])),
        ratio: (a, b, metric) => median(seen[a].map((m, i) => m[metric] / seen[b][i][metric])),
    };
}

function compareOne() {
    const names = chosen(flags.only?.split(",") ?? (flags.busy ? ["llama.cpp", "local"] : Object.keys(programs)), Object.keys(programs), "--only");
    // Each ends by itself when this process is gone, however it went.
    const loads = !flags.busy ? [] : os.cpus().map(() => spawn(process.execPath,
        ["-e", `for (;;) { const end = Date.now() + 500; while (Date.now() < end); try { process.kill(${process.pid}, 0) } catch { process.exit() } }`],
        {stdio: "ignore"}));
    const {of, ratio} = compare(one, names);
    const out = {file: path.basename(one), rounds: +rounds, threads: +threads, busy: flags.busy};
    for (const metric of ["prefill_tokens_per_s", "decode_tokens_per_s"]) {
        for (const name of names) out[`${name} ${metric}`] = +of(name, metric).toFixed(2);
        for (const [a, b] of [["local", "llama.cpp"], ["loopback 4", "local"]])
            if (names.includes(a) && names.includes(b)) out[`${a} / ${b} ${metric}`] = +ratio(a, b, metric).toFixed(3);
    }
    console.log(JSON.stringify(out, null, 1));
    for (const load of loads) load.kill();
}

function compareArchitectures() {
    console.log("| architecture | shape | decode: llama.cpp | local | ratio | prefill: llama.cpp | local | ratio |\n|---|---|---|---|---|---|---|---|");
    for (const shape of chosen(flags.shapes?.split(",") ?? Object.keys(shapes), Object.keys(shapes), "--shapes")) {
        const file = fileOf(moeswarm, shape, flags.cache);
        console.error(`${shapes[shape].architecture}: ${path.basename(file)}`);
        const {of, ratio} = compare(file, ["llama.cpp", "local"]);
        const cells = ["decode_tokens_per_s", "prefill_tokens_per_s"].flatMap((metric) =>
            [of("llama.cpp", metric).toPrecision(3), of("local", metric).toPrecision(3), ratio("local", "llama.cpp", metric).toFixed(2)]);
        console.log(`| \`${shapes[shape].architecture}\` | ${path.basename(file, ".gguf").split("-tokens-seed-1-").join(" tokens, ")} | ${cells.join(" | ")} |`);
    }
}

if (flags.architectures) compareArchitectures();
else compareOne();
