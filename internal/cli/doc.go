// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package cli is what the commands of rebound do: it finds the cluster, runs the check, prints and decides on the exit
// code. Flags are the business of cmd/rebound, verdicts that of pkg/check.
//
// It writes only to the writers that it is given.
package cli
