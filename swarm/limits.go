package swarm

import "time"

// Limits on what strangers can make this node keep or do. Frames have limits
// of their own in package wire.
const (
	// maxPeers bounds the peers in the holdings table. A table of that many
	// full holders of a model of 6,000 experts is past maxClaims already.
	maxPeers = 4096
	// maxPeerModels bounds the models one peer may announce. A machine that
	// serves more than a few models at once serves none well.
	maxPeerModels = 16
	// maxModels bounds the models in the table. Strangers can invent model
	// ids; models this node serves or was asked about are let in regardless.
	maxModels = 256
	// maxClaims bounds the (peer, expert) pairs in the table: 300 full
	// holders of a model of 48 × 128 experts, at 20 bytes a pair 40 MB.
	maxClaims = 2 << 20
	// maxPeerClaims bounds those of one peer: ten such models, held whole.
	maxPeerClaims = 64 << 10
	// maxHolders bounds the holders listed for one expert. Routing compares
	// them all for every call, and a slice that changes is copied whole.
	maxHolders = 128
	// maxName bounds a model's name in bytes; wire.MaxName is as much.
	maxName = 128

	// maxRecords bounds the provider records this node keeps for others, at
	// about 150 bytes each 75 MB. In a swarm of n nodes a node keeps about
	// 20/n of all records; one holder of a large model has 6,000.
	maxRecords = 512 << 10
	// maxPeerRecords bounds those of one peer: two large models, held whole.
	maxPeerRecords = 16 << 10
	// maxKeyProviders bounds the providers listed for one key; an answer with
	// their addresses stays below 64 KiB.
	maxKeyProviders = 128

	// maxLookups bounds the experts waiting to be looked up in the hash
	// table: one layer more than the widest model has experts, because only
	// what is missing now matters; what does not fit is asked for again.
	maxLookups = 1024
	// lookupWorkers bounds the look-ups that run at once. Each has up to ten
	// requests in flight of its own.
	lookupWorkers = 4
	// provideWorkers bounds the records being published at once.
	provideWorkers = 8
	// maxWatched bounds the model topics this node listens to besides those
	// of models it serves. Each costs traffic in proportion to its holders.
	maxWatched = 16
	// maxDials and dialQueue bound the dials to peers we heard of: running
	// and waiting. What does not fit is heard of again.
	maxDials  = 16
	dialQueue = 256
	// maxDialBackoffs bounds the memory of peers that could not be dialled.
	maxDialBackoffs = 4096
	// maxHelloFrames bounds the announcements of one hello stream: every
	// model of the peer once, and the end of as many that it serves no more.
	maxHelloFrames = 2 * maxPeerModels
	// maxMeters bounds the rate meters kept for strangers (see rate.go).
	maxMeters = 8192
)

// Time scales.
const (
	// announceEvery is the pause between two announcements of the same offer.
	// At 1 KB each, a thousand holders of a model then cost a listener 100 KB/s.
	announceEvery = 10 * time.Second
	// announceTTL ends what a peer announced unless it is renewed or the peer
	// is connected: three announcements may be lost.
	announceTTL = 35 * time.Second
	// maxSkew is how far apart two clocks may be. An announcement that ended
	// longer ago is a replay. (What is newer is decided by the author's clock
	// alone, and how long it lasts by ours.)
	maxSkew = 10 * time.Minute
	// foundTTL ends what a provider record said, unless the peer confirms it.
	foundTTL = 10 * time.Minute

	// recordValidity is the life of a provider record, the same on all nodes.
	// Nothing can withdraw a record, so it bounds for how long a node that
	// left is still asked for; a record costs about 40 messages to publish,
	// which a holder of 6,000 experts does twice in that time: 22 a second.
	recordValidity = 6 * time.Hour
	// reprovideEvery renews records with two chances before they expire.
	reprovideEvery = 150 * time.Minute
	// provideTimeout bounds the publishing of one record.
	provideTimeout = time.Minute
	// lookupTimeout bounds one look-up in the hash table.
	lookupTimeout = 20 * time.Second
	// rootWait bounds the wait of a look-up for the first peer to ask: a few
	// round trips after the first connection.
	rootWait = 3 * time.Second
	// lookupAgain is the pause before the same expert is looked up again.
	lookupAgain = 10 * time.Second

	// readyWait bounds how long Ready waits for one of the nodes to join.
	readyWait = 5 * time.Second
	// joinRetryMin and joinRetryMax bound the pause between two tries to
	// reach a node to join; it doubles in between.
	joinRetryMin = time.Second
	joinRetryMax = time.Minute
	// dialTimeout bounds one dial, the handshakes included.
	dialTimeout = 10 * time.Second
	// dialRetryMin and dialRetryMax: as above, for peers we heard of.
	dialRetryMin = 5 * time.Second
	dialRetryMax = 5 * time.Minute

	// helloTimeout bounds one hello stream. The largest hello has 2 MB.
	helloTimeout = 10 * time.Second
	// goodbyeTimeout bounds the time to tell all peers that we leave.
	goodbyeTimeout = time.Second
	// drainTimeout bounds the time for the answers and calls that are running
	// when the node is told to stop; they have limits of their own, promptGrace
	// and serveGrace, which come first. With goodbyes and the closing of
	// connections the whole stop takes less than the 10 s that are promised.
	drainTimeout = 8500 * time.Millisecond
	// expireEvery is how often the table drops what has expired.
	expireEvery = time.Second
	// pingEvery is how often the round trip to a connected peer that serves
	// something is measured, for choosing the nearest gating node.
	pingEvery   = 20 * time.Second
	pingTimeout = 5 * time.Second
	// maxPings bounds the pings that run at once.
	maxPings = 8
)
