package hot

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// The file of counts is JSON: {"version": 1, "layers": [{"layer": 3, "rows":
// [0, 12.5, …]}]}, rows by expert, as much as they weigh now.
const (
	fileVersion = 1
	// maxFile bounds what is read: a model of as many layers and experts as
	// there may be, each with a number of up to 26 bytes.
	maxFile = expert.MaxLayers * (expert.MaxExperts*26 + 64)
	// mostRows is above what a count converges to: all rows of some half-lives.
	mostRows = 1e6
)

type file struct {
	Version int         `json:"version"`
	Layers  []fileLayer `json:"layers"`
}

type fileLayer struct {
	Layer int       `json:"layer"`
	Rows  []float64 `json:"rows"`
}

// Save writes the counts, so that a node that starts again knows at once what
// is hot.
func (c *Counts) Save(w io.Writer) error {
	f := file{Version: fileVersion, Layers: []fileLayer{}}
	c.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(c.layers)) {
		l := c.layers[id]
		rows := make([]float64, len(l.rows))
		for i, r := range l.rows {
			rows[i] = min(r/l.weight, mostRows)
		}
		f.Layers = append(f.Layers, fileLayer{id, rows})
	}
	c.mu.Unlock()
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Load takes over what Save wrote, in place of what was counted. It refuses what
// Save would not have written, and then changes nothing.
func (c *Counts) Load(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxFile {
		return fmt.Errorf("counts of experts: more than %d bytes", maxFile)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("counts of experts: %w", err)
	}
	if f.Version != fileVersion {
		return fmt.Errorf("counts of experts: version %d, want %d", f.Version, fileVersion)
	}
	layers := make(map[int]*layerCounts, len(f.Layers))
	for _, l := range f.Layers {
		if l.Layer < 0 || l.Layer >= expert.MaxLayers || layers[l.Layer] != nil || len(l.Rows) > expert.MaxExperts {
			return fmt.Errorf("counts of experts: layer %d with %d experts", l.Layer, len(l.Rows))
		}
		for _, n := range l.Rows {
			if !(n >= 0 && n <= mostRows) || math.IsNaN(n) {
				return fmt.Errorf("counts of experts: layer %d: %v rows", l.Layer, n)
			}
		}
		layers[l.Layer] = &layerCounts{rows: l.Rows, weight: 1}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layers = layers
	return nil
}

// Known reports whether anything was counted.
func (c *Counts) Known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.layers) > 0
}
