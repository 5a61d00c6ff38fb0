// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package apply carries out what internal/reboot decides. Every write is conditional on the object as it was read, and
// every effect may be repeated. What takes long is done by workers of their own: a pod that is slow to evict, or a machine
// that does not answer, holds up nobody else.
package apply
