// SPDX-License-Identifier: Apache-2.0
//
// The peer of bench/custom_profile.cpp: Go's Profile.Add and Profile.Remove at a known depth, with
// entries already in the profile, on one and on two goroutines. One line a case:
//
//	go/add_remove/depth:10/live:0/threads:1 694 ns
//	go/bytes_per_entry/depth:10/live:1000000 330 B
//
// A figure is the median of five runs, for a pair and goroutine; every pair includes the descent to
// its depth, as in ours.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"sync"
	"time"
)

const pairs = 40000
const runs = 5
const sites = 32 // distinct stacks

//go:noinline
func descend(depth, site int, f func()) {
	if depth > 0 {
		// Each site recurses from a line of its own, so that the stacks differ.
		if site&1 == 0 {
			descend(depth-1, site>>1, f)
		} else {
			descend(depth-1, site>>1, f)
		}
		return
	}
	f()
}

type entry struct{ used int64 }

func pair(p *pprof.Profile, depth, site int, value *entry) {
	descend(depth, site, func() {
		p.Add(value, 0)
		p.Remove(value)
	})
}

func nsPerPair(p *pprof.Profile, depth, threads int) float64 {
	var all []float64
	for run := 0; run < runs; run++ {
		var wait sync.WaitGroup
		begin := time.Now()
		for t := 0; t < threads; t++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				value := new(entry)
				for i := 0; i < pairs; i++ {
					pair(p, depth, i%sites, value)
				}
			}()
		}
		wait.Wait()
		all = append(all, float64(time.Since(begin).Nanoseconds())/pairs)
	}
	sort.Float64s(all)
	return all[runs/2]
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func main() {
	runtime.MemProfileRate = 0
	for _, depth := range []int{10, 30} {
		for _, live := range []int{0, 1000, 100000, 1000000} {
			p := pprof.NewProfile(fmt.Sprintf("peer.d%d.n%d", depth, live))
			entries := make([]entry, live)
			before := heapInUse()
			for i := range entries {
				descend(depth, i%sites, func() { p.Add(&entries[i], 0) })
			}
			if live > 0 {
				bytes := float64(heapInUse()-before) / float64(live)
				fmt.Printf("go/bytes_per_entry/depth:%d/live:%d %.0f B\n", depth, live, bytes)
			}
			for _, threads := range []int{1, 2} {
				fmt.Printf("go/add_remove/depth:%d/live:%d/threads:%d %.0f ns\n",
					depth, live, threads, nsPerPair(p, depth, threads))
			}
			if p.Count() != live {
				fmt.Fprintf(os.Stderr, "%s: %d entries, expected %d\n", p.Name(), p.Count(), live)
				os.Exit(1)
			}
			for i := range entries {
				p.Remove(&entries[i])
			}
		}
	}
}
