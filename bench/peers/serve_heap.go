// SPDX-License-Identifier: Apache-2.0

// Go's /debug/pprof/heap of a million stacks: the time, and how far memory grows at its peak. It
// makes the same tree of calls as ../serve_heap.cpp.
package main

import (
	"fmt"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

const levels = 20

func init() { runtime.MemProfileRate = 1 }

//go:noinline
func keep(left int, way uint32) *[64]byte {
	if left == 0 {
		return new([64]byte)
	}
	if way>>left&1 != 0 {
		return keep(left-1, way)
	}
	return keep(left-1, way)
}

func status(key string) int64 {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key) {
			kb, _ := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			return kb * 1024
		}
	}
	return 0
}

var kept []*[64]byte

func main() {
	for way := uint32(0); way < 1<<levels; way++ {
		kept = append(kept, keep(levels, way<<1))
	}
	fmt.Printf("Go: %d blocks, %.0f MB resident\n", len(kept), float64(status("VmRSS"))/1e6)
	for _, target := range []string{"/debug/pprof/heap", "/debug/pprof/heap?debug=1"} {
		var times []float64
		var peak int64
		size := 0
		for i := 0; i < 3; i++ {
			os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
			before := status("VmRSS")
			begin := time.Now()
			recorder := httptest.NewRecorder()
			pprof.Handler("heap").ServeHTTP(recorder, httptest.NewRequest("GET", target, nil))
			times = append(times, float64(time.Since(begin).Nanoseconds())/1e6)
			if more := status("VmHWM") - before; more > peak {
				peak = more
			}
			size = recorder.Body.Len()
		}
		sort.Float64s(times)
		fmt.Printf("Go %-41s %8.0f ms %7.1f MB more at the peak, %6.1f MB sent\n", target, times[1],
			float64(peak)/1e6, float64(size)/1e6)
	}
}
