// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
)

// assignmentVariable has what this process is to do, as an assignment, if it is a
// client.
const assignmentVariable = "REBOUND_LAB_CLIENT"

// assignment is what a client needs to know.
type assignment struct {
	Client     string
	Server     string
	TLS        rest.TLSClientConfig
	Node       string
	BootIDPath string
	Booted     time.Time
}

// RunClientIfAsked turns this process into a client if it was started as one, in
// which case it does not return.
func RunClientIfAsked() {
	text, ok := os.LookupEnv(assignmentVariable)
	if !ok {
		return
	}

	lines := make(chan struct{})

	go func() {
		for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
			lines <- struct{}{}
		}

		// Whoever started it is gone, or needs it no longer.
		os.Exit(0)
	}()

	if err := runClient(context.Background(), []byte(text), lines, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// runClient says with a line of its own when it is up, when the node has recovered,
// and then what it took and what is left. It waits for a line before it goes on. It
// does not return unless it fails.
func runClient(ctx context.Context, text []byte, lines <-chan struct{}, output io.Writer) error {
	var task assignment

	if err := json.Unmarshal(text, &task); err != nil {
		return fmt.Errorf("failed to understand what to do: %w", err)
	}

	n := &node{
		name: task.Node, identity: &rest.Config{Host: task.Server, TLSClientConfig: task.TLS, QPS: -1}, meter: &meter{},
		bootIDPath: task.BootIDPath, booted: task.Booted, log: func(what string, err error) { fmt.Fprintln(os.Stderr, what, err) },
	}

	runtime.GC()

	before := usage()
	run := plainly

	if task.Client == ReboundClient {
		m, err := startMachine(ctx, n, recovery.WithSettleTime(time.Second))
		if err != nil {
			return err
		}

		defer m.end()

		run = func(ctx context.Context, _ *node) error {
			if err := m.healthy(ctx); err != nil {
				return err
			}

			return m.awaitRecovered(ctx)
		}
	}

	fmt.Fprintln(output)
	<-lines

	if err := run(ctx, n); err != nil {
		return err
	}

	fmt.Fprintln(output)
	<-lines

	cost := before.cost()

	// What a pool keeps survives one collection.
	runtime.GC()
	runtime.GC()

	now := usage()
	cost.HeapAtRest, cost.GoroutinesAtRest = float64(now.heap)-float64(before.heap), float64(now.goroutines-before.goroutines)

	if err := json.NewEncoder(output).Encode(cost); err != nil {
		return fmt.Errorf("failed to say what it took: %w", err)
	}

	<-lines

	return nil
}

// plainly deletes the node's Failed pods.
func plainly(ctx context.Context, n *node) error {
	client, closeClient, err := n.connect(plainAgent)
	if err != nil {
		return err
	}

	defer closeClient()

	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.SelectorFromSet(fields.Set{"spec.nodeName": n.name, "status.phase": "Failed"}).String(),
	})
	if err != nil {
		return fmt.Errorf("failed to list pods: %w", err)
	}

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)

	for i := range list.Items {
		group.Go(func() error { return deletePod(ctx, client, pod{list.Items[i].Name, list.Items[i].UID}) })
	}

	return group.Wait()
}

// used is what this process has used, or has.
type used struct {
	cpu           time.Duration
	allocs, bytes uint64
	heap          uint64
	goroutines    int
}

func usage() used {
	var memory runtime.MemStats

	runtime.ReadMemStats(&memory)

	return used{cpu: cpu(), allocs: memory.Mallocs, bytes: memory.TotalAlloc, heap: memory.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// cost is what was used since.
func (u used) cost() Cost {
	now := usage()

	return Cost{CPU: now.cpu - u.cpu, Allocs: float64(now.allocs - u.allocs), Bytes: float64(now.bytes - u.bytes)}
}
