// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package reboot decides which nodes of a cluster may reboot, and takes each of them there and back.
//
// It is one pure function, Plan: facts and a point in time in, a Decision out. It knows no client, clock, context or
// logger and starts no goroutine; reading the facts and carrying out the decision is the coordinator's work. The rules are
// in eligible.go (why does a node wait?), slots.go (how many at a time?), quorum.go (which control planes?), drain.go
// (which pods have to leave, and how?), step.go (what comes next, and when is it given up?), wish.go (what do the nodes
// themselves want?) and window.go (when?).
//
// # What makes it safe to die at any point
//
// What is done follows from the status that was read, never from one that is about to be written. So the step that a node
// is in always stands in the API server before anything that belongs to the step is done, and whoever takes over does the
// same again: every effect is idempotent.
//
// Two coordinators at once exclude each other by the resource versions of three objects. A slot is one entry in the one
// budget, so the last one cannot be taken twice. A step is a write to the node's NodeReboot, so only one of two plans gets
// through. And a cordon fails if the Node has changed since it was seen: after an attempt that was given up a mark is left
// on the Node, so that a late request of the other coordinator comes too late.
//
// A slot is taken for one attempt, before that begins, and is given back only after the attempt is on record as ended.
package reboot
