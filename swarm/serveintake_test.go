package swarm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

func testJob(peer routing.Peer, id uint64) *job {
	return &job{stream: &serveStream{peer: peer}, id: id, rows: 1}
}

func testIntake(cfg serverConfig) *intake { return newIntake(cfg.withDefaults()) }

// TestIntakeTakesTurns: a peer with one frame waits for one frame of a peer
// with many, not for all of them.
func TestIntakeTakesTurns(t *testing.T) {
	q := testIntake(serverConfig{})
	for _, p := range []routing.Peer{"a", "b", "c"} {
		q.join(p)
	}
	for i, p := range []routing.Peer{"a", "a", "a", "a", "b", "b", "c"} {
		q.push(testJob(p, uint64(i)))
	}
	var got []string
	for range 7 {
		j, _ := q.pop()
		got = append(got, fmt.Sprint(j.stream.peer, j.id))
		q.done(j, 0)
	}
	if want := []string{"a0", "b4", "c6", "a1", "b5", "a2", "a3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestIntakeLimits(t *testing.T) {
	q := testIntake(serverConfig{Frames: 5, PeerFrames: 3, Bytes: 100, PeerBytes: 60})
	q.join("a")
	q.join("b")
	admit := func(p routing.Peer, frames int, bytes int64, want bool) {
		t.Helper()
		if err := q.admit(p, frames, bytes); (err == nil) != want || err != nil && !errors.Is(err, expert.ErrOverloaded) {
			t.Errorf("%s: %v", p, err)
		}
	}
	admit("a", 1, 61, false) // its bytes
	admit("a", 3, 10, true)
	admit("a", 1, 1, false) // its frames
	admit("b", 2, 0, true)
	admit("b", 1, 1, false) // all frames
	q.release("a", 2, 0)
	admit("a", 0, 50, true)
	admit("b", 0, 41, false) // all bytes
	admit("b", 0, 40, true)
	q.release("a", 1, 60)
	q.part("a")
	if _, known := q.mu.guests["a"]; known {
		t.Error("a peer that left with nothing here is still kept")
	}
	for range serveStreams {
		if !q.join("c") {
			t.Error("too few streams for one peer")
		}
	}
	if q.join("c") {
		t.Error("too many streams for one peer")
	}
}

// TestIntakeLoad: the wait it tells follows what work was measured to take.
func TestIntakeLoad(t *testing.T) {
	q := testIntake(serverConfig{Workers: 2})
	q.join("a")
	for i := range uint64(100) {
		q.push(testJob("a", i))
		j, _ := q.pop()
		q.done(j, 10*time.Millisecond)
	}
	for i := range uint64(8) {
		q.push(testJob("a", i))
	}
	waiting, wait := q.load()
	if waiting != 8 || wait < 39*time.Millisecond || wait > 40*time.Millisecond {
		t.Errorf("%d wait %v, want 8 and 40 ms: 8 rows of 10 ms at 2 workers", waiting, wait)
	}
}

func TestIntakeClose(t *testing.T) {
	q := testIntake(serverConfig{})
	q.join("a")
	for i := range uint64(3) {
		q.push(testJob("a", i))
	}
	running, _ := q.pop()
	if rest := q.close(); len(rest) != 2 {
		t.Errorf("%d jobs wait, want 2", len(rest))
	}
	if q.push(testJob("a", 9)) || q.admit("a", 1, 1) == nil {
		t.Error("it takes more after it was closed")
	}
	if _, ok := q.pop(); ok {
		t.Error("it gives more after it was closed")
	}
	select {
	case <-q.idle:
		t.Error("idle while a job runs")
	default:
	}
	q.done(running, 0)
	<-q.idle
}

// TestIntakeRemove: against a slow obvious queue, under random operations.
func TestIntakeRemove(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		q := testIntake(serverConfig{})
		var jobs []*job
		for _, p := range []routing.Peer{"a", "b", "c"} {
			q.join(p)
		}
		for i := range uint64(100) {
			switch r.IntN(3) {
			case 0, 1:
				j := testJob([]routing.Peer{"a", "b", "c"}[r.IntN(3)], i)
				jobs = append(jobs, j)
				q.push(j)
			case 2:
				if len(jobs) == 0 {
					continue
				}
				k := r.IntN(len(jobs))
				if !q.remove(jobs[k]) || q.remove(jobs[k]) {
					t.Fatalf("seed %d: a job that waits is not removed once", seed)
				}
				jobs = slices.Delete(jobs, k, k+1)
			}
		}
		for len(jobs) > 0 {
			j, _ := q.pop()
			// The oldest of its peer.
			k := slices.IndexFunc(jobs, func(o *job) bool { return o.stream.peer == j.stream.peer })
			if jobs[k] != j {
				t.Fatalf("seed %d: peer %s: job %d before %d", seed, j.stream.peer, j.id, jobs[k].id)
			}
			jobs = slices.Delete(jobs, k, k+1)
		}
		if n, _ := q.load(); n != 0 || q.mu.rows != 0 || len(q.mu.turns) != 0 {
			t.Fatalf("seed %d: %d jobs of %d rows left", seed, n, q.mu.rows)
		}
	}
}

func TestCountsForgetTheLeast(t *testing.T) {
	var c counts
	for i := range maxCounted {
		c.add(routing.Peer(fmt.Sprint(i)), Served{Frames: uint64(2 + i)})
	}
	c.add("new", Served{Frames: 5, Refused: 1})
	c.add("new", Served{Frames: 1})
	all := c.snapshot()
	if _, there := all["0"]; there || len(all) != maxCounted || all["new"] != (Served{Frames: 6, Refused: 1}) {
		t.Errorf("%d peers, new has %+v", len(all), all["new"])
	}
}
