// SPDX-License-Identifier: Apache-2.0
//
// bench/labels.cpp with Go's pprof.Do.
package main

import (
	"context"
	"fmt"
	"runtime/pprof"
	"sort"
	"time"
)

func median(f func(n int)) float64 {
	const n = 1000000
	var all []float64
	for i := 0; i < 5; i++ {
		begin := time.Now()
		f(n)
		all = append(all, float64(time.Since(begin).Nanoseconds())/n)
	}
	sort.Float64s(all)
	return all[2]
}

func main() {
	background := context.Background()
	fmt.Printf("labels/one_label %.1f ns\n", median(func(n int) {
		for i := 0; i < n; i++ {
			pprof.Do(background, pprof.Labels("handler", "/search/by-name"), func(context.Context) {})
		}
	}))
	fmt.Printf("labels/two_labels %.1f ns\n", median(func(n int) {
		for i := 0; i < n; i++ {
			pprof.Do(background, pprof.Labels("handler", "/search/by-name", "tenant", "acme-corporation"), func(context.Context) {})
		}
	}))
	set := pprof.Labels("handler", "/search/by-name", "tenant", "acme-corporation")
	outer := pprof.WithLabels(background, pprof.Labels("service", "index"))
	fmt.Printf("labels/a_set_over_others %.1f ns\n", median(func(n int) {
		for i := 0; i < n; i++ {
			pprof.Do(outer, set, func(context.Context) {})
		}
	}))
}
