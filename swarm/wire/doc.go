// Package wire encodes and parses the bytes that peers exchange: expert calls
// and their replies, prompts and their answers, and what a node states about
// the models it serves.
//
// A [Header] and a body make a frame. [Reader] takes frames off a stream,
// [ParseFrame] takes one from a message. AppendX appends one whole frame to a
// byte slice; ParseX reads one body. Every limit has a name in limits.go, and
// status.go joins error codes to the errors of packages expert and prompt.
//
// Nothing here starts a goroutine, reads a clock or keeps memory. What a
// parser returns may be a view into the body it was given (each says so), so
// the body must stay untouched as long as the result is used. Parsers never
// panic, whatever the bytes, and allocate at most a small multiple of them.
//
// The package does not move bytes, does not retry and does not know peers:
// that is the business of package swarm.
//
// # Layout
//
// All numbers are little-endian. Floats are IEEE 754 binary32, and a NaN or
// an infinity is refused wherever it stands. Reserved bytes are zero.
//
//	frame         length u32 (bytes that follow: 10 + body)
//	              version u8 (2) | kind u8 | call id u64 | body
//
// On the expert stream the asker chooses call ids, each used once a stream,
// and replies come in any order. On the other streams the id is 0.
//
//	1 Call        model [32] | layer u16 | mode u8 | format u8 | rows u32 | dim u32 |
//	              calls u16 | answers u8 | reserved u8 | calls × call | rows × row
//	  row         format 0: dim × f32; format 1 and 2: dim/32 or dim/256 × extreme f32 |
//	              dim × code i8
//	  call        expert u16 | reserved u16 | n u32 | n × row u32 | mode 1: n × weight f32
//	              mode 0 asks for one output per call and row, mode 1 for the weighted
//	              sum per row. Only rows that some call names travel, each once; row
//	              numbers count within the frame. Codes are what the expert's quantiser
//	              gives; a block's extreme is its value of largest magnitude.
//	              answers 1: outputs in half precision will do; not with mode 1
//	2 Reply       mode u8 | format u8 | reserved u16 | waiting u32 | queued u32 |
//	              compute u32 | rows u32 | dim u32 | rows × dim × f32 or f16
//	              mode 0: the outputs of call 0, then of call 1 …; mode 1: one row per
//	              row sent. waiting counts frames; queued and compute are µs.
//	3 Refusal     code u8 | wait u32 (µs until it is worth asking again) |
//	              expert u16 (the one at fault, 0xffff: none) | detail (UTF-8, to the end)
//	4 Cancel      (empty) stop the work on that call id; no answer follows
//	5 Ping        payload (any bytes)
//	6 Pong        waiting u32 | queued u32 | payload of the ping
//	7 Challenge   the body of a call of mode 0, about 32 rows of output at most: asks for
//	              the inner layer of those calls, after their results came
//	8 Opening     format u8 | reserved u24 | rows u32 | ff u32 | reserved u32 |
//	              time i64 (ms of Unix time) | call hash [32] | result hash [32] |
//	              ed25519 signature [64] | rows × ff × f32 (W1 x) | rows × ff × f32 (W3 x)
//	              answers a challenge; rows in the order of the calls
//	9 Receipt     signed statement of the ledger, from an asker: what the holder did for it
//	10 Session    (empty), from an asker: sign the answers on this stream
//	11 Word       n u8 (1 to 64) | n × call id u64, ascending | signed statement of the ledger,
//	              from a holder: of its answers to these calls, behind them
//	16 Prompt     model [32] | max tokens u32 | temperature f32 | top-k u32 | top-p f32 |
//	              min-p f32 | repeat penalty f32 | best effort f32 | seed u64 | prefix n u32 | options n u32 |
//	              n × token i32 | options (JSON) | text (UTF-8, to the end)
//	              options may be empty; promptoptions.go has their names
//	17 Chunk      prompt tokens u32 | flags u8 (1: has a token) | finish u8 | reserved u16 |
//	              token i32 | dropped calls u32 | dropped mass f32 |
//	              flag 2: mark n u8, UTF-8 | flag 4: tool syntax n u8, UTF-8 |
//	              flag 8: logprob f32, n u8, n × (token i32 | logprob f32 | n u16 | bytes) |
//	              flag 16: drafted, accepted, u32 each, of the answer so far, before all others |
//	              flag 32: cached, rounds, holders, hedges, u32 each |
//	              flag 64: n u32, n × f32: an embedding | flag 128: the prompt ends inside reasoning | bytes (to the end)
//	              finish: 0 none, 1 stop, 2 length
//	18 PromptEnd  code u8 (0: the answer ended well) | wait µs u32 | detail (UTF-8, to the end)
//	19 KeepAlive  (empty) says that the sender lives, both ways
//	20 Payment    voucher of the ledger, from the asker; the first comes right behind the
//	              prompt, empty if nothing will be paid
//	21 Seal       signed statement of the ledger about the tokens so far, from the gating node
//	32 Announcement model [32] | flags u8 (1: gates, 2: leaving, 4: paused, 8: wanted
//	              follows, 16: demand follows, 32: dense layers follow, 64: may
//	              gate, 128: will gate) | name length u8 | layers u16 |
//	              experts a layer u16 | memory u16 (64 MiB) | waiting u16 (frames) |
//	              prompts u16 (that wait, at a gating node) |
//	              expires i64 (ms of Unix time) | name (UTF-8) |
//	              layers × bitmap of ⌈experts/8⌉ bytes, lowest bit first: experts held |
//	              wanted: the same | demand: layers × experts × u8 | dense u8 | skip u8 |
//	              price u64 of a token in nneuro, not 0, or nothing
//
//	48 Want       what u8 (0 manifest, 1 tree, 2 bytes of a blob) | reserved u24 |
//	              hash [32] (0: the model id) | offset u64 | length u32 (0 for a tree)
//	49 Blob       size of the whole u64 | bytes (to the end); answers a want with its id
//
// Within Call and Reply every array begins at a multiple of four bytes from
// the start of the body, so a little-endian machine computes on the bytes as
// they arrived.
package wire
