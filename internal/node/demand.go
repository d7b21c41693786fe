package node

import (
	"context"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	// demandHalfLife is after how long a call counts half in what experts are
	// asked for: long enough to be no matter of one prompt, short enough to
	// follow the day.
	demandHalfLife = 10 * time.Minute
	// demandLeast is how many calls an expert of a layer must have had on
	// average until anything is said about it.
	demandLeast = 4
)

// demandMeter counts what the gates of this node ask experts for.
type demandMeter struct {
	*routing.Router // whose applying is counted

	mu     sync.Mutex
	calls  map[expert.ID]float64 // decayed to at
	at     time.Time
	shapes map[expert.ModelID]int // experts a layer
}

func newDemandMeter(models []Model) *demandMeter {
	d := &demandMeter{calls: map[expert.ID]float64{}, at: time.Now(), shapes: map[expert.ModelID]int{}}
	for _, m := range models {
		d.shapes[m.Model.ID()] = m.Model.Shape().Experts
	}
	return d
}

// Apply implements expert.Applier.
func (d *demandMeter) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	d.count(calls)
	return d.Router.Apply(ctx, in, calls)
}

// ApplyIn implements expert.Reuser.
func (d *demandMeter) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	d.count(calls)
	return d.Router.ApplyIn(ctx, in, calls, room)
}

// Sum implements expert.Summer.
func (d *demandMeter) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	d.count(calls)
	return d.Router.Sum(ctx, in, calls)
}

func (d *demandMeter) count(calls []expert.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range calls {
		d.calls[c.Expert] += float64(len(c.Rows))
	}
}

// of gives the demand of a model's experts, the average of each layer being
// 1; nil while too little was asked.
func (d *demandMeter) of(model expert.ModelID) map[expert.ID]float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	keep := halved(now.Sub(d.at))
	d.at = now
	sums := map[uint16]float64{}
	for id := range d.calls {
		d.calls[id] *= keep
		if id.Model == model {
			sums[id.Layer] += d.calls[id]
		}
	}
	experts := float64(d.shapes[model])
	var out map[expert.ID]float64
	for id, n := range d.calls {
		if id.Model != model || sums[id.Layer] < demandLeast*experts {
			continue
		}
		if out == nil {
			out = make(map[expert.ID]float64, len(d.calls))
		}
		out[id] = n * experts / sums[id.Layer]
	}
	return out
}
