// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package internal has no code. It holds the picture of the whole, once.
//
// # Architecture
//
//	                    machined                                             control plane
//	┌───────────────────────────────────────────────────────┐
//	│  Service kubelet · KubeletLifecycle · MachineStatus   │
//	│  Nodename · KubeletKubeconfig                         │
//	│        │ inputs                                       │
//	│        ▼                                              │   list, watch, delete own pods
//	│  DaemonSetRecoveryController ─────────────────────────┼──────────────────▶ kube-apiserver
//	│   read ──▶ plan ──▶ publish ──▶ apply                 │   identity system:node:<name>
//	│             │           │                             │                        │
//	│   internal/recovery     ▼ outputs                     │                        ▼
//	│   (pure: no clock,   RecoveryStatus                   │               DaemonSet controller
//	│   no client)         DaemonSetRecovery                │               creates the replacement
//	└───────────────────────────────────────────────────────┘
//
// talosctl health and rebound health read the two resources of every node through the Talos API (pkg/check).
//
// On a node that cannot be rebuilt, the agent takes the place of machined. The inputs come from watchers, the rest is the same:
//
//	kubelet's /healthz · kubeconfig · certificate · logind
//	        │ internal/agent/host
//	        ▼
//	Service kubelet · KubeletLifecycle · … ──▶ DaemonSetRecoveryController ──▶ kube-apiserver
//	                                                │ outputs
//	                                                ▼
//	              NodeReportController (condition, annotation) · metrics · socket
//
// Reboots are the second half, of the same shape. One coordinator decides for all nodes, because a node's identity may not read
// budgets or other nodes:
//
//	              RebootBudget · RebootPolicy · NodeReboot · PodDisruptionBudgets · Pods · Nodes
//	                                       │ caches
//	                                       ▼
//	cmd/rebound-coordinator:   read ──▶ internal/reboot ──▶ apply ──▶ slots, steps, cordon, evictions, grant
//	                                    (pure: no clock,                        │
//	                                    no client)                              ▼
//	       annotation: a reboot is wanted ◀── rebound agent on the node ◀── annotation: granted, for this boot
//	                                                   │
//	       sentinel file or command ───────────────────┘└────▶ logind or a command
//
// On Talos the coordinator asks the node's Talos API to reboot. An operator writes and follows the same objects:
// rebound reboot ──▶ internal/kubereboot.
//
// # Folders
//
// Imports go one way, and a test keeps it so (internal/archtest): cmd, internal/cli, pkg/check and pkg/controllers,
// internal/recovery and internal/kube, pkg/resources.
//
//   - pkg/resources/recovery: the two COSI resources; specs has their data
//   - pkg/controllers/recovery: the controller, and Controllers that makes it
//   - pkg/check: the health check; Judge is apart from Fetch, and AllRecovered is for Talos
//   - internal/recovery: the decision, one pure function, Plan(facts, now)
//   - internal/backoff: how long this and the other decisions wait before they try again
//   - internal/kube: the API server, seen with the node's identity; nodemeta is for the agent alone
//   - pkg/apis/reboot/v1alpha1: the objects and annotations of coordinated reboots, data only
//   - internal/reboot: the decision about them, one pure function, Plan(facts, now)
//   - cmd/rebound-coordinator: the coordinator, a module of its own; deploy has what a cluster needs for it
//   - internal/kubecheck: what pkg/check does, asked of Kubernetes in place of Talos
//   - internal/kubereboot: the objects of coordinated reboots, read, written and followed by whoever runs rebound reboot
//   - internal/kubebackoff: the back-off of DaemonSet controllers, seen and ended by whoever runs rebound backoff
//   - internal/kubeconfig: the kubeconfig of whoever runs a command, for these three
//   - cmd/rebound, internal/cli: the command for operators and for those who build Talos
//   - internal/agent: the controller outside machined; host is where its inputs come from, metrics what Prometheus sees
//   - internal/agent/reboot: the node's half of coordinated reboots; sentinel is what on the host asks for one
//   - internal/agent/platform, manifest, install: where a distribution keeps its files, what runs the agent, and how it
//     gets there
//   - internal/plainlog: logs in which nothing that others say can steer a terminal
//   - internal/embed: what puts rebound into a source tree of Talos
//   - internal/talosconfig: what a client configuration of Talos is checked for, and how its endpoints are connected to
//   - internal/talosapi: a Talos API with the rules of machined and apid, for the agent's socket, the tests and the lab
//   - internal/ctest, internal/archtest: an in-memory COSI runtime for tests, and tests that keep this page true
//   - hack/lab: the lab and the demo, a module of its own
//   - hack/kubernetes: the programs of Kubernetes for it, a module of its own, in more than one version
//   - hack/mutants: the table of rules, each with the change that breaks it and the test that fails then, a module of its own
//   - hack/release: what makes a release, a module of its own
//   - hack/tools, hack/compat: the tools, pinned, and go.mod with the modules of other versions of Talos
//
// A new capability gets packages of the same shape: facts are read, a pure core plans, and what it planned is applied.
package internal
