// SPDX-License-Identifier: Apache-2.0

// The profile of goroutines that sleep 24 frames deep: runtime.GoroutineProfile, and written with
// debug=0 and 2.
package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"sort"
	"time"
)

const depth = 22

//go:noinline
func sleepDeep(left int, door chan bool) int {
	if left > 0 {
		return sleepDeep(left-1, door) + 1
	}
	<-door
	return 0
}

func median(runs int, f func()) float64 {
	times := make([]float64, runs)
	for i := range times {
		begin := time.Now()
		f()
		times[i] = float64(time.Since(begin).Nanoseconds()) / 1e6
	}
	sort.Float64s(times)
	return times[runs/2]
}

func main() {
	door := make(chan bool)
	started := 0
	for _, count := range []int{100, 1000} {
		for ; started < count; started++ {
			go sleepDeep(depth, door)
		}
		time.Sleep(100 * time.Millisecond)
		records := make([]runtime.StackRecord, count+100)
		line := func(what string, ms float64) {
			fmt.Printf("%-36s %5d goroutines %7.2f ms\n", what, count, ms)
		}
		line("Go, stacks", median(31, func() { runtime.GoroutineProfile(records) }))
		line("Go, debug=0", median(11, func() { pprof.Lookup("goroutine").WriteTo(io.Discard, 0) }))
		line("Go, debug=2", median(11, func() { pprof.Lookup("goroutine").WriteTo(io.Discard, 2) }))
	}
}
