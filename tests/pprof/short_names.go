// SPDX-License-Identifier: Apache-2.0
//
// Reads mangled names, one a line, and writes each as pprof shows it by default.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/ianlancetaylor/demangle"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		name := in.Text()
		fmt.Fprintf(out, "%s\t%s\n", name, demangle.Filter(name, demangle.NoParams, demangle.NoTemplateParams))
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := out.Flush(); err != nil {
		os.Exit(1)
	}
}
