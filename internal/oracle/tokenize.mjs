// Asks llama.cpp for token ids: reads [{name, file, texts}] as JSON from stdin
// and writes a line {name: {plain, special, begins}} for each to stdout: the ids
// of each text with control tokens as plain text and as themselves, and whether
// a text begins with the begin-of-text token.
import {readFileSync} from "node:fs";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const llama = await getLlama({gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error});
for (const c of JSON.parse(readFileSync(0, "utf8"))) {
    const model = await llama.loadModel({modelPath: c.file, vocabOnly: true});
    console.log(JSON.stringify({[c.name]: {
        plain: c.texts.map((t) => [...model.tokenize(t, false)]),
        special: c.texts.map((t) => [...model.tokenize(t, true)]),
        begins: model.tokens.shouldPrependBosToken,
    }}));
    await model.dispose();
}
