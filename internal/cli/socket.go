// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"

	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// socketTimeout is how long an agent may take to answer.
	socketTimeout = 5 * time.Second
	// cellLength is how many characters of what a server or a kubelet says a table has room for.
	cellLength = 300
)

// daemonSetResult is what an agent knows of one DaemonSet, for scripts.
type daemonSetResult struct {
	Name              string               `json:"name"`
	Phase             specs.DaemonSetPhase `json:"phase"`
	FailedPod         string               `json:"failedPod"`
	Reason            string               `json:"reason"`
	Attempts          int                  `json:"attempts"`
	Replacement       string               `json:"replacement"`
	ReplacementStatus string               `json:"replacementStatus"`
	LastError         string               `json:"lastError"`
}

// statusOfAgent is Status for the agent on this machine.
func statusOfAgent(ctx context.Context, options StatusOptions, out io.Writer) error {
	if given := slices.Concat(options.Access.talosFlags(), options.Access.kubernetesFlags(), options.Access.nodesFlag()); len(given) > 0 {
		return fmt.Errorf("--socket is for asking the agent of this machine, which has no use for %s; leave out one of them", given[0])
	}

	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()

	if err := knock(ctx, options.Socket); err != nil {
		return err
	}

	agent, err := talosapi.OpenLocal(options.Socket, false)
	if err != nil {
		return err
	}

	defer agent.Close() //nolint:errcheck // it changes no answer

	answer := check.Fetch(ctx, agent.State, []check.Node{{}})[0]
	if answer.Status == nil || answer.Status.NodeName == "" {
		answer.Node.Name = "this node" // its name is not known yet
	}

	verdict := check.Judge([]check.Answer{answer})

	if err = unanswered(verdict); err != nil {
		return err
	}

	list, err := safe.StateListAll[*recovery.DaemonSetRecovery](ctx, agent.State)
	if err != nil {
		return failure{fmt.Errorf("failed to list the DaemonSets: %s", check.OneLine(check.Words(err)))}
	}

	daemonSets := make([]daemonSetResult, 0, list.Len())

	for res := range list.All() {
		spec := res.TypedSpec()

		daemonSets = append(daemonSets, daemonSetResult{
			Name: check.OneLine(res.Metadata().ID()), Phase: spec.Phase, FailedPod: check.OneLine(spec.FailedPod),
			Reason: check.OneLine(spec.Reason), Attempts: spec.Attempts, Replacement: check.OneLine(spec.Replacement),
			ReplacementStatus: check.OneLine(spec.ReplacementStatus), LastError: check.OneLine(spec.LastError),
		})
	}

	slices.SortFunc(daemonSets, func(a, b daemonSetResult) int { return cmp.Compare(a.Name, b.Name) })

	return write(out, options.Output, verdict, daemonSets...)
}

// knock tells why nobody answers at a socket. What a client says of it later has no types.
func knock(ctx context.Context, path string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", path)

	switch {
	case err == nil:
		return connection.Close()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("failed to open socket %q: permission denied; run this as root", path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return failure{fmt.Errorf("no agent listens at %q; is it running? See 'systemctl status rebound-agent' where it is a unit, "+
			"and 'kubectl -n kube-system get pods' where it is a static pod", path)}
	default:
		return failure{fmt.Errorf("failed to open socket %q: %w", path, err)}
	}
}

// writeDaemonSets prints a line for each DaemonSet.
func writeDaemonSets(out io.Writer, daemonSets []daemonSetResult) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)

	fmt.Fprintln(table, "\nDAEMONSET\tPHASE\tFAILED POD\tREASON\tATTEMPTS\tREPLACEMENT\tLAST ERROR")

	for _, one := range daemonSets {
		replacement := one.Replacement
		if one.ReplacementStatus != "" {
			replacement += " (" + one.ReplacementStatus + ")"
		}

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(one.Name), one.Phase, cell(one.FailedPod), cell(one.Reason),
			strconv.Itoa(one.Attempts), cell(replacement), cell(one.LastError))
	}

	return table.Flush()
}

// cell is a text as a table shows it.
func cell(text string) string {
	characters := []rune(check.OneLine(text))

	switch {
	case len(characters) == 0:
		return "-"
	case len(characters) > cellLength:
		return string(characters[:cellLength]) + "…"
	default:
		return string(characters)
	}
}
