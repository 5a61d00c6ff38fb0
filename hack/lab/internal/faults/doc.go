// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package faults is the fault matrix: what happens to rebound when everything
// that it depends on is slow, wrong or away, one row for each way in which that
// can be.
//
// A row says what is done, when, and for how long, and what has to be seen for
// it: the phase and the message of the recovery or of the reboot meanwhile, how
// it ends, and how many requests it may cost. Its func plays it on the real
// control plane, with real kubelet code. What was seen is compared word for word
// with what was expected, and the API server's audit log has the last word.
//
// In reading order: row.go, stage.go and node.go are what the author of a row
// needs, and reboot_stage.go and reboot_end.go what those of reboots need besides;
// run.go plays the rows and verdict.go judges them; report.go and page.html show
// them. The rows are in the files that begin with rows, by theme; those of reboots
// go one after the other, since a cluster has one RebootBudget.
package faults
