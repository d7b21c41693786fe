// The published shapes by which architectures are timed, one of each, cut so
// that a file takes a gigabyte or two and that layers, not the head, are most
// of the work: fewer layers, experts and tokens, each as wide as published.
// "moeswarm bench local" writes the files and keeps them.
import {execFileSync} from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export const shapes = {
    "qwen3-30b-a3b": {architecture: "qwen3moe", layers: 8, experts: 64},
    "mixtral-8x7b": {architecture: "llama", layers: 2, experts: 8},
    "qwen1.5-moe-a2.7b": {architecture: "qwen2moe", layers: 6, experts: 30},
    "olmoe": {architecture: "olmoe", layers: 8, experts: 32},
    "granite-3-3b-a800m": {architecture: "granitemoe", layers: 16, experts: 40},
    "deepseek2-64": {architecture: "deepseek2", layers: 6, experts: 32},
    "deepseek-moe-16b": {architecture: "deepseek", layers: 6, experts: 24},
    "ling-lite": {architecture: "bailingmoe", layers: 6, experts: 24},
    "gpt-oss-20b": {architecture: "gpt-oss", layers: 6, experts: 16},
    "glm-4.5-air": {architecture: "glm4moe", layers: 3, experts: 32},
    "dots.llm1": {architecture: "dots1", layers: 3, experts: 24},
    "ling-mini-2.0": {architecture: "bailingmoe2", layers: 8, experts: 64},
    "ernie-4.5-21b-a3b": {architecture: "ernie4_5-moe", layers: 6, experts: 32},
    "hunyuan-a13b": {architecture: "hunyuan-moe", layers: 3, experts: 16},
    "minimax-m2": {architecture: "minimax-m2", layers: 4, experts: 32},
};

const tokens = 16384; // of the vocabulary

// fileOf gives the file of a shape, which is written when it is not there.
export function fileOf(moeswarm, shape, cache = path.join(os.tmpdir(), "moeswarm-architectures")) {
    const {layers, experts} = shapes[shape];
    const prefix = `${shape}-${layers}-layers-${experts}-experts-${tokens}-tokens-`;
    const find = () => fs.readdirSync(cache).find((name) => name.startsWith(prefix) && name.endsWith(".gguf"));
    fs.mkdirSync(cache, {recursive: true});
    if (!find())
        execFileSync(moeswarm, ["bench", "local", "--synthetic", shape, "--layers", layers, "--experts", experts, "--vocab", tokens,
            "--cache", cache, "--prompt", 2, "--tokens", 2], {stdio: ["ignore", "ignore", "inherit"]});
    return path.join(cache, find());
}
