package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/transfer"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	// scrubRate is how fast blobs in use are read again, in bytes a second, to
	// find what the disk has lost: a hundredth of what a disk gives.
	scrubRate = 4 << 20
	// partsRetry is the pause after a fetch that failed for a reason of our own,
	// such as a full disk.
	partsRetry = 30 * time.Second
)

// partsHolder brings the parts of one model here that this node is to have, and
// puts each to use as it arrives.
type partsHolder struct {
	node  *Node
	model Model
	set   *expert.Set
	pool  *ggml.Pool
	slots map[expert.Digest][]expert.Slot // of the whole model

	mu        sync.Mutex           // guards what follows
	wanted    map[expert.Slot]bool // to be held and offered
	hot       map[expert.Slot]bool // to be held for this node's own answers
	leases    map[expert.Slot]*content.Lease
	gates     bool           // the trunk is to be here, and used
	trunk     *content.Lease // nil until it is here
	closeGate func()         // ends what uses the trunk; nil without it
	status    transfer.Status
	said      time.Time
	brought   float64       // bytes a second of the last fetch that brought something
	changed   chan struct{} // room for one: want or what is here has changed

	ending sync.Mutex // held while the engine ends
}

func (n *Node) newParts(m Model, set *expert.Set, pool *ggml.Pool) *partsHolder {
	h := &partsHolder{node: n, model: m, set: set, pool: pool, slots: make(map[expert.Digest][]expert.Slot),
		wanted: make(map[expert.Slot]bool), leases: make(map[expert.Slot]*content.Lease), changed: make(chan struct{}, 1), gates: m.Gate}
	man := m.Model.Manifest()
	for i, id := range man.IDs() {
		d := man.Experts[i].Hash
		h.slots[d] = append(h.slots[d], expert.Slot{Layer: int(id.Layer), Index: int(id.Index)})
	}
	for _, s := range m.Hold {
		h.wanted[s] = true
	}
	return h
}

// want implements stock: those that are new are fetched, the others given up
// once peers were told.
func (h *partsHolder) want(slots []expert.Slot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted = make(map[expert.Slot]bool, len(slots))
	for _, s := range slots {
		h.wanted[s] = true
	}
	signal(h.changed)
	return nil
}

// held implements stock.
func (h *partsHolder) held() []expert.Slot {
	h.mu.Lock()
	defer h.mu.Unlock()
	var slots []expert.Slot
	for s := range h.leases {
		if h.wanted[s] {
			slots = append(slots, s)
		}
	}
	return slots
}

// rate implements stock.
func (h *partsHolder) rate() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.brought
}

// keepHot changes which experts are kept for this node's own answers, besides
// those that it is to hold. It returns what fetches bring in bytes a second; 0
// when none was measured.
func (h *partsHolder) keepHot(slots map[expert.Slot]bool) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hot = slots
	signal(h.changed)
	return h.brought
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (h *partsHolder) run(ctx context.Context) error {
	defer h.close()
	for ctx.Err() == nil {
		h.giveUp()
		pieces := h.missing()
		if len(pieces) == 0 {
			h.rest(ctx)
			continue
		}
		err := h.fetch(ctx, pieces)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errChanged) {
			h.node.cfg.Say("model %s: %v", h.model.Name, err)
			h.pause(ctx, partsRetry)
		}
	}
	return nil
}

// close gives the memory back when nobody computes any more.
func (h *partsHolder) close() {
	h.endGate()
	h.mu.Lock()
	defer h.mu.Unlock()
	for s, l := range h.leases {
		h.set.Drop([]expert.ID{s.Of(h.model.Model.ID())})
		h.model.Model.Forget(s)
		l.Release()
		delete(h.leases, s)
	}
}

// missing lists the pieces that should be here and are not in use yet.
func (h *partsHolder) missing() (pieces []expert.Piece) {
	man := h.model.Model.Manifest()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gates && h.trunk == nil {
		pieces = append(pieces, man.Trunk)
	}
	for _, slots := range []map[expert.Slot]bool{h.wanted, h.hot} {
		for s := range slots {
			if p, ok := man.Piece(s.Layer, s.Index); ok && h.leases[s] == nil {
				pieces = append(pieces, p)
			}
		}
	}
	return pieces
}

// giveUp drops experts that are no longer wanted: peers hear of it first.
func (h *partsHolder) giveUp() {
	h.mu.Lock()
	var gone []expert.Slot
	for s := range h.leases {
		if !h.wanted[s] && !h.hot[s] {
			gone = append(gone, s)
		}
	}
	h.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	ids := expert.IDsOf(h.model.Model.ID(), gone)
	h.offer(func(id expert.ID) bool { return !slices.Contains(ids, id) })
	h.release(gone)
	man := h.model.Model.Manifest()
	for _, s := range gone {
		p, _ := man.Piece(s.Layer, s.Index)
		if !slices.ContainsFunc(h.slots[p.Hash], func(s expert.Slot) bool { return !slices.Contains(gone, s) }) {
			h.node.cfg.Content.Drop(p.Hash) // its room is for what is wanted now
		}
	}
}

// release takes experts out of use.
func (h *partsHolder) release(slots []expert.Slot) {
	h.set.Drop(expert.IDsOf(h.model.Model.ID(), slots))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range slots {
		h.model.Model.Forget(s)
		if l := h.leases[s]; l != nil {
			l.Release()
			delete(h.leases, s)
		}
	}
}

// errChanged: what is wanted has changed during a fetch.
var errChanged = errors.New("other parts are wanted now")

// fetch brings pieces here, from the disk or from peers.
func (h *partsHolder) fetch(ctx context.Context, pieces []expert.Piece) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ctx.Done():
		case <-h.changed:
			cancel(errChanged)
		}
	}()
	n := h.node
	h.mu.Lock()
	h.said = time.Now() // short work passes without a word
	h.mu.Unlock()
	var used error
	status, err := transfer.Fetch(ctx, transfer.Config{
		Store: n.cfg.Content, Pieces: pieces, First: map[expert.Digest]bool{h.model.Model.Manifest().Trunk.Hash: true},
		Sources: h.sources,
		Open: func(ctx context.Context, p routing.Peer) (transfer.Stream, error) {
			s, err := n.net.OpenBlobs(ctx, p)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Limit: n.download,
		Arrived: func(p expert.Piece) {
			if err := h.use(context.WithoutCancel(ctx), p); err != nil && !errors.Is(err, content.ErrDamaged) {
				h.mu.Lock()
				used = errors.Join(used, err)
				h.mu.Unlock()
			}
		},
		Progress: h.progress, Replicas: h.replicas, Log: n.cfg.Log,
	})
	h.progress(status)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && status.Fetched > 0 && used == nil {
		n.cfg.Say("model %s: fetched %s in parts", h.model.Name, size(status.Fetched))
	}
	return errors.Join(err, used)
}

// use puts a piece that is in the store to use.
func (h *partsHolder) use(ctx context.Context, p expert.Piece) error {
	l, err := h.node.cfg.Content.Lease(p.Hash)
	if err != nil {
		return err // it is fetched again
	}
	if p.Hash == h.model.Model.Manifest().Trunk.Hash {
		return h.gate(l)
	}
	var ids []expert.ID
	for _, s := range h.slots[p.Hash] {
		h.mu.Lock()
		wanted := (h.wanted[s] || h.hot[s]) && h.leases[s] == nil
		h.mu.Unlock()
		if !wanted {
			continue
		}
		own, err := h.node.cfg.Content.Lease(p.Hash)
		if err == nil {
			err = h.model.Model.Take(s, own.Data, expert.Options{})
		}
		if err != nil {
			l.Release()
			return err
		}
		h.mu.Lock()
		h.leases[s] = own
		h.mu.Unlock()
		ids = append(ids, s.Of(h.model.Model.ID()))
	}
	l.Release()
	if err := h.set.Hold(ids); err != nil {
		return err
	}
	h.offer(nil)
	return nil
}

// gate begins to gate the model, whose trunk has come.
func (h *partsHolder) gate(l *content.Lease) error {
	m := h.model
	var err error
	if m.Model, err = expert.OpenParts(m.Name, m.Model.Manifest(), l.Data, expert.Options{}); err != nil {
		l.Release()
		return err
	}
	end, err := h.node.openGate(m)
	if err != nil {
		l.Release()
		return err
	}
	h.mu.Lock()
	h.trunk, h.closeGate = l, end
	h.mu.Unlock()
	h.offer(nil)
	return nil
}

// setGates implements trunkStock: the trunk is fetched if need be, and goes with
// endGate only.
func (h *partsHolder) setGates(on bool) error {
	h.mu.Lock()
	h.gates = on
	h.mu.Unlock()
	signal(h.changed)
	h.offer(nil)
	return nil
}

// gating implements trunkStock.
func (h *partsHolder) gating() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gates && h.trunk != nil
}

// endGate ends what uses the trunk, and gives its memory back.
func (h *partsHolder) endGate() {
	h.ending.Lock()
	defer h.ending.Unlock()
	h.mu.Lock()
	l, end := h.trunk, h.closeGate
	h.trunk, h.closeGate = nil, nil
	h.mu.Unlock()
	if l != nil {
		end()
		l.Release()
	}
}

// offer tells the swarm what is served now, of the experts those that keep
// admits.
func (h *partsHolder) offer(keep func(expert.ID) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.node.offerOf(h.model)
	o.Gates = h.gates && h.trunk != nil
	for s := range h.leases {
		if id := s.Of(o.Model); h.wanted[s] && (keep == nil || keep(id)) {
			o.Held = append(o.Held, id)
		}
	}
	if err := h.node.setOffer(o); err != nil {
		h.node.cfg.Log.Error("an offer is not taken", "model", h.model.Name, "err", err)
	}
}

// sources lists the peers that may send parts.
func (h *partsHolder) sources() (out []transfer.Source) {
	id := h.model.Model.ID()
	gates := h.node.net.Gates(id)
	for _, p := range h.node.net.Servers(id) {
		out = append(out, transfer.Source{Peer: p, Have: func(piece expert.Piece) transfer.Have {
			if piece.Hash == h.model.Model.Manifest().Trunk.Hash && slices.Contains(gates, p) {
				return transfer.Yes
			}
			for _, s := range h.slots[piece.Hash] {
				if slices.Contains(h.node.net.Holders(s.Of(id)), p) {
					return transfer.Yes
				}
			}
			return transfer.Maybe
		}})
	}
	return out
}

// replicas is how many others hold a blob of this model.
func (h *partsHolder) replicas(d expert.Digest) int {
	slots := h.slots[d]
	if len(slots) == 0 {
		return 0
	}
	return len(h.node.net.Holders(slots[0].Of(h.model.Model.ID())))
}

// rest reads what is in use again, slowly, until something changes.
func (h *partsHolder) rest(ctx context.Context) {
	h.mu.Lock()
	var slots []expert.Slot
	for s := range h.leases {
		slots = append(slots, s)
	}
	h.mu.Unlock()
	man := h.model.Model.Manifest()
	for _, s := range slots {
		p, _ := man.Piece(s.Layer, s.Index)
		if !h.pause(ctx, time.Duration(p.Size)*time.Second/scrubRate) {
			return
		}
		if err := h.node.cfg.Content.Check(ctx, p.Hash); errors.Is(err, content.ErrAbsent) {
			h.node.cfg.Say("model %s: layer %d expert %d is damaged on disk; fetching it again", h.model.Name, s.Layer, s.Index)
			ids := expert.IDsOf(man.ID(), h.slots[p.Hash])
			h.offer(func(id expert.ID) bool { return !slices.Contains(ids, id) })
			h.release(h.slots[p.Hash])
			return
		}
	}
	h.pause(ctx, time.Minute)
}

// pause waits and reports whether nothing changed meanwhile.
func (h *partsHolder) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.changed:
	case <-ctx.Done():
	}
	return false
}

// progressEvery is how often a person hears how far a fetch is.
const progressEvery = 2 * time.Second

// progress keeps the status, and says it now and then.
func (h *partsHolder) progress(s transfer.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, why := range s.CutOff {
		if h.status.CutOff[p] == "" {
			h.node.cfg.Say("model %s: peer %s sent bad parts (%s) and is asked for no more", h.model.Name, p, why)
		}
	}
	h.status = s
	if s.Rate > 0 {
		h.brought = s.Rate
	}
	if now := time.Now(); s.Done < s.Total && now.Sub(h.said) >= progressEvery {
		h.said = now
		if len(s.Sources) == 0 {
			h.node.cfg.Say("model %s: %s of %s here, nobody to fetch the rest from yet", h.model.Name, size(s.Done), size(s.Total))
			return
		}
		h.node.cfg.Say("model %s: %s of %s, %.1f MB/s from %d peers, %v left", h.model.Name, size(s.Done), size(s.Total),
			s.Rate/1e6, len(s.Sources), s.Left.Round(time.Second))
	}
}

// FetchView is how far the fetching of a model's parts is.
type FetchView struct {
	Done    int64             `json:"done_bytes"`
	Total   int64             `json:"total_bytes"`
	Fetched int64             `json:"fetched_bytes"` // from peers
	Doubled int64             `json:"doubled_bytes"` // of these for nothing
	MBps    float64           `json:"mb_per_s"`
	LeftS   float64           `json:"left_s"`
	Sources []string          `json:"sources"`
	CutOff  map[string]string `json:"cut_off,omitempty"` // peers that sent bad bytes
}

func (h *partsHolder) view() *FetchView {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.status
	v := &FetchView{Done: s.Done, Total: s.Total, Fetched: s.Fetched, Doubled: s.Doubled, MBps: s.Rate / 1e6, LeftS: s.Left.Seconds(), Sources: []string{}}
	for _, src := range s.Sources {
		v.Sources = append(v.Sources, string(src.Peer))
	}
	for p, why := range s.CutOff {
		if v.CutOff == nil {
			v.CutOff = map[string]string{}
		}
		v.CutOff[string(p)] = why
	}
	return v
}
