package ledger

import "encoding/binary"

// Keys of the state: a name, then numbers big-endian, hashes and keys as they
// are, so that a prefix iterates in order. Each is provable by itself.

type stateKey []byte

func named(name string) stateKey           { return stateKey(name) }
func (k stateKey) u64(v uint64) stateKey   { return binary.BigEndian.AppendUint64(k, v) }
func (k stateKey) bytes(b []byte) stateKey { return append(k, b...) }
func workOf(name string, epoch uint64, model Hash, gate Key) stateKey {
	return named(name).u64(epoch).bytes(model[:]).bytes(gate[:])
}

// KeyParams holds Params.
func KeyParams() []byte { return named("params") }

// KeyClock holds Clock.
func KeyClock() []byte { return named("clock") }

// KeyModel holds Model.
func KeyModel(id Hash) []byte { return named("model/").bytes(id[:]) }

// KeyProvider holds Provider.
func KeyProvider(k Key) []byte { return named("prov/").bytes(k[:]) }

// KeyEscrow holds Escrow.
func KeyEscrow(client Key, model Hash) []byte {
	return named("esc/").bytes(client[:]).bytes(model[:])
}

// KeySeed holds the seed of an epoch, a Word.
func KeySeed(epoch uint64) []byte { return named("seed/").u64(epoch) }

// KeyGating holds the Committee of an epoch and model.
func KeyGating(epoch uint64, model Hash) []byte { return named("gating/").u64(epoch).bytes(model[:]) }

// KeyPaid holds what a client paid a gate for an epoch and model, a Settled.
func KeyPaid(epoch uint64, model Hash, gate, client Key) []byte {
	return workOf("paid/", epoch, model, gate).bytes(client[:])
}

// KeySession holds what a session paid a gate for an epoch, a Settled.
func KeySession(epoch uint64, model Hash, gate, client Key, s Session) []byte {
	return workOf("sess/", epoch, model, gate).bytes(client[:]).bytes(s[:])
}

// KeyWork holds Work.
func KeyWork(epoch uint64, model Hash, gate Key) []byte { return workOf("work/", epoch, model, gate) }

// KeyClaim holds Claimed.
func KeyClaim(epoch uint64, model Hash, gate, holder Key) []byte {
	return workOf("claim/", epoch, model, gate).bytes(holder[:])
}

// KeyReceipt holds a Receipt that was shown and is not answered.
func KeyReceipt(epoch uint64, model Hash, gate, holder Key) []byte {
	return workOf("rcpt/", epoch, model, gate).bytes(holder[:])
}

// PrefixReceipts is the prefix of the receipts of a gate's settlement.
func PrefixReceipts(epoch uint64, model Hash, gate Key) []byte {
	return workOf("rcpt/", epoch, model, gate)
}

// KeyIncome holds a provider's income of an epoch, a Count.
func KeyIncome(epoch uint64, k Key) []byte { return named("inc/").u64(epoch).bytes(k[:]) }

// KeyRevenue holds Revenue.
func KeyRevenue() []byte { return named("revenue") }

// KeyBonus holds what a provider's paid work burned since the last emission, a
// Count.
func KeyBonus(k Key) []byte { return named("bonus/").bytes(k[:]) }

// KeyUnbonding is there, a Count of 0, for a provider with a part of its bond
// that leaves in this epoch.
func KeyUnbonding(epoch uint64, k Key) []byte { return named("unb/").u64(epoch).bytes(k[:]) }

// KeyReward holds what the finders of a provider's deeds wait for until an epoch,
// a Count of each finder.
func KeyReward(culprit Key, epoch uint64, finder Key) []byte {
	return named("rwd/").bytes(culprit[:]).u64(epoch).bytes(finder[:])
}

// PrefixRewards is the prefix of all that finders of a provider's deeds wait for.
func PrefixRewards(culprit Key) []byte { return named("rwd/").bytes(culprit[:]) }

// KeyRewarding is there, a Count of 0, for a provider whose finders are paid in
// this epoch.
func KeyRewarding(epoch uint64, culprit Key) []byte {
	return named("rwe/").u64(epoch).bytes(culprit[:])
}

// KeyWithdrawal is there, a Count of 0, for an escrow of which a part leaves in
// this epoch.
func KeyWithdrawal(epoch uint64, client Key, model Hash) []byte {
	return named("wd/").u64(epoch).bytes(client[:]).bytes(model[:])
}

// KeyTally holds the TallyRow of a gate about a provider for an epoch and model, a
// Tally.
func KeyTally(epoch uint64, peer Key, model Hash, gate Key) []byte {
	return named("rep/").u64(epoch).bytes(peer[:]).bytes(model[:]).bytes(gate[:])
}

// KeyTallyRoot holds what binds a gate to its tally of an epoch and model, a
// TallyRoot.
func KeyTallyRoot(epoch uint64, model Hash, gate Key) []byte {
	return workOf("tally/", epoch, model, gate)
}

// KeyEvidence is there, a Count of the epoch, when a proof was used up.
func KeyEvidence(id Hash) []byte { return named("evd/").bytes(id[:]) }

// KeyDue is there, a Count of 0, when something is due at a height: a case or a
// gate's settlement, by its key.
func KeyDue(height uint64, key []byte) []byte { return named("due/").u64(height).bytes(key) }

// PrefixEpoch is the prefix of what a family of keys holds for an epoch.
func PrefixEpoch(family string, epoch uint64) []byte { return named(family + "/").u64(epoch) }

// EpochOf is the epoch, or height, in a key of a family that has one.
func EpochOf(family string, key []byte) uint64 {
	return binary.BigEndian.Uint64(key[len(family)+1:])
}

// Prefix is the prefix of a family of keys.
func Prefix(family string) []byte { return named(family + "/") }

// KeyDuties holds an account's Duties.
func KeyDuties(k Key) []byte { return named("duty/").bytes(k[:]) }

// KeyCase holds Case.
func KeyCase(id Hash) []byte { return named("case/").bytes(id[:]) }
