// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package embed puts rebound into a source tree of Talos, takes it out again, and checks that the result will start.
//
// NewPlan and NewRevertPlan only read; what they return is a list of changes, file by file, which Apply writes all or none of.
// Every edit is an insertion that can be recognised and taken back, and no plan is returned before that was tried: what
// cannot be restored byte for byte is not edited.
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
// installer" a release is to be embedded, or a copy of the source in tools/rebound. Neither was tried: there was no
// container build.
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
//   - Requests: 2 in a boot with nothing to recover, 11 to recover three DaemonSets, none afterwards (make demo). Only a
//     DaemonSet that did not come back keeps the watch open.
//   - Dependencies: no package that machined v1.13.9 does not link already, no text templates, no method looked up by a
//     name that is not constant. Tests keep it so (internal/archtest). The library also builds and passes its tests with
//     the modules of the v1.14 line (hack/compat).
//
// # What was built by hand
//
// siderolabs/talos v1.13.9 and main at ad8823176, with --diagnostics: machined and talosctl were built; go vet and the tests
// of v1alpha2, pkg/cluster/check and the runtime controllers gave what they give without rebound. (On main, one test needs
// the modules of a running Talos kernel and fails with and without.) Talos' code was not touched, but modules that were not
// to be had were replaced by their nearest release: in v1.13.9 containerd v2.2.4 without the fork, etcdutl v3.6.10 and
// go-kubernetes v0.2.39; on main kube-proxy v0.36.3, ethtool v0.4.0-sidero, and siv-go without the fork.
package embed
