// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package soak runs rebound for a long time while everything goes wrong, and
// judges what is left of it.
//
// What happens is a function of a seed and a duration, see [Plan]. How long
// reboots and restarts take is not in the plan, so two runs with the same seed
// are the same in what is done, and when, and not in what comes of it.
//
// In reading order: kind.go is what can happen, plan.go when it does; stage.go is
// the cluster; act.go, network.go, control_plane.go and replica.go let it happen;
// observe.go and sample.go look; ledger.go, flat.go and verdict.go judge, and
// know neither clock nor cluster; soak.go puts them together.
//
// # What is judged
//
// The audit log has the last word on deletes and on cordons, and a watch of the
// nodes and of the RebootBudget on how many nodes the coordinator has in hand.
//
// A Failed pod of a DaemonSet is stuck if it is there for more than 30 s after
// the last event that is in rebound's way on that node: one on the node itself or
// on its network, a boot, or an outage of the API. A cordon is left behind if it
// is there for as long with no reboot in work, after the last event that befell a
// replica or the API. At the end neither may be there at all, nor a slot, nor a
// reboot that is in work, and every DaemonSet has a Ready pod on each node with
// rebound. The node without rebound is only counted.
//
// # What is flat
//
// Goroutines, open file handles and resident memory come from the metrics that
// each process serves. The machine with rebound in it stands for machined: the
// kubelet is a process of its own.
//
// A process starts anew with each reboot, and a replica of the coordinator when
// it is killed or has lost its lease. So it is judged in two ways:
//
//   - within a life of a minute or more, the highest value of the last fifth of the
//     samples may not be above the highest of the second fifth by more than an
//     allowance. In the first fifth it is being set up;
//   - from life to life, samples of the same age, 15 to 25 s, are compared in
//     the same way, if there are five lives that have come to that age.
//
// The allowance is a tenth, and 25 goroutines, 10 handles or 20 MiB besides.
// Waiting and leading are different lives of a replica.
package soak
