// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package sentinel watches what on a host tells that it wants to be rebooted: a file, as Debian and Ubuntu make it, or a
// command. It also runs the command that reboots a host without logind. It does not judge what it finds.
package sentinel
