// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build !linux

package host

// ReleaseMemory does nothing here: nodes are Linux machines.
func ReleaseMemory() error { return nil }
