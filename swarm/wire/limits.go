package wire

// Limits on what a peer may send. A frame past one of them is refused before
// memory is spent on it.
const (
	// MaxFrame bounds the length field of any frame: the outputs of 128 rows
	// × 8 experts × 4096 floats. Whoever needs more sends several frames; the
	// holder then works on one while the next arrives, and a short call is
	// stuck behind a long one for 0.15 s at most on a line of 1 Gbit/s.
	MaxFrame = 16 << 20
	// MaxWork bounds rows × dim × 4 bytes summed over the calls of a frame:
	// the size of the outputs before they are summed. A few bytes of row
	// numbers can name a row many times; this keeps the work and the memory
	// that a frame causes in proportion to a frame.
	MaxWork = MaxFrame - 64
	// MaxCalls bounds the calls of a frame: twice the 512 experts that the
	// widest published layers have.
	MaxCalls = 1024
	// MaxRows bounds the rows of a frame. Prefill chunks are a few hundred
	// rows, merged chunks of many prompts a few thousand.
	MaxRows = 1 << 16
	// MaxDim bounds the width of a row: twice the next power of two above
	// the widest published model (18,432).
	MaxDim = 1 << 16
	// MaxPing bounds a ping's payload: enough to time a frame of 128 rows of
	// 2048, little enough that a ping is no way to flood.
	MaxPing = 1 << 20
	// MaxDetail bounds the human-readable reason in a refusal: one line.
	MaxDetail = 256
	// MaxPromptBytes bounds a prompt's text and options together: about a
	// million tokens, the longest context of the models at hand.
	MaxPromptBytes = 4 << 20
	// MaxPrefix bounds the tokens of an answer that moves to another gating
	// node: 256 Ki, the longest context of the models at hand.
	MaxPrefix = 1 << 18
	// MaxTokenBytes bounds one token's raw bytes. The longest entries of
	// published vocabularies (runs of blanks) have 128 to 256.
	MaxTokenBytes = 1024
	// MaxMark bounds the text of a control token. The longest of published
	// vocabularies have 40 bytes.
	MaxMark = 255
	// MaxSigned bounds a payment, a seal or a receipt, which pass through
	// here unread: a signed statement of the ledger has 200 to 400 bytes.
	MaxSigned = 1 << 10
	// MaxName bounds a model's name: one line of a table.
	MaxName = 128
	// MaxRange bounds the bytes of one want: a chunk, which can be checked
	// alone. Expert calls on the same connection wait behind it for 2 ms at
	// 1 Gbit/s.
	MaxRange = 256 << 10
	// MaxTree bounds the tree of a blob: of one of 32 GiB.
	MaxTree = 8 << 20
	// MaxLayers bounds the layers of an announcement: four times the
	// deepest published model (126).
	MaxLayers = 512
	// MaxExperts bounds the experts of a layer in an announcement, as
	// MaxCalls does in a call. Both together make a bitmap 64 KiB at most and
	// the demands 512 KiB, under the 1 MiB that gossip carries.
	MaxExperts = 1024
)

// Largest bodies of the kinds that need no large ones. A receiver checks the
// length in the header against MaxBody before it reads on.
const (
	maxPromptBody       = promptFixed + 4*MaxPrefix + MaxPromptBytes
	maxAnnouncementBody = announcementFixed + MaxName + 2*MaxLayers*MaxExperts/8 + MaxLayers*MaxExperts + 8
)

// MaxBody is the largest body that a frame of this kind may have.
func MaxBody(k Kind) int {
	switch k {
	case KindCall, KindReply:
		return MaxFrame - headerCounted
	case KindRefusal:
		return refusalFixed + MaxDetail
	case KindPing:
		return MaxPing
	case KindPong:
		return pongFixed + MaxPing
	case KindChallenge:
		return maxChallengeBody
	case KindOpening:
		return maxOpeningBody
	case KindPrompt:
		return maxPromptBody
	case KindChunk:
		return chunkFixed + chunkDraftsBytes + maxExtra + MaxTokenBytes
	case KindPromptEnd:
		return promptEndFixed + MaxDetail
	case KindAnnouncement:
		return maxAnnouncementBody
	case KindPayment, KindSeal, KindReceipt:
		return MaxSigned
	case KindWord:
		return maxWordBody
	case KindWant:
		return wantFixed
	case KindBlob:
		return blobFixed + MaxTree
	}
	return 0
}
