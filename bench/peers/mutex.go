// SPDX-License-Identifier: Apache-2.0
//
// bench/lock_uncontended.cpp and bench/lock_contended.cpp with Go's sync.Mutex, with its profiles
// off and with everything recorded.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

func work(x uint32, steps int) uint32 {
	for i := 0; i < steps; i++ {
		x = x*1664525 + 1013904223
	}
	return x
}

var sink uint32

func uncontended(n int) float64 {
	var m sync.Mutex
	begin := time.Now()
	for i := 0; i < n; i++ {
		m.Lock()
		m.Unlock()
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

func contended(threads, inside, turns int) float64 {
	var m sync.Mutex
	var all sync.WaitGroup
	var shared uint32
	start := make(chan bool)
	for t := 0; t < threads; t++ {
		all.Add(1)
		go func(own uint32) {
			defer all.Done()
			<-start
			for i := 0; i < turns; i++ {
				m.Lock()
				shared = work(shared, inside)
				m.Unlock()
				own = work(own, inside)
			}
			sink += own
		}(uint32(t))
	}
	begin := time.Now()
	close(start)
	all.Wait()
	sink += shared
	return float64(time.Since(begin).Nanoseconds()) / float64(threads*turns)
}

func record(on bool) {
	if on {
		runtime.SetBlockProfileRate(1)
		runtime.SetMutexProfileFraction(1)
	} else {
		runtime.SetBlockProfileRate(0)
		runtime.SetMutexProfileFraction(0)
	}
}

func median(v []float64) float64 {
	sort.Float64s(v)
	return v[len(v)/2]
}

func main() {
	const rounds = 41
	for _, l := range [][3]int{{1, 0, 1000000}, {2, 50, 40000}, {4, 50, 20000}, {2, 1000, 3000}, {4, 1000, 1500}} {
		var off, on, ratio []float64
		for i := 0; i < rounds; i++ {
			var ns [2]float64
			for k := 0; k < 2; k++ {
				record(k == 1)
				if l[0] == 1 {
					ns[k] = uncontended(l[2])
				} else {
					ns[k] = contended(l[0], l[1], l[2])
				}
			}
			off, on, ratio = append(off, ns[0]), append(on, ns[1]), append(ratio, ns[1]/ns[0])
		}
		fmt.Printf("mutex/off/threads:%d/steps:%d %.1f ns\n", l[0], l[1], median(off))
		fmt.Printf("mutex/everything/threads:%d/steps:%d %.1f ns\n", l[0], l[1], median(on))
		fmt.Printf("mutex/ratio/threads:%d/steps:%d %.2f x\n", l[0], l[1], median(ratio))
	}
}
