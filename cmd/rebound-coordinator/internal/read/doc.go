// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package read turns what the coordinator's caches have into the facts of internal/reboot. It decides nothing: whether a
// selector selects an object is all that is found out here.
package read
