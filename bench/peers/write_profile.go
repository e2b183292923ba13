// SPDX-License-Identifier: Apache-2.0
//
// The peer of bench/writer.cpp: Go's WriteTo(w, 0) of a custom profile of unique stacks of about 24
// frames, gzip included, to a writer that only counts. One line a case:
//
//	go/write/stacks:10000 44.1 ms
//	go/write_allocated/stacks:10000 11.0 MB
//
// Each stack is unique because the bits of its number choose, frame by frame, between two calling
// lines. A figure is the fastest of three writes.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

const bits = 20 // frames that tell stacks apart; main, the closures and Add make up the rest

//go:noinline
func descend(left int, number int, f func()) {
	if left == 0 {
		f()
		return
	}
	if number&1 == 0 {
		descend(left-1, number>>1, f)
	} else {
		descend(left-1, number>>1, f)
	}
}

type counter struct{ bytes int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	return len(b), nil
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func main() {
	runtime.MemProfileRate = 0
	for _, stacks := range []int{10000, 100000, 1000000} {
		p := pprof.NewProfile(fmt.Sprintf("peer.write%d", stacks))
		values := make([]int64, stacks)
		for i := range values {
			descend(bits, i, func() { p.Add(&values[i], 0) })
		}
		best := time.Duration(1 << 62)
		var bytesAllocated uint64
		var out counter
		for run := 0; run < 3; run++ {
			runtime.GC()
			out = counter{}
			before := allocated()
			begin := time.Now()
			if err := p.WriteTo(&out, 0); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			if took := time.Since(begin); took < best {
				best = took
			}
			bytesAllocated = allocated() - before
		}
		fmt.Printf("go/write/stacks:%d %.1f ms\n", stacks, float64(best.Nanoseconds())/1e6)
		fmt.Printf("go/write_bytes/stacks:%d %d B\n", stacks, out.bytes)
		fmt.Printf("go/write_allocated/stacks:%d %.1f MB\n", stacks, float64(bytesAllocated)/1e6)
		if text := new(bytes.Buffer); stacks == 10000 {
			// The stacks must be unique, or the figure would be for a smaller profile.
			if err := p.WriteTo(text, 1); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			if records := bytes.Count(text.Bytes(), []byte("\n1 @ ")); records != stacks {
				fmt.Fprintf(os.Stderr, "%d unique stacks, expected %d\n", records, stacks)
				os.Exit(1)
			}
		}
		for i := range values {
			p.Remove(&values[i])
		}
	}
}
