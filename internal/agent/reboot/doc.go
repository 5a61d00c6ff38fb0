// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package reboot is the node's half of coordinated reboots: it tells on the Node object whether the machine wants to be
// rebooted, and reboots it once the coordinator has granted that.
//
// It has the shape of the recovery: what the host and the Node say is read, Decide makes a plan of it, and the plan is
// carried out. It coordinates nothing. Which node may go, and when, is for the coordinator to say, and a grant is all that
// this package hears of that.
package reboot
