// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package coordinator runs the coordinator: it reads what the caches have, lets internal/reboot decide, and applies that,
// again and again, whenever something has changed. There is one decision for the whole cluster, because a slot for one node
// is no slot for the others.
package coordinator
