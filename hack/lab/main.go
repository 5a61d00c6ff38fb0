// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Lab runs a real Kubernetes control plane and nodes with real kubelet code on
// one machine, without root, and reboots the nodes.
//
// # The map, in reading order
//
//   - main: the commands demo, demo-reboots, faults, record, scale, soak, up and
//     reboot.
//   - lab: the lab as a library, which the tests use too. lab.go starts and
//     closes it; control_plane.go and credentials.go are the control plane;
//     node.go is a node and its reboots, with what a node says about itself in
//     node_api.go; daemon_set.go and ready.go are what runs on nodes;
//     talos_api.go is the way in for talosctl and rebound; audit.go is the
//     witness of what everybody did, and audit_rules.go judges it.
//     For reboots there are node_comeback.go, how a machine comes back that reboots
//     by itself; coordinator.go, the coordinator as processes; workload.go, what
//     it drains; reboot_scene.go, what a scene of all that needs; witness.go, what
//     was seen of it, and reboot_rules.go, the judge.
//     recovery.go is what is waited for of recoveries. What can be wrong with a machine
//     is in node_faults.go, node_kubelet.go and node_clock.go, with its identity in
//     kubeconfig.go and rename.go, with its network in proxy.go, with all machines in
//     power.go, and with what the API server answers in webhook.go, pod_deletes.go and
//     compact.go.
//     For the back-off itself there is node_controller_manager.go, a
//     kube-controller-manager on a node, of which one leads.
//   - component: the programs of a lab, as processes that do not outlive it. Those of
//     Kubernetes are another binary, of the module in hack/kubernetes, which can be
//     built from other versions of Kubernetes.
//   - internal/machine: one boot of a node, the stand-in for machined, made of
//     internal/cri, the container runtime, and internal/logind, which shuts the
//     kubelet down. That is a child of it, which can be killed and frozen by itself
//     (lab/node_kubelet.go).
//   - internal/apiproxy: a network between one client and the API server that can
//     be made a bad one.
//   - internal/demo: the comparison of three nodes, and its report.
//   - internal/rebootdemo: four nodes that ask for a reboot, and its report;
//     internal/kured runs kured beside them.
//   - internal/faults: the fault matrix, a row for each way in which what rebound
//     depends on can be slow, wrong or away, and its report.
//   - internal/soak: everything at once for a long time, by a seed, with a verdict
//     every minute.
//   - internal/scale: many nodes with stand-ins for kubelets, which come back at once.
//   - internal/playground: the lab that stays up, and orders for it.
//   - internal/show: what those have in common; internal/chart: what their plots have.
//   - internal/history: what a real DaemonSet controller and kubelet do around a
//     reboot, recorded for the reference model of internal/recovery.
//   - internal/loopback: free ports. internal/labtest: what tests have in common.
//
// In lab, scenario_test.go is the set-up of nearly every test: nodes and a
// namespace that a test has to itself on a lab that all of them share. In those
// of reboots it is reboot_stage_test.go: they have a lab of their own, one after
// the other, since a cluster has one RebootBudget.
//
// # What was folded, and why
//
// A package stays if it has more than one caller, or an idea that can be tested
// by itself. So pki (207 lines) became credentials.go (123) on the library that
// signs for Talos, apid (210) became part of talos_api.go, whose nodes are its
// routing table, process (166) went to component, which has the other end of
// its lifeline, and workload (35) to show. machine and logind stay: they are
// another process. loopback stays, for a machine listens there as well.
//
// Not taken: etcd's lock on a file in place of flock in playground. It falls back
// to another kind of lock, which does not exclude the first, by what the standard
// input happens to be. Nor gonum's ticks of a log scale, which lose those of 0.1.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/demo"
	"github.com/talos-rebound/rebound/hack/lab/internal/faults"
	"github.com/talos-rebound/rebound/hack/lab/internal/history"
	"github.com/talos-rebound/rebound/hack/lab/internal/playground"
	"github.com/talos-rebound/rebound/hack/lab/internal/rebootdemo"
	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
)

func main() {
	component.RunIfAsked()

	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	return newCommand().ExecuteContext(ctx)
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "A real control plane and nodes with real kubelet code on one machine",
		Long: `Lab runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
nodes with real kubelet code, each as a process of its own, and reboots the
nodes as Talos does.

Those of Kubernetes are the binary called kubernetes beside this one, or the one
that the variable REBOUND_LAB_KUBERNETES names; hack/kubernetes/build.sh builds it
from a version of choice.

It needs no root, no system package and no network but loopback. All state is
in one temporary folder, which is gone at the end, also after Ctrl-C.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}

	root.AddCommand(newDemoCommand(), newRebootDemoCommand(), newFaultsCommand(), newRecordCommand(), newSoakCommand(), newScaleCommand(),
		newUpCommand(), newRebootCommand())

	return root
}

func newDemoCommand() *cobra.Command {
	var options demo.Options

	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Reboot three nodes side by side, with rebound in machined, as an agent, and without",
		Long: `Demo reboots three nodes gracefully and at the same moments: one with rebound in
machined, a stock one with rebound's agent as a static pod, and one without
rebound. It measures how long each of them takes from a healthy kubelet until
all its DaemonSet pods are Ready. The wait of the node without rebound doubles
with every reboot: six take about five minutes, ten about an hour. Then the node
with rebound in machined is rebooted once more while 'rebound health' waits for
it.

It writes report.json, report.html and report.svg, and exits with 1 if

  - a node with rebound took longer than 10 s once,
  - the agent was slow: from the second reboot on it may take 1.5 times the
    floor, or a second more than the floor if that is longer,
  - a node deleted a pod that was not Failed or not owned by a DaemonSet,
  - the check did not wait and pass.

The floor is the time from the plain delete of a healthy DaemonSet pod until its
replacement is Ready. A second more is allowed because the kubelet looks at its
containers once a second: of two pods that are equally fast, one may be Ready a
second later.`,
		Example: `  # Six reboots, reports in build/lab
  lab demo

  # Two reboots, state in memory, reports elsewhere
  TMPDIR=/dev/shm lab demo --reboots 2 --out report`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().IntVar(&options.Reboots, "reboots", 6, "how often to reboot the nodes")
	addReboundFlag(cmd, &options.Rebound)
	cmd.Flags().StringVar(&options.Out, "out", "build/lab", "folder for the reports")

	return cmd
}

func newRebootDemoCommand() *cobra.Command {
	var options rebootdemo.Options

	cmd := &cobra.Command{
		Use:   "demo-reboots",
		Short: "Four nodes ask for a reboot, and a PodDisruptionBudget blocks one of them",
		Long: `Demo-reboots has three control planes and a worker ask for a reboot at the same
moment. A pod on the worker is behind a PodDisruptionBudget that allows no
disruption. Once the control planes are done, the budget is freed. It measures
when each node is cordoned and rebooted, and who keeps whom waiting.

With --kured the story is told twice more, each time on a fresh lab, with kured
in the place of rebound: with its defaults, and with a time-out for the drain.
Kured is built from the checkout, and needs unshare and nsenter of util-linux. It
does nothing for 30 to 90 s after each start, so that takes 15 minutes more.

It writes reboots.json and reboots.html, and exits with 1 if, with rebound,

  - a node was not rebooted, or the worker before its budget was freed,
  - a control plane had to wait for that,
  - the worker was not there in another boot within 5 s of it,
  - the worker was cordoned while it could not go,
  - two nodes were unavailable at the same time,
  - a cordon was removed that somebody else had set,
  - a pod was deleted past its budget.

What others fail to do is shown, and no reason to fail.`,
		Example: `  # With rebound alone
  lab demo-reboots

  # Beside kured
  git clone https://github.com/kubereboot/kured
  lab demo-reboots --kured kured`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return rebootdemo.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	addReboundFlag(cmd, &options.Rebound)
	addCoordinatorFlags(cmd, &options.Coordinator, &options.Manifests)
	cmd.Flags().StringVar(&options.Kured, "kured", "", "checkout of kubereboot/kured to compare with")
	cmd.Flags().StringVar(&options.Out, "out", "build/lab", "folder for the reports")

	return cmd
}

func newFaultsCommand() *cobra.Command {
	var options faults.Options

	cmd := &cobra.Command{
		Use:   "faults",
		Short: "Play every fault of the matrix, and see that none loses a pod",
		Long: `Faults plays the fault matrix: a row for each way in which what rebound depends
on can be slow, wrong or away. Each row says what has to be seen of it: phase and
message meanwhile, how it ends, and how many requests it may cost. The API
server's audit log has the last word: what rebound must not do, it has not done.

Rows that touch nothing but their own nodes are played side by side on one lab,
others one after the other, or each on a lab of its own. All of them take about a
quarter of an hour on two processors.

It writes faults.json and faults.html, and exits with 1 if a row has failed. A row
that could not be played has failed. Without requests and seconds, faults.json is
the same in every run that has the same outcome.`,
		Example: `  # All rows, reports in build/lab
  lab faults

  # What there is
  lab faults --list

  # The rows about certificates
  lab faults --only certificate

  # See that three runs have the same outcome
  lab faults --times 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return faults.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().StringVar(&options.Only, "only", "", "regular expression for the names of the rows to play")
	cmd.Flags().BoolVar(&options.List, "list", false, "say what rows there are, and play none")
	cmd.Flags().BoolVar(&options.Quick, "quick", false, "play the smaller set that the tests play")
	cmd.Flags().IntVar(&options.Times, "times", 1, "how often to play them; it fails if a run differs from the first one")
	addReboundFlag(cmd, &options.Rebound)
	addCoordinatorFlags(cmd, &options.Coordinator, &options.Manifests)
	cmd.Flags().StringVar(&options.Out, "out", "build/lab", "folder for the reports")

	return cmd
}

func newSoakCommand() *cobra.Command {
	var options soak.Options

	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Let everything go wrong for a long time, and see that nothing is left of it",
		Long: `Soak runs five nodes with twenty DaemonSets: two with rebound in machined, two
with the agent, one without rebound, and two replicas of the coordinator. Nodes
are rebooted at random, gracefully and hard, by the lab and through NodeReboots.
Networks are slow, cut, frozen, answer with errors or lose answers; parts of the
control plane and replicas are killed, stopped and started; a
PodDisruptionBudget allows nothing for a while, nodes are cordoned by somebody
else, and DaemonSets are updated. Each event ends in its own time, and in the last
fifth of the run nothing happens.

What happens and when is a function of seed and time. A seed is chosen, and said,
if none is given. How long a reboot takes is not in the plan.

There is a verdict every minute. At the end it waits up to three minutes until
everything is at rest. It writes soak.json, and exits with 1 unless it has found
zero of each:

  - wrong deletes: by the audit log, pods that rebound must not delete or that
    have a budget, and cordons of others that were removed;
  - stuck pods: Failed pods of DaemonSets on nodes with rebound, 30 s after the
    last thing that was in the way of it, or at the end;
  - cordons left behind: with no reboot in work for 30 s, or at the end;
  - budget exceeded: more nodes cordoned, or with a slot, than allowed;
  - growing processes: goroutines, file handles or resident memory of rebound's
    processes that are not flat.

Ctrl-C ends it with the verdict so far, and 1.`,
		Example: `  # Ten minutes, report in build/lab
  lab soak

  # The same as in another run
  lab soak --time 10m --seed 4711`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return soak.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().DurationVar(&options.Time, "time", 10*time.Minute, "how long it goes on")
	cmd.Flags().Uint64Var(&options.Seed, "seed", 0, "what decides what happens (default: any)")
	addReboundFlag(cmd, &options.Rebound)
	addCoordinatorFlags(cmd, &options.Coordinator, &options.Manifests)
	cmd.Flags().StringVar(&options.Out, "out", "build/lab", "folder for the report")

	return cmd
}

func newScaleCommand() *cobra.Command {
	var options scale.Options

	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Bring a thousand nodes back at once, and measure what rebound costs then",
		Long: `Scale starts one real control plane and many nodes without containers: the real
DaemonSet controller, the real Node authorizer, a client certificate for each
node, and rebound's real controller on each with a connection of its own. Only the
kubelets are stand-ins, which do what a real one was recorded to do.

All nodes get a healthy kubelet within ten seconds, with five Failed pods each, for
each of which the DaemonSet controller is in a back-off of a minute and more. That
is measured with rebound, and with a plain client in place of it that sends the same
deletes and nothing else: the floor. It is done with 10, 30, 100, 300 and 1000
nodes, up to --nodes, each on a lab of its own. The largest number is also brought
back by what people use without rebound: a sweep, a sweep every two minutes, the
DaemonSet controller alone, and a restart of kube-controller-manager.

It writes scale.json and scale.html, and exits with 1 if a goal was missed:

  - the slowest hundredth of the nodes is whole within twice the floor,
  - the requests that a node sends do not grow with the number of nodes,
  - no request is told to come again later (429),
  - no pod is deleted that was not Failed,
  - rebound health tells how all nodes are within one attempt.

The machine should have nothing else to do: what else runs makes all times longer,
and those with rebound more than the floor, since rebound asks for more.`,
		Example: `  # All of it, reports in build/lab
  lab scale

  # The curve up to a hundred nodes, and no peers
  lab scale --nodes 100 --peers=false

  # Thirty nodes alone
  lab scale --nodes 30 --only --peers=false`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return scale.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().IntVar(&options.Nodes, "nodes", scale.DefaultNodes, "the largest number of nodes")
	cmd.Flags().BoolVar(&options.Only, "only", false, "leave the smaller numbers of nodes out")
	cmd.Flags().BoolVar(&options.Peers, "peers", true, "also bring the largest number back by what people use without rebound")
	cmd.Flags().DurationVar(&options.Backoff, "backoff", scale.DefaultBackoff, "how long every back-off still lasts when the nodes come back")
	cmd.Flags().StringVar(&options.Out, "out", "build/lab", "folder for the reports")

	return cmd
}

func addCoordinatorFlags(cmd *cobra.Command, binary, manifests *string) {
	cmd.Flags().StringVar(binary, "rebound-coordinator", "", "binary of the coordinator (default: rebound-coordinator beside this program)")
	cmd.Flags().StringVar(manifests, "manifests", "cmd/rebound-coordinator/deploy/base", "folder of the coordinator's manifests")
}

func addReboundFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "rebound", "", "binary that nodes with the agent run (default: rebound beside this program)")
}

func newUpCommand() *cobra.Command {
	var options playground.Options

	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a lab that stays up, for talosctl, kubectl and rebound",
		Long: `Up starts a lab with nodes and DaemonSets, waits until all pods are Ready, says
how to use it, and takes it down on Ctrl-C.

The nodes answer over the Talos API as stock ones do: to talosctl, with the
resources and the version of every node and the members of the cluster, and to
rebound. Nothing can be written. Nodes without rebound in machined do not know
its resources.

It writes talosconfig, kubeconfig and lab.json to a folder, which it takes back
at the end.`,
		Example: `  # Two nodes with rebound
  lab up

  # A mixed cluster
  lab up --workers 3 --agents 1 --stock 1

  # A second lab next to the first
  lab up --out build/second`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return playground.Up(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().IntVar(&options.Workers, "workers", playground.DefaultWorkers, "how many nodes have rebound in machined")
	cmd.Flags().IntVar(&options.Agents, "agents", 0, "how many further nodes have rebound's agent as a static pod")
	cmd.Flags().IntVar(&options.Stock, "stock", 0, "how many further nodes run without rebound")
	addReboundFlag(cmd, &options.Rebound)
	cmd.Flags().StringVar(&options.Out, "out", playground.DefaultOut, "folder for talosconfig, kubeconfig and lab.json")

	return cmd
}

func newRebootCommand() *cobra.Command {
	var options playground.RebootOptions

	cmd := &cobra.Command{
		Use:   "reboot NODE",
		Short: "Reboot a node of the lab that is up",
		Long: `Reboot reboots a node of the lab that 'lab up' has started in another terminal,
as Talos does: the kubelet is shut down gracefully first. It returns when the
kubelet is healthy again, which is before the DaemonSet pods are back.

Ctrl-C ends the command and not the reboot. A node that is down is booted.`,
		Example: `  # As talosctl reboot
  lab reboot worker-a

  # As a power failure
  lab reboot worker-a --hard

  # A node of a lab with a folder of its own
  lab reboot worker-a --out build/second`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options.Node = args[0]

			return playground.Reboot(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().BoolVar(&options.Hard, "hard", false, "reboot as a power failure does, without a shutdown")
	cmd.Flags().StringVar(&options.Out, "out", playground.DefaultOut, "folder of the lab")

	return cmd
}

func newRecordCommand() *cobra.Command {
	var options history.Options

	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record histories of a real DaemonSet controller and kubelet for the reference model",
		Long: `Record tells stories of reboots on nodes of a lab of its own, all at the same
time, and writes what was seen of pods, DaemonSets, the node and the machine, and
who deleted which pod according to the audit log: one file of JSON for each
story. The reference model of internal/recovery is checked against these files.

It takes about five minutes. The stories are: ` + strings.Join(history.Names(), ", ") + `.`,
		Example: `  # All of them
  lab record

  # One of them, to look at
  lab record --only hard --out histories`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return history.Run(cmd.Context(), options, cmd.OutOrStdout())
		},
	}

	cmd.Flags().StringVar(&options.Out, "out", "internal/recovery/testdata/history", "folder for the histories")
	cmd.Flags().StringSliceVar(&options.Only, "only", nil, "names of the stories to tell (default: all)")

	return cmd
}
