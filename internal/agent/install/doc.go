// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package install puts what package manifest renders on a host, and takes it away: a static pod into the kubelet's
// folder, or a unit to systemd. It decides neither what is written nor for which platform.
//
// Nothing is left half done: a file is there as a whole or not at all, and where systemd does not follow, the host gets
// back what it had.
package install
