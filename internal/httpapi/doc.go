// Package httpapi serves prompts over HTTP in the shape of the OpenAI API, so
// that its clients work with a swarm unchanged.
//
// A [Server] has four routes: POST /v1/completions completes a prompt, whole
// or streamed as server-sent events; GET /v1/models lists what the swarm
// serves; GET /v1/swarm and GET /healthz tell how the node is. [Config] joins
// it to the node, [Limits] bounds what a stranger can cause.
//
// Of a completion's fields these count: model (a name, an id or the beginning
// of one; may be left out when the swarm serves one model), prompt, max_tokens
// (16 when absent, as at OpenAI), temperature (1 when absent, as at OpenAI; 0
// is greedy), top_p, seed (random when absent), stop, stream and
// stream_options.include_usage. Our own: top_k, min_p, repeat_penalty, return_tokens, which adds "moeswarm": {"tokens": [...]} to the answer or to
// each event, and best_effort, the share of a row's gate mass that may be left
// out when experts are late (0: exact), which adds "moeswarm": {"dropped":
// {"calls", "gate_mass"}}. What the swarm cannot do (n above 1, best_of, echo, suffix,
// logprobs, logit_bias, penalties of presence and frequency, prompts of token
// ids) is refused by name. All other fields are ignored.
//
// A node on loopback is not out of the reach of web pages: a page may let its
// own host name point to 127.0.0.1 (DNS rebinding), or post a form there. So a
// request that comes in over loopback must name localhost, an address or a
// configured host as its Host, and a POST that a browser sends for another
// site's page is refused everywhere. There is no other access control.
//
// Serve owns every goroutine and returns when all have ended. An answer is
// worked on while its request is: a client that leaves, or reads too slowly,
// ends it.
//
// The package knows no tokenizer, no model and no network of peers; it sees a
// prompt.Completer and a few functions.
package httpapi
