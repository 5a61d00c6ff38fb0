// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package embed puts rebound into a source tree of Talos, takes it out again, and checks that the result will start.
//
// NewPlan and NewRevertPlan only read; what they return is a list of changes, file by file, which Apply writes.
//
// Every line that is inserted ends in the comment "rebound embed". Without those lines, and the files that are added, the
// tree is byte for byte what it was: that is tried before a plan is returned, and what fails it is refused. That is a file
// that is not as gofmt leaves it, or in which gofmt would align a neighbour's comment with ours. A list with elements on
// the lines of its braces is refused, too.
//
// That is all that is needed to survive a crash, too. Every file is written under another name and renamed, so it is old or
// new; the next run completes the rest, or takes it back. Until then the tree does not build. An earlier design took
// insertions out by their syntax and had a journal, its recovery and a lock: 700 lines of code more, for odd layouts that no
// release of Talos has, and to leave the old tree where now a half-edited one waits for the next run. Two runs at once may
// mix their edits, file by file; another run sets that right.
//
// # What changes
//
//   - go.mod: one requirement, and one replacement for a folder
//   - internal/app/machined/pkg/runtime/v1alpha2/v1alpha2_controller.go: the controller in the list of controllers
//   - internal/app/machined/pkg/runtime/v1alpha2/v1alpha2_state.go: two definitions in the list of resources
//   - pkg/cluster/check: a file rebound.go, and one line in default.go, ahead of the checks that stall on nodes, kube-proxy
//     and CoreDNS without naming the pod
//   - with diagnostics, machined's diagnostics: a file rebound.go, an entry in the list of checks and an input; a stock
//     talosctl health then waits in "no diagnostics", and the node's console names the pod
//
// Verify type-checks the edited packages and registers all namespaces, definitions and controllers with a COSI runtime of
// its own, as machined does when it starts: there, a conflict would be a boot loop. (209 controllers with 618 edges in
// v1.13.9.) "talosctl inspect dependencies" shows recovery.DaemonSetRecoveryController afterwards.
//
// Who edits by hand registers two lists and nothing else: Controllers of pkg/controllers/recovery, and ResourceDefinitions
// of pkg/resources/recovery.
//
// Talos' own build runs in a container, which downloads modules before it has more of the tree than tools/. For "make
// installer" a release is to be embedded, or a copy of the source in tools/rebound.
//
// # What it costs
//
// Measured on amd64 with the flags of Talos' Dockerfile:
//
//	            Talos v1.13.9                       v1.14 line (ad8823176)
//	machined    84,136,098 bytes + 335,872 (0.4 %)   94,564,514 bytes + 335,872 (0.4 %)
//	talosctl   101,408,930 bytes +  94,208 (0.1 %)  118,456,482 bytes +  98,304 (0.1 %)
//
// The rest was measured by the commands that stand beside it:
//
//   - Memory: 75 KiB stay in machined after 20 DaemonSets have recovered (go test -v -run LittleMemory
//     ./pkg/controllers/recovery).
//   - Requests: 2 in a boot with nothing to recover, 9 to recover three DaemonSets, none afterwards (make demo). Only a
//     DaemonSet that did not come back keeps the watch open.
//   - A recovery of five DaemonSets with reports on the Node: 35 ms of CPU (6.3 times as much as to list and delete the pods),
//     2.7 MiB allocated (5.3 times), 20 requests (3.3 times), 145 KiB on the wire (4.2 times), 17 goroutines and 0.4 MiB at
//     rest, the COSI runtime included (make bench). A plan for a full node of 110 pods takes 0.13 ms, with 100 earlier
//     recoveries 0.4 ms.
//   - Dependencies: no package that machined v1.13.9 does not link already, no text templates, no method looked up by a
//     name that is not constant. Tests keep it so (internal/archtest). The library also builds and passes its tests with
//     the modules of the v1.14 line (hack/compat).
//
// # What was tried by hand
//
// Embedding with and without diagnostics and taking out again leaves a clean git status in v1.13.5 to v1.13.9,
// v1.14.0-alpha.0 and main at ad8823176. go get adds to go.sum what --revert takes out, and leaves go.mod as it is. go mod
// tidy leaves go.mod as it is, too, but replaces the checksums of github.com/rogpeppe/go-internal, which rebound's tests
// need in a later version: after --revert, another go mod tidy brings them back.
//
// Without a container engine, the steps of the build-go and base stages of Talos' Dockerfile were run on v1.13.9 in their
// order, in folders that have only what those stages copy: go mod download, go mod verify, go list all, and the builds of
// machined and talosctl. They pass with a copy of the source in tools/rebound; go mod download passes with a release (from
// a module proxy of files) as well, and fails with a folder elsewhere. Besides the replacements below, three tools that were
// not to be had (grype, whydeadcode and dis-vulncheck) gave way to empty modules.
//
// With the same edits in another layout, machined and talosctl of v1.13.9 and of main were built with --diagnostics before;
// go vet and the tests of v1alpha2, pkg/cluster/check and the runtime controllers gave what they give without rebound. (On
// main, one test needs the modules of a running Talos kernel and fails with and without.) Talos' code was not touched, but
// modules that were not to be had were replaced by their nearest release: in v1.13.9 containerd v2.2.4 without the fork,
// etcdutl v3.6.10 and go-kubernetes v0.2.39; on main kube-proxy v0.36.3, ethtool v0.4.0-sidero, and siv-go without the fork.
package embed
