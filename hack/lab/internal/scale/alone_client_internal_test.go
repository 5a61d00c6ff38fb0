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

	if err := runClient(context.Background(), []byte(text), bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}

	os.Exit(0)
}

// runClient says with a line of its own when it is up, when the node has recovered,
// and what is left then. It waits for a line before it goes on, and ends with its
// input.
func runClient(ctx context.Context, text []byte, input *bufio.Reader, output io.Writer) error {
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

	if _, err := input.ReadString('\n'); err != nil {
		return err
	}

	if err := run(ctx, n); err != nil {
		return err
	}

	if err := json.NewEncoder(output).Encode(usage().since(before)); err != nil {
		return err
	}

	if _, err := input.ReadString('\n'); err != nil {
		return err
	}

	runtime.GC()

	if err := json.NewEncoder(output).Encode(usage().left(before)); err != nil {
		return err
	}

	_, err := io.Copy(io.Discard, input)

	return err
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

func (u used) since(before used) map[string]any {
	return map[string]any{"CPU": u.cpu - before.cpu, "Allocs": u.allocs - before.allocs, "Bytes": u.bytes - before.bytes}
}

func (u used) left(before used) map[string]any {
	return map[string]any{
		"HeapAtRest": float64(u.heap) - float64(before.heap), "GoroutinesAtRest": u.goroutines - before.goroutines,
	}
}
