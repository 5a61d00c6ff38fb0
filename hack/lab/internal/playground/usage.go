// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// usage says how to use the lab, in commands that can be copied.
func usage(folder string, cluster *lab.Lab, options Options) string {
	nodes := cluster.Nodes()
	addresses := make([]string, 0, len(nodes))

	for _, node := range nodes {
		addresses = append(addresses, fmt.Sprintf("%s (%s)", node.Name(), node.Address()))
	}

	var text strings.Builder

	fmt.Fprintf(&text, "\nThe lab is up: %s.\n", strings.Join(addresses, ", "))
	fmt.Fprint(&text, "In another terminal:\n\n")

	// Programs are called by where they are from here.
	if here, err := os.Getwd(); err == nil {
		fmt.Fprintf(&text, "  cd %s\n", quote(here))
	}

	fmt.Fprintf(&text, "  export TALOSCONFIG=%s\n\n", quote(talosconfigIn(folder)))

	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)

	for _, line := range commands(folder, cluster, options) {
		fmt.Fprintf(table, "  %s\t# %s\n", line.command, line.comment)
	}

	table.Flush() //nolint:errcheck // a builder takes everything

	fmt.Fprint(&text, "\nCtrl-C here takes it down.\n\n")

	return text.String()
}

type line struct {
	command, comment string
}

func commands(folder string, cluster *lab.Lab, options Options) []line {
	reboot := program("lab") + " reboot " + options.nodes()[0].Name

	if defaultFolder, err := filepath.Abs(DefaultOut); err != nil || defaultFolder != folder {
		reboot += " --out " + quote(folder)
	}

	var lines []line

	// Where there are any, rebound's resources.
	if options.Workers > 0 {
		workers := make([]string, options.Workers)

		for i := range workers {
			workers[i] = nodeName("worker", i)
		}

		lines = append(lines,
			line{"talosctl get recoverystatuses -n " + strings.Join(workers, ","), "where the nodes with rebound stand"},
			line{"talosctl get daemonsetrecoveries -n " + workers[0] + " -o yaml", "what was done about each DaemonSet"},
		)
	}

	for i := range options.Agents {
		agent := cluster.Node(nodeName("agent", i))
		lines = append(lines, line{"curl -s " + agent.AgentMetrics(), "what the agent of " + agent.Name() + " did, and uses"})
	}

	rebound := program("rebound")

	return append(lines,
		line{"talosctl get members -n 127.0.0.1", "the nodes, as the Talos API lists them"},
		line{reboot, "add --hard for a power failure"},
		line{rebound + " health", "wait until every node is whole"},
		line{rebound + " status", "how every node stands now"},
		line{"kubectl --kubeconfig " + quote(kubeconfigIn(folder)) + " get pods -A -o wide", "what Kubernetes makes of it"},
	)
}

// program is how a program that was built next to this one is called, or by its
// name alone if there is none.
func program(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}

	path := filepath.Join(filepath.Dir(self), name)

	if _, err := os.Stat(path); err != nil {
		return name
	}

	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(relative) {
			return quote(relative)
		}
	}

	return quote(path)
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quote makes a path one word for a shell.
func quote(path string) string {
	if plain.MatchString(path) {
		return path
	}

	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
