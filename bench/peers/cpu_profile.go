// SPDX-License-Identifier: Apache-2.0
//
// bench/cpu_profile.cpp with Go's runtime/pprof: `cpu_profile MODE HZ THREADS SECONDS [OUT]`, modes
// split, shares and busy; every goroutine has its own thread. The profile's rate is set before it
// starts: the runtime complains on stderr, and accepts it.
package main

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func threadSeconds() float64 {
	const threadCPU = 3
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&t)), 0)
	return float64(t.Nano()) * 1e-9
}

func processSeconds() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) * 1e-9
}

func steps(x uint32, n int) uint32 {
	for i := 0; i < n; i++ {
		x = x*1664525 + 1013904223
	}
	return x
}

var sink [64]struct {
	x uint32
	_ [60]byte
}

// Uses `s` seconds of this thread's CPU time; returns the time it really used.
//
//go:noinline
func burn(t int, s float64) float64 {
	begin := threadSeconds()
	now := begin
	for now-begin < s {
		sink[t].x = steps(sink[t].x, 50000)
		now = threadSeconds()
	}
	return now - begin
}

// The callers, which a profile shows.

//go:noinline
func before_start(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func share_70(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func share_20(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func share_10(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func thread_10(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func thread_20(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func thread_30(t int, s float64) float64 { return burn(t, s) }

//go:noinline
func thread_40(t int, s float64) float64 { return burn(t, s) }

type function struct {
	name  string
	share float64
	call  func(int, float64) float64
}

var shares = []function{{"share_70", 0.7, share_70}, {"share_20", 0.2, share_20}, {"share_10", 0.1, share_10}}
var threads = []function{{"thread_10", 0.1, thread_10}, {"thread_20", 0.2, thread_20},
	{"thread_30", 0.3, thread_30}, {"thread_40", 0.4, thread_40}}

var lock sync.Mutex
var took = map[string]float64{}

func report(name string, seconds float64) {
	lock.Lock()
	took[name] += seconds
	lock.Unlock()
}

func split(t int, seconds float64) {
	random := rand.New(rand.NewSource(int64(t)))
	var done [3]float64
	for all := 0.0; all < seconds; {
		next := 0
		for i := range shares {
			if shares[i].share*all-done[i] > shares[next].share*all-done[next] {
				next = i
			}
		}
		left := math.Max(shares[next].share*seconds-done[next], 20e-6)
		took := shares[next].call(t, math.Min(0.3e-3+2.7e-3*random.Float64(), left))
		done[next] += took
		all += took
	}
	for i := range shares {
		report(shares[i].name, done[i])
	}
}

func partTime(t int, seconds float64) {
	random := rand.New(rand.NewSource(int64(t)))
	f := threads[t%4]
	turn := time.Now()
	end := turn.Add(time.Duration(seconds * 1e9))
	all := 0.0
	for time.Now().Before(end) {
		each := 4e-3 + 12e-3*random.Float64()
		all += f.call(t, f.share*each)
		turn = turn.Add(time.Duration(each * 1e9))
		time.Sleep(time.Until(turn))
	}
	report(f.name, all)
}

//go:noinline
func busyFrame(depth int, x uint32, data *[1024]uint32) uint32 {
	if depth > 0 {
		return busyFrame(depth-1, x, data) + 1
	}
	for i := 0; i < 50; i++ {
		x = steps(x, 20)
		data[x>>22] = x
	}
	return x
}

func busy(t int, seconds float64) {
	var data [1024]uint32
	x := uint32(1)
	for i := 0; i < int(seconds*1e6); i++ {
		x = busyFrame(20, x, &data)
	}
	sink[t].x = x
}

func fail(what interface{}) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(2)
}

func main() {
	loads := map[string]func(int, float64){"split": split, "shares": partTime, "busy": busy}
	if len(os.Args) < 5 || loads[os.Args[1]] == nil {
		fail(os.Args[0] + " split|shares|busy HZ THREADS SECONDS [OUT]")
	}
	load := loads[os.Args[1]]
	hz, _ := strconv.Atoi(os.Args[2])
	count, _ := strconv.Atoi(os.Args[3])
	seconds, _ := strconv.ParseFloat(os.Args[4], 64)
	if os.Args[1] == "split" {
		seconds /= float64(count)
	}
	runtime.GOMAXPROCS(count + 1)

	var ready, all sync.WaitGroup
	start := make(chan bool)
	run := func(t int, isEarly bool) {
		defer all.Done()
		runtime.LockOSThread()
		if isEarly {
			before_start(t, 0.005)
			ready.Done()
			<-start
		}
		load(t, seconds)
	}
	early := (count + 1) / 2
	ready.Add(early)
	all.Add(count)
	for t := 0; t < early; t++ {
		go run(t, true)
	}
	ready.Wait()
	if hz > 0 {
		if len(os.Args) < 6 {
			fail("a profile needs OUT")
		}
		out, err := os.Create(os.Args[5])
		if err != nil {
			fail(err)
		}
		defer out.Close()
		if hz != 100 {
			runtime.SetCPUProfileRate(hz)
		}
		if err := pprof.StartCPUProfile(out); err != nil {
			fail(err)
		}
	}
	begin := processSeconds()
	close(start)
	for t := early; t < count; t++ {
		go run(t, false)
	}
	all.Wait()
	end := processSeconds()
	pprof.StopCPUProfile()

	for name, s := range took {
		fmt.Printf("%s %.6f\n", name, s)
	}
	fmt.Printf("window %.6f\nprocess %.6f\n", end-begin, processSeconds())
}
