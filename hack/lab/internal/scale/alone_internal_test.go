// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// What runs in the process of its own.
const (
	ReboundClient = lab.ReboundUserAgent
	PlainClient   = plainAgent
)

// aloneMargin is how long the back-offs last when the node comes back.
const aloneMargin = 10 * time.Second

const (
	// clientLimit bounds the time from the whole node to the end of the client.
	clientLimit = 2 * time.Minute
	// restInterval is how often it is looked whether the client is at rest.
	restInterval = 50 * time.Millisecond
)

// Cost is what a client takes for one reboot. Times is how many it is the sum of.
type Cost struct {
	Times float64
	// CPU is processor time; Allocs and Bytes are what was allocated.
	CPU           time.Duration
	Allocs, Bytes float64
	// Requests are those in the audit log. WireBytes has handshakes and headers too.
	Requests, Connections, WireBytes float64
	// What is left when all is done: of the heap, after a garbage collection, and of
	// goroutines, as much more than before; of the wire, what passes in a while.
	HeapAtRest, GoroutinesAtRest, WireBytesAtRest float64
}

// Plus returns the sum.
func (c Cost) Plus(other Cost) Cost {
	c.Times += other.Times
	c.CPU += other.CPU
	c.Allocs += other.Allocs
	c.Bytes += other.Bytes
	c.Requests += other.Requests
	c.Connections += other.Connections
	c.WireBytes += other.WireBytes
	c.HeapAtRest += other.HeapAtRest
	c.GoroutinesAtRest += other.GoroutinesAtRest
	c.WireBytesAtRest += other.WireBytesAtRest

	return c
}

// Alone is a node whose client is alone in a process, a new one for each boot.
type Alone struct {
	fleet *fleet
	wire  *wire
}

// StartAlone starts a control plane with one node, which is off.
func StartAlone(ctx context.Context, daemonSets int, progress io.Writer) (*Alone, error) {
	f, err := startFleet(ctx, 1, daemonSets, time.Millisecond, aloneMargin, show.NewLog(progress))
	if err != nil {
		return nil, err
	}

	server, err := url.Parse(f.nodes[0].identity.Host)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to read the address of the API server: %w", err), f.stop())
	}

	w, err := newWire(ctx, server.Host)
	if err != nil {
		return nil, errors.Join(err, f.stop())
	}

	a := &Alone{fleet: f, wire: w}

	if err = f.settle(ctx); err != nil {
		return nil, errors.Join(err, a.Stop())
	}

	f.down()

	return a, nil
}

// Stop ends all of it.
func (a *Alone) Stop() error { return errors.Join(a.wire.stop(), a.fleet.stop()) }

// Reboot reboots the node once, and returns what the client took for it. It is
// watched for a while when all is done.
func (a *Alone) Reboot(ctx context.Context, client string, rest time.Duration) (Cost, error) {
	var (
		process *process
		cost    Cost
	)

	seen, err := a.fleet.play(ctx, help{
		name: client, limit: time.Minute,
		boot: func(ctx context.Context, _ *fleet, n *node) (func() error, error) {
			a.wire.bytes.Store(0)
			a.wire.connections.Store(0)

			var err error

			process, err = startProcess(ctx, assignment{
				Client: client, Server: "https://" + a.wire.listener.Addr().String(), TLS: n.identity.TLSClientConfig,
				Node: n.name, BootIDPath: n.bootIDPath, Booted: n.booted,
			})
			if err != nil {
				return nil, err
			}

			return func() error { return process.say(nil) }, nil
		},
		finish: func(ctx context.Context, _ *fleet) (err error) {
			if process == nil {
				return nil
			}

			// A client that has nothing to say any more must not be waited for.
			ctx, cancel := context.WithTimeoutCause(ctx, clientLimit, errors.New("the client did not come to an end"))
			defer cancel()
			defer context.AfterFunc(ctx, process.kill)()
			defer func() { err = errors.Join(err, process.end(), context.Cause(ctx)) }()

			if err = process.hear(nil); err != nil {
				return err
			}

			if err = a.awaitRest(ctx, client); err != nil {
				return err
			}

			bytes, connections := a.wire.bytes.Load(), a.wire.connections.Load()

			if !until(ctx, time.Now().Add(rest)) {
				return context.Cause(ctx)
			}

			more := a.wire.bytes.Load() - bytes

			if err = process.say(&cost); err != nil {
				return err
			}

			cost.WireBytes, cost.Connections, cost.WireBytesAtRest = float64(bytes), float64(connections), float64(more)

			return nil
		},
	})
	if err != nil {
		return Cost{}, err
	}

	if len(seen.took) != 1 {
		return Cost{}, errors.New("the node did not come back")
	}

	cost.Times, cost.Requests = 1, float64(requestsOf(seen.traffic, client))

	return cost, nil
}

// awaitRest waits until the client has no connection any more, and, if it is rebound,
// until the Node says that it has recovered in this boot.
func (a *Alone) awaitRest(ctx context.Context, client string) error {
	n := a.fleet.nodes[0]

	return wait.PollUntilContextCancel(ctx, restInterval, true, func(ctx context.Context) (bool, error) {
		if client == ReboundClient {
			object, err := a.fleet.cluster.Client().CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}

			report, err := specs.ParseNodeReport(object.Annotations[specs.NodeAnnotation])
			if err != nil || report.BootID != n.bootID || report.Phase != specs.PhaseRecovered {
				return false, nil //nolint:nilerr // that of another boot may be there, or none
			}
		}

		return a.wire.open.Load() == 0, nil
	})
}

// process is this binary, as a client.
type process struct {
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

func startProcess(ctx context.Context, task assignment) (*process, error) {
	text, err := json.Marshal(task)
	if err != nil {
		return nil, fmt.Errorf("failed to encode what a client is to do: %w", err)
	}

	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("failed to find this binary: %w", err)
	}

	command := exec.CommandContext(ctx, binary)
	command.Env = append(os.Environ(), assignmentVariable+"="+string(text))
	command.Stderr = os.Stderr

	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to start a client: %w", err)
	}

	output, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to start a client: %w", err)
	}

	if err = command.Start(); err != nil {
		return nil, fmt.Errorf("failed to start a client: %w", err)
	}

	p := &process{command: command, input: input, output: bufio.NewReader(output)}

	// It is up.
	return p, p.hear(nil)
}

// say tells the client to go on, and waits for its answer if there is to be one.
func (p *process) say(answer any) error {
	if _, err := p.input.Write([]byte("\n")); err != nil {
		return fmt.Errorf("failed to tell a client to go on: %w", err)
	}

	if answer == nil {
		return nil
	}

	return p.hear(answer)
}

func (p *process) hear(answer any) error {
	line, err := p.output.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("a client has ended: %w", err)
	}

	if answer == nil {
		return nil
	}

	if err = json.Unmarshal(line, answer); err != nil {
		return fmt.Errorf("failed to understand a client: %w", err)
	}

	return nil
}

func (p *process) kill() {
	p.command.Process.Kill() //nolint:errcheck // it may have ended
}

// end has the client end, which it does with its input.
func (p *process) end() error {
	closed := p.input.Close()

	return errors.Join(closed, p.command.Wait())
}
