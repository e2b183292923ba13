// SPDX-License-Identifier: Apache-2.0
//
// Go's own /debug/pprof/, as the reference for ours: `go run go_server.go`, which prints its
// address.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

func main() {
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	pprof.NewProfile("indexer.files").Add(new(int), 0)
	var lock sync.Mutex
	for i := 0; i < 2; i++ {
		go func() {
			kept := make([][]byte, 1000)
			for i := 0; ; i = (i + 1) % len(kept) {
				lock.Lock()
				kept[i] = make([]byte, 10000)
				time.Sleep(100 * time.Microsecond)
				lock.Unlock()
			}
		}()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s/debug/pprof/\n", listener.Addr())
	http.Serve(listener, nil)
}
