package main

import (
	"context"
	"runtime"
	"syscall"
	"time"
)

// Go's watchdog (sysmon) sleeps for as long as nothing of the program has a place
// for running code, and whenever a system call wakes it, it looks after those
// places every 20 µs at first. A node that computes for others goes to sleep and
// is woken with every frame: with four nodes on two processors the watchdogs were
// woken 370 times a token, each time in the middle of somebody's product. As long
// as a place is taken, by a thread that sleeps in a system call, the watchdog does
// not go to sleep, and looks once in 10 ms.
const (
	calmNap  = 7 * time.Millisecond // less than the 10 ms after which the watchdog takes the place; each wakes threads
	calmSpan = 105 * time.Millisecond
	calmRest = 250 * time.Millisecond // how often an idle node looks whether it is busy
	calmBusy = 0.02                   // of a processor: from here on a node is busy
)

// keepCalm takes a place while this program is busy, until ctx ends.
func keepCalm(ctx context.Context) {
	nap := syscall.NsecToTimespec(int64(calmNap))
	began, worked := time.Now(), processorTime()
	for ctx.Err() == nil {
		now, work := time.Now(), processorTime()
		busy := float64(work-worked) > calmBusy*float64(now.Sub(began))
		began, worked = now, work
		if !busy {
			select {
			case <-ctx.Done():
			case <-time.After(calmRest):
			}
			continue
		}
		for range calmSpan / calmNap {
			_ = syscall.Nanosleep(&nap, nil)
			runtime.Gosched() // who does not, is taken for one that runs too long
		}
	}
}

// processorTime is what this program has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
