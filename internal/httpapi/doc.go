// Package httpapi serves prompts over HTTP in the shape of the OpenAI API, so
// that its clients work with a swarm unchanged.
//
// A [Server] completes texts (POST /v1/completions) and conversations (POST
// /v1/chat/completions), whole or streamed as server-sent events; GET
// /v1/models lists what the swarm serves; GET /v1/swarm and GET /healthz tell
// how the node is, GET /v1/leaderboard who did how much. [Config] joins it to the node, [Limits] bounds what a
// stranger can cause. [Routes] lists what becomes of each field of a request:
// what the swarm cannot do is refused by name, fields that are not known are
// ignored. Ollama's routes below /api/ are another look of the same answers.
//
// A node on loopback is not out of the reach of web pages: a page may let its
// own host name point to 127.0.0.1 (DNS rebinding), or post a form there. So a
// request that comes in over loopback must name localhost, an address or a
// configured host as its Host, and a POST that a browser sends for another
// site's page is refused everywhere, unless its origin is configured. Where there
// are keys, every request but GET /healthz must show one; keys, or without them
// addresses, may have a limit of requests a minute.
//
// Serve owns every goroutine and returns when all have ended. An answer is
// worked on while its request is: a client that leaves, or reads too slowly,
// ends it.
//
// The package knows no tokenizer, no model and no network of peers; it sees a
// prompt.Completer and a few functions.
package httpapi
